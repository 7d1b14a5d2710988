"""What is known of stored chunks is only a help: whatever goes wrong with it, an upload succeeds."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import known, publishing, sightings
from mlflow_versioned_store.content.domain import Recent
from mlflow_versioned_store.content.upload import Uploaded
from mlflow_versioned_store.testing.faults import Call, Fault, FaultyBackend
from tests.content.making import (
    MIB,
    Weighing,
    content_of,
    domain_of,
    edited,
    indexes_of,
    noise,
    read,
    rows,
    store,
    text,
)

LINES = rows(1, 60_000)
FIRST, SECOND = text(LINES), text(edited(LINES, 2))
SLOW = 1.0


@pytest.fixture
def backend() -> Backend:
    """A store that holds the first generation of a file."""
    backend = open_memory("known")
    store(domain_of(backend), FIRST)
    return backend


@pytest.fixture
def faulty(backend: Backend) -> FaultyBackend:
    """The same store, to fail on purpose."""
    return FaultyBackend(backend)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let help take a fifth of a second instead of two seconds."""
    for module in (known, sightings, publishing):
        monkeypatch.setattr(module, "HELP_SECONDS", 0.2)


def hook_list(call: Call) -> bool:
    """Pick the look-ups of hooks."""
    return call.verb == "list" and "/hooks/" in call.key


def index_get(call: Call) -> bool:
    """Pick the reads of indexes."""
    return call.verb == "get" and "/indexes/" in call.key


def base_get(call: Call) -> bool:
    """Pick the reads of packs."""
    return call.verb == "get" and "/packs/" in call.key


def marks_list(call: Call) -> bool:
    """Pick the reads of the collector's marks."""
    return call.verb == "list" and call.key.startswith(keys.MARKS)


def pack_head(call: Call) -> bool:
    """Pick the looks at old packs."""
    return call.verb == "head" and "/packs/" in call.key


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was warned of."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def stands_alone(backend: Backend, uploaded: Uploaded, data: bytes) -> bool:
    """Tell whether an upload reads back and leans on nothing that was there before."""
    assert read(backend, uploaded) == data
    content = content_of(uploaded)
    return content.leans == () and uploaded.bytes_sent > 500_000


def test_without_faults_the_second_generation_is_a_delta(faulty: FaultyBackend) -> None:
    """What the tests below take away is there: a fresh process finds the first generation and leans on it."""
    uploaded = store(domain_of(faulty), SECOND)
    assert uploaded.bytes_sent < 60_000
    for picks in (hook_list, index_get, base_get, marks_list, pack_head):
        assert any(picks(call) for call in faulty.calls), picks


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED, Fault.TRUNCATE, SLOW], ids=str)
@pytest.mark.parametrize("picks", [hook_list, index_get, base_get, marks_list])
def test_help_that_fails_costs_space_only(
    faulty: FaultyBackend, picks: Callable[[Call], bool], fault: Fault | float, caplog: pytest.LogCaptureFixture
) -> None:
    """Forbidden, broken, cut short or slow: the bytes are stored plainly, with exactly one warning."""
    faulty.when(picks, fault)
    uploaded = store(domain_of(faulty), SECOND)
    faulty.clear()
    assert stands_alone(faulty, uploaded, SECOND)
    (warning,) = warnings_of(caplog)
    assert warning.startswith("Bytes are stored plainly")


@pytest.mark.parametrize("picks", [index_get, base_get])
def test_damaged_help_costs_space_only(
    faulty: FaultyBackend, picks: Callable[[Call], bool], caplog: pytest.LogCaptureFixture
) -> None:
    """A flipped bit in an index or a base is noticed before anything is built upon it."""
    faulty.when(picks, Fault.CORRUPT)
    uploaded = store(domain_of(faulty), SECOND)
    faulty.clear()
    assert read(faulty, uploaded) == SECOND
    (warning,) = warnings_of(caplog)
    assert warning.startswith("Bytes are stored plainly")


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.MISSING, Fault.REFUSED])
def test_packs_that_cannot_be_seen_are_not_leaned_on(faulty: FaultyBackend, fault: Fault) -> None:
    """A pack that a HEAD does not show may be gone: nothing may refer to it."""
    faulty.when(pack_head, fault)
    uploaded = store(domain_of(faulty), SECOND)
    faulty.clear()
    assert stands_alone(faulty, uploaded, SECOND)


def test_marked_packs_are_never_leaned_on(backend: Backend) -> None:
    """What only a marked pack holds is stored again, whole chunks and bases alike."""
    packs = [info.key for info in backend.list("_mvs/data/all/packs")]
    for key in packs:
        backend.put(keys.mark("all", key.rpartition("/")[2]), b"")
    for data in (FIRST, SECOND):
        uploaded = store(domain_of(backend), data)
        content = content_of(uploaded)
        assert not {pack.key for pack in (*content.packs, *content.leans)} & set(packs)
        assert read(backend, uploaded) == data


def test_a_marked_base_of_a_base_is_not_leaned_on_either() -> None:
    """Every frame that a delta needs, however indirectly, must be in a pack that stays."""
    backend = open_memory("bases")
    store(domain_of(backend), FIRST)
    (oldest,) = [info.key for info in backend.list("_mvs/data/all/packs")]
    second = store(domain_of(backend), SECOND)
    assert {pack.key for pack in content_of(second).leans} == {oldest}
    backend.put(keys.mark("all", oldest.rpartition("/")[2]), b"")
    third = text(edited(edited(LINES, 2), 3))
    uploaded = store(domain_of(backend), third, hints=indexes_of(second))
    assert oldest not in {pack.key for pack in (*content_of(uploaded).packs, *content_of(uploaded).leans)}
    assert read(backend, uploaded) == third


def test_damage_everywhere_is_warned_of_once(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """However many bases turn out to be damaged, there is one warning, and all is stored plainly."""
    (key,) = [info.key for info in backend.list("_mvs/data/all/packs")]
    pack = bytearray(backend.get(key).data)
    for at in range(100, len(pack) - 2000, 5000):
        pack[at] ^= 1
    backend.put(key, bytes(pack))
    uploaded = store(domain_of(backend), SECOND)
    assert stands_alone(backend, uploaded, SECOND)
    assert len(warnings_of(caplog)) == 1


def test_help_that_was_given_up_is_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    """Of a long file whose bases cannot be read, only the first part and the one behind it cost the attempt."""
    faulty = FaultyBackend(open_memory("given up"))
    data = bytearray(noise("long", 40 * MIB).hex().encode())
    first = store(domain_of(faulty), bytes(data))
    for at in range(0, len(data), 20_000):
        data[at] ^= 1
    faulty.calls.clear()
    faulty.when(base_get, Fault.DENY)
    uploaded = store(domain_of(faulty), bytes(data), hints=indexes_of(first))
    faulty.clear()
    asked = [call for call in faulty.calls if base_get(call)]
    assert 1 <= len(asked) <= 4
    assert content_of(uploaded).leans == ()
    assert len(warnings_of(caplog)) == 1
    assert read(faulty, uploaded) == data


def test_missing_packs_are_never_leaned_on(backend: Backend) -> None:
    """An index that outlived its packs misleads nobody."""
    packs = [info.key for info in backend.list("_mvs/data/all/packs")]
    backend.delete(packs)
    uploaded = store(domain_of(backend), SECOND)
    assert stands_alone(backend, uploaded, SECOND)
    assert not {pack.key for pack in content_of(uploaded).packs} & set(packs)


def test_indexes_that_were_collected_are_passed_over(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """A hook or a hint may lead to an index that is gone: no error, no warning."""
    first = store(domain_of(backend), FIRST)
    backend.delete([info.key for info in backend.list("_mvs/data/all/indexes")])
    uploaded = store(domain_of(backend), SECOND, hints=indexes_of(first))
    assert stands_alone(backend, uploaded, SECOND)
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED])
@pytest.mark.parametrize("picks", [marks_list, pack_head])
def test_an_upload_that_repeats_itself_ends_without_help(
    faulty: FaultyBackend, picks: Callable[[Call], bool], fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """What an upload stored itself may be leaned on, whether or not old packs can be seen."""
    data = noise("repeats", 18 * MIB)
    faulty.when(picks, fault)
    uploaded = store(domain_of(faulty), FIRST, data, bytes(20 * MIB), data)
    faulty.clear()
    assert uploaded.bytes_sent < 20 * MIB
    assert read(faulty, uploaded, 3) == data
    assert len(warnings_of(caplog)) <= 1


def test_hints_are_read_before_anything_else(faulty: FaultyBackend) -> None:
    """Where the current version of a path is known, no hook is looked up."""
    first = store(domain_of(faulty), FIRST)
    faulty.calls.clear()
    uploaded = store(domain_of(faulty), SECOND, hints=indexes_of(first))
    assert not any(hook_list(call) for call in faulty.calls)
    assert uploaded.bytes_sent < 60_000


def test_what_this_process_wrote_is_known_without_a_request(backend: Backend) -> None:
    """A run that reads a file and writes an edited one needs neither index nor hook."""
    faulty = FaultyBackend(open_memory("recent"))
    domain = domain_of(faulty)
    store(domain, FIRST)
    faulty.calls.clear()
    uploaded = store(domain, SECOND)
    assert not any(hook_list(call) or index_get(call) for call in faulty.calls)
    assert uploaded.bytes_sent < 60_000
    assert read(faulty, uploaded) == SECOND


def test_other_domains_are_never_leaned_on(backend: Backend) -> None:
    """Indexes of another domain are not even read, wherever their names come from."""
    faulty = FaultyBackend(backend)
    first = store(domain_of(faulty), FIRST)
    recent = Recent()
    recent.note(indexes_of(first))
    domain = domain_of(faulty, recent=recent)
    object.__setattr__(domain, "name", "other")
    faulty.calls.clear()
    uploaded = store(domain, FIRST, hints=indexes_of(first))
    assert not any("/all/" in call.key for call in faulty.calls)
    assert {pack.domain for pack in content_of(uploaded).packs} == {"other"}
    assert read(faulty, uploaded) == FIRST


@pytest.mark.parametrize("part", ["/indexes/", "/hooks/"])
def test_an_upload_outlives_what_it_leaves_for_later_ones(part: str, caplog: pytest.LogCaptureFixture) -> None:
    """Where index or hooks cannot be written, there is one warning and the upload stands."""
    faulty = FaultyBackend(open_memory("beside"))
    faulty.when(lambda call: call.verb == "put" and part in call.key, Fault.DENY)
    uploaded = store(domain_of(faulty), FIRST)
    faulty.clear()
    assert read(faulty, uploaded) == FIRST
    (warning,) = warnings_of(caplog)
    assert "may not find" in warning


def test_an_oversized_index_is_not_taken_in(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """Of an index that somebody made huge, no more is read than an index may have."""
    (key,) = [info.key for info in backend.list("_mvs/data/all/indexes")]
    backend.put(key, bytes(70 * MIB))
    weighing = Weighing(backend)
    uploaded = store(domain_of(weighing), SECOND)
    assert stands_alone(backend, uploaded, SECOND)
    assert max(count for _, _, count in weighing.reads) <= 64 * MIB
    (warning,) = warnings_of(caplog)
    assert "damaged" in warning
