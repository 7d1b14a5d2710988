"""A writer dies or an answer is lost at any request: nothing stored is lost, nothing half-done shows, a retry works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import pytest

from mlflow_versioned_store import creating, finding
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.contract import Backend, Buffer, ObjectInfo
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.retry import RetryingBackend
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content import packing
from mlflow_versioned_store.errors import OutcomeUnknown
from mlflow_versioned_store.store import Store, open_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Call, Crash, Fault, FaultyBackend
from tests.engine.uploads import (
    CONTEXT,
    INLINE,
    OLD,
    PACKED,
    ROOT,
    check_old_versions,
    contents_of,
    items,
    numbers,
    one_new_version,
)

URI = f"versioned-memory://crashes/{ROOT}"


UPLOADS = [
    pytest.param(INLINE, "60", id="inline"),
    pytest.param(PACKED, "60", id="packed"),
    pytest.param(PACKED, "0", id="staged"),
]


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small uploads fill several packs."""
    monkeypatch.setattr(packing, "PACK_BYTES", 256 << 10)


def with_old_versions() -> Backend:
    """Return a container with a store that holds OLD."""
    container = open_memory("crashes")
    new_store(container).root(ROOT).upload(items(OLD), context=CONTEXT)
    return container


def faulty_client(container: Backend) -> tuple[Store, FaultyBackend]:
    """Return a client whose requests can go wrong, with the retries that every client has."""
    faulty = FaultyBackend(container)
    return client(RetryingBackend(faulty, sleep=lambda _: None)), faulty


def test_the_uploads_make_all_kinds_of_requests() -> None:
    """The packed upload reads marks, indexes and bases, and writes packs, an index, hooks and a commit."""
    container = with_old_versions()
    store, faulty = faulty_client(container)
    store.root(ROOT).upload(items(PACKED), context=CONTEXT)
    written = [call.key for call in faulty.calls if call.verb == "put"]
    for part, least in (("/packs/", 3), ("/indexes/", 1), ("/hooks/", 1), ("/_c/", 1)):
        assert sum(part in key for key in written) >= least, part
    read = [call.key for call in faulty.calls if call.verb != "put"]
    for part in ("/packs/", "/indexes/", "/gc/marks", "/_c/"):
        assert any(part in key for key in read), part
    leans = [change.content.get("leans") for commit in store.root(ROOT).history() for change in commit.changes]
    assert any(leans), "nothing became a delta"


@pytest.mark.parametrize(("contents", "stage_seconds"), UPLOADS)
@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_crash_at_any_request_of_an_upload(
    contents: dict[str, bytes], stage_seconds: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash at any request the old versions read, all or nothing is new, and a retry makes one new version."""
    monkeypatch.setenv("MVS_STAGE_SECONDS", stage_seconds)
    after = OLD | contents
    for number in count(1):
        container = with_old_versions()
        store, faulty = faulty_client(container)
        faulty.at(number, fault)
        try:
            store.root(ROOT).upload(items(contents), context=CONTEXT)
        except Crash:
            crashed = True
        else:
            crashed = False
        check_old_versions(container)
        assert contents_of(container) in (OLD, after)
        client(container).root(ROOT).upload(items(contents), context=CONTEXT)
        assert contents_of(container) == after
        assert numbers(container, contents) == one_new_version(contents)
        invariants.check_all(client(container), ROOT)
        if not crashed:
            break
    assert number > 3


@pytest.mark.parametrize(("contents", "stage_seconds"), UPLOADS)
@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED, Fault.THROTTLE])
def test_a_lost_answer_at_any_request_of_an_upload(
    contents: dict[str, bytes], stage_seconds: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever answer is lost or refused, the upload itself succeeds and makes exactly one new version."""
    monkeypatch.setenv("MVS_STAGE_SECONDS", stage_seconds)
    for number in count(1):
        container = with_old_versions()
        store, faulty = faulty_client(container)
        before = len(faulty.calls)
        # A create is never throttled into a retry of its own: its outcome would be unknown.
        faulty.when(_nth(before + number, creates=fault is not Fault.THROTTLE), fault)
        stored = store.root(ROOT).upload(items(contents), context=CONTEXT)
        assert {one.path: one.version for one in stored} == one_new_version(contents)
        assert contents_of(container) == OLD | contents
        assert numbers(container, contents) == one_new_version(contents)
        invariants.check_all(client(container), ROOT)
        if len(faulty.calls) - before < number:
            break
    assert number > 3


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.CORRUPT, Fault.TRUNCATE, Fault.MISSING])
def test_help_that_fails_at_any_request_costs_only_space(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever else than packs and log is denied, damaged or missing, the upload succeeds with one warning at most."""
    tried = set()
    for number in count(1):
        container = with_old_versions()
        store, faulty = faulty_client(container)
        before = len(faulty.calls)
        faulty.when(_nth_help(before + number), fault)
        caplog.clear()
        store.root(ROOT).upload(items(PACKED), context=CONTEXT)
        assert contents_of(container) == OLD | PACKED
        assert numbers(container, PACKED) == one_new_version(PACKED)
        assert len(caplog.records) <= 1, [record.getMessage() for record in caplog.records]
        invariants.check_all(client(container), ROOT)
        if len(faulty.calls) - before < number:
            break
        tried.add(faulty.calls[before + number - 1].verb)
    assert tried >= {"get", "put", "list"}


def _nth_help(number: int) -> Callable[[Call], bool]:
    def picks(call: Call) -> bool:
        is_needed = f"_mvs/log/{ROOT}" in call.key or (call.verb == "put" and "/packs/" in call.key)
        return call.number == number and not is_needed

    return picks


def _nth(number: int, *, creates: bool) -> Callable[[Call], bool]:
    return lambda call: call.number == number and (creates or not call.create)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[[Backend], FaultyBackend]:
    """Serve every URI from a given container, with requests that can go wrong."""

    def serve(container: Backend) -> FaultyBackend:
        faulty = FaultyBackend(container)
        retrying = RetryingBackend(faulty, sleep=lambda _: None)

        def opened(uri: str) -> tuple[Backend, str]:
            return retrying, uri.removeprefix("versioned-memory://crashes").strip("/")

        monkeypatch.setattr(finding, "open_container", opened)
        monkeypatch.setattr(creating, "open_container", opened)
        return faulty

    return serve


def first_upload() -> None:
    """Log into a place that has no store yet."""
    store, path = open_store(URI, write=True)
    store.root(store.place(path).root).upload(items(PACKED), context=CONTEXT)


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST, Fault.REFUSED])
def test_trouble_at_any_request_of_the_upload_that_makes_the_store(
    served: Callable[[Backend], FaultyBackend], fault: Fault
) -> None:
    """The first upload, probe and marker included, may be hit anywhere; run again it makes one store, one version."""
    for number in _creation_requests(served):
        container = open_memory("crashes")
        served(container).at(number, fault)
        try:
            first_upload()
        except Crash:
            served(container)
            first_upload()
        assert contents_of(container) == PACKED
        assert numbers(container, PACKED) == dict.fromkeys(PACKED, 1)
        assert sum(info.key.endswith("store.json") for info in container.list("")) == 1


def _creation_requests(served: Callable[[Backend], FaultyBackend]) -> Sequence[int]:
    """Return the numbers of the requests of the first upload; of the probe's many equal ones only some."""
    faulty = served(open_memory("crashes"))
    first_upload()
    probing = [call.number for call in faulty.calls if "/probe/" in call.key]
    left_out = set(probing) - set(probing[::6])
    return [call.number for call in faulty.calls if call.number not in left_out]


class LosesOneCommit(WrapperBackend):
    """Loses the answer to its first commit, while others go on.

    Args:
        inner: The backend.
        others: What others do meanwhile.
        arrives: When the lost commit takes effect: before the others' or late, or never.
    """

    def __init__(self, inner: Backend, others: Callable[[], object], arrives: str):
        super().__init__(inner)
        self._others: Callable[[], object] | None = others
        self._arrives = arrives
        self._late: Iterator[Callable[[], object]] = iter(())

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        for arrive in self._late:
            arrive()
        if not (create and "/_c/" in key and self._others):
            return self.inner.put(key, data, create=create)
        others, self._others = self._others, None
        if self._arrives == "first":
            self.inner.put(key, data, create=True)
        if self._arrives == "late":
            pieces = [bytes(piece) for piece in data]
            self._late = iter([lambda: self.inner.put(key, pieces, create=True)])
        else:
            others()
        raise OutcomeUnknown("The connection broke.", key=key)


@pytest.mark.parametrize("arrives", ["first", "late", "never"])
def test_an_answer_lost_while_others_commit_five_more(arrives: str) -> None:
    """Whether the lost commit took effect, takes effect later or never did: each change is there exactly once."""
    container = with_old_versions()
    other = client(container).root(ROOT)

    def commit_five() -> None:
        for number in range(5):
            other.upload(items({f"other/{number}": b"%d" % number, "small": b"other %d" % number}), context=CONTEXT)

    unlucky = client(LosesOneCommit(container, commit_five, arrives)).root(ROOT)
    (stored,) = unlucky.upload([Item("mine", b"mine")], context=CONTEXT)
    if arrives == "late":
        commit_five()
    assert (stored.version, stored.unchanged) == (1, False)
    assert numbers(container, {"mine": b"", "small": b""}) == {"mine": 1, "small": 6}
    state = contents_of(container)
    assert state == OLD | {f"other/{number}": b"%d" % number for number in range(5)} | {
        "mine": b"mine",
        "small": b"other 4",
    }
    ids = [change.id for commit in client(container).root(ROOT).history() for change in commit.changes]
    assert len(ids) == len(set(ids)) == 7
    invariants.check_all(client(container), ROOT)
