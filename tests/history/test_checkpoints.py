"""Checkpoints: few, levelled, and only a shortcut."""

from __future__ import annotations

import logging
import random

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import AccessDenied, Unavailable
from mlflow_versioned_store.history import checkpoints, columns
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import DraftEntry
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.history.making import FOLDER, DictBackend, draft, file, new_log, upload


def _busy(log: Log, commits: int, seed: int = 1) -> None:
    """Commit small changes of every kind."""
    chance = random.Random(seed)
    for index in range(commits):
        path = f"d{chance.randint(0, 5)}/f{chance.randint(0, 9)}"
        kind = chance.choice(["upload", "upload", "upload", "delete", "annotate"])
        if kind == "delete":
            log.append([draft("delete", DraftEntry(path))])
        elif kind == "annotate" and log.state(refresh=False).latest(path):
            log.append([draft("annotate", DraftEntry(path, note={f"k{index % 3}": index}))])
        else:
            log.append([draft("upload", file(path, b"%d" % chance.randint(0, 3)))])


def _everything(state: State) -> object:
    paths = sorted({f"d{folder}/f{name}" for folder in range(6) for name in range(10)})
    return state.number, {path: state.versions(path) for path in paths}, list(state.walk()), state.all_notes()


def _shortcuts(backend: DictBackend) -> list[str]:
    return [key for key in backend.objects if key.startswith((f"{FOLDER}/_k/", f"{FOLDER}/_p/"))]


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checkpoints come early and levels fill quickly."""
    monkeypatch.setattr(checkpoints, "COMMITS_MAX", 4)
    monkeypatch.setattr(checkpoints, "GROWTH", 3)


@pytest.mark.usefixtures("small_steps")
def test_state_from_checkpoints_is_state_from_the_log() -> None:
    """At every length of the log a process that knows nothing reads the state that the writer has."""
    backend = DictBackend()
    log = new_log(backend)
    for seed in range(60):
        _busy(log, 3, seed)
        assert _everything(new_log(backend).state()) == _everything(log.state())
    assert max(ref.level for ref, _ in log.state().checkpoints) >= 3
    for number in range(1, 180, 17):
        assert new_log(backend).state_at(commit=number).number == number


@pytest.mark.usefixtures("small_steps")
def test_lost_checkpoints_change_nothing_but_cost(caplog: pytest.LogCaptureFixture) -> None:
    """Whichever checkpoint is gone, the log is folded again: the same state, one warning each, and appends go on."""
    backend = DictBackend()
    _busy(new_log(backend), 100)
    expected = _everything(new_log(backend).state())
    live = [f"{ref.digest}" for ref, _ in new_log(backend).state().checkpoints]
    assert len(live) >= 2
    for lost in [[digest] for digest in live] + [live]:
        kept = dict(backend.objects)
        for key in _shortcuts(backend):
            if key[-64:] in lost:
                del backend.objects[key]
        caplog.clear()
        log = new_log(backend)
        state = log.state()
        assert _everything(state) == expected
        assert _everything(state) == expected
        assert len(caplog.records) == len(lost)
        _busy(log, 10, seed=2)
        assert log.state().number == 110
        backend.objects = kept


@pytest.mark.usefixtures("small_steps")
def test_damaged_checkpoints_are_noticed() -> None:
    """A flipped bit anywhere in a checkpoint is no other state."""
    backend = DictBackend()
    _busy(new_log(backend), 60)
    expected = _everything(new_log(backend).state())
    for key in _shortcuts(backend):
        whole = backend.objects[key]
        for at in {0, len(whole) // 2, len(whole) - 1}:
            backend.objects[key] = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
            assert _everything(new_log(backend).state()) == expected
        backend.objects[key] = whole


@pytest.mark.usefixtures("small_steps")
def test_forged_checkpoints_are_noticed() -> None:
    """A sound checkpoint of something else, under the key of the one that the head names, is not believed."""
    backend, other = DictBackend(), DictBackend()
    _busy(new_log(backend), 60)
    _busy(new_log(other), 60, seed=2)
    expected = _everything(new_log(backend).state())
    layout = [(ref.level, ref.first, ref.number) for ref, _ in new_log(backend).state().checkpoints]
    forged = [ref for ref, _ in new_log(other).state().checkpoints]
    assert [(ref.level, ref.first, ref.number) for ref in forged] == layout
    for (ref, _), theirs in zip(new_log(backend).state().checkpoints, forged, strict=True):
        stolen = other.objects[keys.checkpoint(FOLDER, theirs.number, theirs.digest)]
        backend.objects[keys.checkpoint(FOLDER, ref.number, ref.digest)] = stolen
    assert _everything(new_log(backend).state()) == expected


@pytest.mark.usefixtures("small_steps")
def test_a_checkpoint_that_cannot_be_read_is_no_reason_to_fold() -> None:
    """An unreachable store is an error, not a lost checkpoint."""
    inner = DictBackend()
    _busy(new_log(inner), 60)
    backend = FaultyBackend(inner)
    backend.when(lambda call: "/_k/" in call.key, Fault.REFUSED)
    with pytest.raises(Unavailable):
        list(new_log(backend).state().walk())


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED])
def test_checkpoints_that_cannot_be_written_stop_nobody(fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Who may not write checkpoints still commits, and says so."""
    inner = DictBackend()
    backend = FaultyBackend(inner)
    backend.when(lambda call: "/_k/" in call.key and call.verb == "put", fault)
    log = new_log(backend)
    with caplog.at_level(logging.WARNING):
        for index in range(12):
            upload(log, f"f{index}", b"x")
    assert 1 <= len(caplog.records) <= 3
    assert "checkpoint" in caplog.text
    assert len(list(new_log(inner).state().walk())) == 12


def test_ten_thousand_commits_open_in_four_requests() -> None:
    """One list, the head and two checkpoints; writing those was a small part of all that was written."""
    backend = DictBackend()
    log = new_log(backend)
    for index in range(10_000):
        log.append([draft("upload", DraftEntry(f"d{index % 50}/f{index}", size=1, sha256=f"{index:064x}"))])
    spent = backend.spent()
    assert spent["put"] <= 10_000 * 1.02 + 1
    state = new_log(backend).state()
    assert len(list(state.children("d7"))) == 200
    assert backend.spent() == {"get": 3, "list": 1}
    refs = [ref for ref, _ in state.checkpoints]
    assert [(ref.first, ref.level) for ref in refs][-1] == (1, 2)
    assert sum(len(backend.objects[key]) for key in _shortcuts(backend)) < 10_000 * 14 * 60


def test_a_large_state_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing one folder of many reads the parts that hold it, and lost parts are folded again."""
    monkeypatch.setattr(columns, "CHUNK_ROWS_MAX", 100)
    backend = DictBackend()
    log = new_log(backend)
    for folder in range(20):
        log.append([draft("upload", *(file(f"d{folder:02d}/f{name:02d}", b"x") for name in range(80)))])
    upload(log, "last", b"x")
    assert len([key for key in backend.objects if key.startswith(f"{FOLDER}/_p/")]) >= 12
    backend.spent()
    state = new_log(backend).state()
    assert len(list(state.children("d07"))) == 80
    assert backend.spent()["get"] <= 2 + 3
    assert len(list(state.walk())) == 1601
    for key in _shortcuts(backend)[::2]:
        del backend.objects[key]
    assert len(list(new_log(backend).state().walk())) == 1601


def test_a_middling_state_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to eight parts are one table, so that all of it takes a listing, the newest commit and one checkpoint."""
    monkeypatch.setattr(columns, "CHUNK_ROWS_MAX", 100)
    backend = DictBackend()
    log = new_log(backend)
    log.append([draft("upload", *(file(f"d/{index:03d}", b"x") for index in range(790)))])
    upload(log, "last", b"x")
    backend.spent()
    assert len(list(new_log(backend).state().walk())) == 791
    assert backend.spent() == {"get": 2, "list": 1}


def test_a_large_commit_is_folded_by_the_next_one() -> None:
    """Ten thousand files are one put; what they add is carried by a checkpoint from the next commit on."""
    backend = DictBackend()
    log = new_log(backend)
    log.append([draft("upload", *(file(f"d/{index}", b"%d" % index) for index in range(10_000)))])
    assert backend.spent() == {"list": 1, "put": 1}
    assert len(next(iter(backend.objects.values()))) < 500_000
    upload(log, "x", b"x")
    assert backend.spent() == {"put": 2}
    upload(log, "y", b"x")
    assert backend.spent() == {"put": 1}


def _denying(backend: Backend) -> FaultyBackend:
    faulty = FaultyBackend(backend)
    faulty.when(lambda _: True, Fault.DENY)
    return faulty


def test_a_denied_log_is_not_an_empty_one() -> None:
    """Who may not look gets an error, never an empty state."""
    with pytest.raises(AccessDenied):
        new_log(_denying(DictBackend())).state()
