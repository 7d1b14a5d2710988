"""Which packs may be leaned on: seen after the marks were read, and lately."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, Fetched, ObjectInfo
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content import sightings
from mlflow_versioned_store.content.clock import GRACE_SECONDS, elapsed
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.sightings import Sightings
from mlflow_versioned_store.errors import VersionedStoreError
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend

PACKS = [PackName("all", f"{number:064x}", 1000, 100) for number in range(4)]


class Time:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def faulty() -> FaultyBackend:
    """A store with packs."""
    backend = open_memory("sightings")
    for pack in PACKS:
        backend.put(pack.key, bytes(pack.size))
    return FaultyBackend(backend)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The clock of the sightings."""
    time = Time()
    monkeypatch.setattr(sightings, "elapsed", time)
    return time


def verbs(faulty: FaultyBackend) -> list[str]:
    """Return what was asked since the last time."""
    asked = [call.verb for call in faulty.calls]
    faulty.calls.clear()
    return asked


def test_marks_are_read_before_a_pack_is_seen(faulty: FaultyBackend) -> None:
    """The other order loses a version: a mark goes when its pack is gone."""
    assert Sightings(faulty).unusable(PACKS) == set()
    assert verbs(faulty) == ["list", "head", "head", "head", "head"]


def test_nothing_is_asked_for_nothing(faulty: FaultyBackend) -> None:
    """An upload that leans on no old pack needs no marks."""
    faulty.when(lambda call: True, Fault.DENY)
    assert Sightings(faulty).unusable([]) == set()
    assert faulty.calls == []


def test_a_marked_pack_is_refused_without_a_look(faulty: FaultyBackend) -> None:
    """It may be deleted at any moment, though it is still there."""
    faulty.inner.put(keys.mark("all", PACKS[1].digest), b"")
    seen = Sightings(faulty)
    assert seen.unusable(PACKS) == {PACKS[1]}
    assert len([call for call in faulty.calls if call.verb == "head"]) == 3


def test_marks_of_another_domain_do_not_count(faulty: FaultyBackend) -> None:
    """The same digest in another domain is another pack."""
    faulty.inner.put(keys.mark("other", PACKS[1].digest), b"")
    assert Sightings(faulty).unusable(PACKS) == set()


def test_packs_that_are_gone_or_of_another_size_are_refused(faulty: FaultyBackend) -> None:
    """An object that is not what its name says is nothing to lean on."""
    faulty.inner.delete([PACKS[0].key])
    faulty.inner.put(PACKS[2].key, b"short")
    assert Sightings(faulty).unusable(PACKS) == {PACKS[0], PACKS[2]}


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED, Fault.MISSING, Fault.THROTTLE])
def test_packs_that_cannot_be_seen_are_refused(faulty: FaultyBackend, fault: Fault) -> None:
    """Only a pack that was seen may be leaned on."""
    faulty.when(lambda call: call.key == PACKS[3].key, fault)
    assert Sightings(faulty).unusable(PACKS) == {PACKS[3]}


def test_what_was_seen_lately_is_not_asked_again(faulty: FaultyBackend, time: Time) -> None:
    """One LIST and one HEAD a pack serve for a quarter of the grace period."""
    seen = Sightings(faulty)
    seen.unusable(PACKS[:2])
    verbs(faulty)
    time.now += GRACE_SECONDS / 4 - 1
    assert seen.unusable(PACKS[:3]) == set()
    assert verbs(faulty) == ["head"]


def test_what_was_seen_before_the_newest_marks_is_looked_at_again(faulty: FaultyBackend, time: Time) -> None:
    """When marks are read anew, packs must be seen anew: the old look came before the new marks."""
    seen = Sightings(faulty)
    seen.unusable(PACKS)
    time.now += GRACE_SECONDS / 4 + 1
    faulty.inner.put(keys.mark("all", PACKS[0].digest), b"")
    faulty.inner.delete([PACKS[1].key])
    verbs(faulty)
    assert seen.unusable(PACKS) == {PACKS[0], PACKS[1]}
    assert verbs(faulty) == ["list", "head", "head", "head"]


def test_ages_count_from_before_the_request(faulty: FaultyBackend, time: Time) -> None:
    """A look that took long is as old as its question."""
    backend_list = faulty.list

    def slow(folder: str, **how: object) -> object:
        time.now += 5000
        return backend_list(folder, **how)  # type: ignore[arg-type]

    faulty.list = slow  # type: ignore[method-assign,assignment]
    seen = Sightings(faulty)
    seen.unusable(PACKS)
    verbs(faulty)
    time.now += GRACE_SECONDS / 4 - 4000
    seen.unusable(PACKS)
    assert "list" in verbs(faulty)


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED, Fault.TRUNCATE])
def test_without_marks_nothing_may_be_leaned_on(faulty: FaultyBackend, fault: Fault) -> None:
    """A listing that failed, also midway, is not one without marks; and it is asked for again next time."""
    faulty.when(lambda call: call.verb == "list", fault)
    seen = Sightings(faulty)
    with pytest.raises(VersionedStoreError):
        seen.unusable(PACKS)
    faulty.clear()
    assert seen.unusable(PACKS) == set()


def test_slow_marks_are_not_waited_for(
    faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Help may take two seconds, here half of one; a slow HEAD refuses its pack with a warning, a slow LIST all."""
    monkeypatch.setattr(sightings, "HELP_SECONDS", 0.5)
    seen = Sightings(faulty)
    faulty.when(lambda call: call.key == PACKS[0].key, 2.0)
    assert seen.unusable(PACKS) == {PACKS[0]}
    assert [record.getMessage().partition(":")[2] for record in caplog.records] == [
        " looking for 1 object took over 0.5 s"
    ]
    faulty.clear()
    faulty.when(lambda call: call.verb == "list", 2.0)
    with pytest.raises(VersionedStoreError, match="longer than"):
        Sightings(faulty).unusable(PACKS)


BY_VERSION, BY_TAG = Lender("1/run/a", "v7", 1000, ""), Lender("1/run/b", "", 1000, "tag")


def test_lenders_are_looked_at_and_those_without_a_version_each_time(time: Time) -> None:
    """Nobody can change an object version; anybody can overwrite an object."""
    backend = Lent(open_memory("lenders"))
    seen = Sightings(backend)
    assert seen.unusable([BY_VERSION, BY_TAG]) == set()
    assert sorted(backend.looks) == [("1/run/a", "v7"), ("1/run/b", None)]
    backend.tag = "another"
    assert seen.unusable([BY_VERSION, BY_TAG]) == {BY_TAG}
    assert len(backend.looks) == 3
    time.now += GRACE_SECONDS / 4 + 1
    backend.size = 999
    assert seen.unusable([BY_VERSION]) == {BY_VERSION}


class Lent(WrapperBackend):
    """Has any object, with this size and tag.

    Attributes:
        looks: Key and version of each that was asked for.
    """

    size, tag = 1000, "tag"

    def __init__(self, inner: Backend):
        super().__init__(inner)
        self.looks: list[tuple[str, str | None]] = []

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        assert (start, stop) == (0, 1)
        self.looks.append((key, s3_version_id))
        return Fetched(b"x", ObjectInfo(key, self.size, datetime.now(UTC), self.tag, s3_version_id))


def test_the_clock_goes_on() -> None:
    """Elapsed time is in seconds and never runs backwards."""
    times = [elapsed() for _ in range(100)]
    assert times == sorted(times)
    assert times[0] > 0
