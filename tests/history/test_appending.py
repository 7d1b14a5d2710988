"""Appending: every change is in the log exactly once, whatever the network, other writers and crashes do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched, ObjectInfo
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    VersionedStoreError,
)
from mlflow_versioned_store.history import appending, batches
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Draft, DraftEntry, check_draft
from mlflow_versioned_store.testing.faults import Crash, Fault, FaultyBackend
from tests.history.making import DictBackend, commit_key, draft, file, new_log, sha256, upload


def _ids(backend: Backend) -> Counter[str]:
    """Return how often every change id is in the log."""
    return Counter(change.id for commit in new_log(backend).commits() for change in commit.changes)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be short, and give up soon."""
    monkeypatch.setattr(appending, "_PAUSE_SECONDS_MAX", 0.001)


class _Before(WrapperBackend):
    """Does something just before a chosen create."""

    def __init__(self, inner: Backend, action: Callable[[], object], times: int = 1) -> None:
        super().__init__(inner)
        self._action = action
        self.times = times

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        if create and self.times:
            self.times -= 1
            self._action()
        return super().put(key, data, create=create)


def test_who_loses_a_race_loses_nothing() -> None:
    """The loser reads what the winner wrote, numbers its change anew and commits next."""
    inner = DictBackend()
    other = new_log(inner)
    upload(other, "a", b"0")
    log = new_log(_Before(inner, lambda: upload(other, "a", b"theirs")))
    log.state()
    inner.spent()
    appended = upload(log, "a", b"ours")
    assert inner.spent() == {"get": 1, "put": 3}
    assert appended.versions[0] is not None
    assert (appended.commit, appended.versions[0].number) == (3, 3)
    assert [v.sha256 for v in new_log(inner).state().versions("a")] == [sha256(d) for d in (b"0", b"theirs", b"ours")]


def test_what_the_winner_wrote_may_make_ours_unchanged() -> None:
    """Numbering starts afresh in the state that the winner left: the same content is then no new version."""
    inner = DictBackend()
    other = new_log(inner)
    log = new_log(_Before(inner, lambda: upload(other, "a", b"same")))
    assert upload(log, "a", b"same").unchanged == (True,)
    assert [version.number for version in new_log(inner).state().versions("a")] == [1]


def test_losing_many_times_in_a_row_is_no_error() -> None:
    """However often others are faster, the change gets in."""
    inner = DictBackend()
    other = new_log(inner)
    turns = iter(range(100))
    log = new_log(_Before(inner, lambda: upload(other, "a", b"%d" % next(turns)), times=20))
    assert upload(log, "b", b"x").commit == 21
    assert set(_ids(inner).values()) == {1}


def test_an_endless_race_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never wins says so after a while, and has written nothing."""
    monkeypatch.setattr(appending, "CONTENTION_SECONDS_MAX", 0.0)
    inner = DictBackend()
    other = new_log(inner)
    log = new_log(_Before(inner, lambda: upload(other, "a", os.urandom(4)), times=50))
    with pytest.raises(Unavailable, match="Others were faster"):
        upload(log, "b", b"x")
    assert new_log(inner).state().get("b") is None


@pytest.mark.parametrize("others", [0, 1, 5, 40])
@pytest.mark.parametrize("cold", [True, False])
def test_a_lost_answer_is_recognised(others: int, cold: bool) -> None:
    """A put that happened though its answer was lost is found, also below what others committed meanwhile."""
    inner = DictBackend()
    other = new_log(inner)
    upload(other, "first", b"x")
    backend = FaultyBackend(inner)
    log = new_log(backend)
    if not cold:
        log.state()

    class Meanwhile(WrapperBackend):
        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            try:
                return super().put(key, data, create=create)
            except OutcomeUnknown:
                for index in range(others):
                    upload(other, "a", b"%d" % index)
                raise

    log = new_log(Meanwhile(backend))
    if not cold:
        log.state()
    backend.when(lambda call: call.key == commit_key(2) and call.create, Fault.LOST)
    appended = upload(log, "a", b"ours")
    assert appended.versions[0] is not None
    assert (appended.commit, appended.versions[0].number) == (2, 1)
    assert len(_ids(inner)) == others + 2
    assert set(_ids(inner).values()) == {1}
    assert log.state().number == others + 2


def test_a_late_put_is_not_a_second_one() -> None:
    """A put that fails, and happens all the same while it is tried again, is one commit."""
    inner = DictBackend()

    class Late(WrapperBackend):
        held: tuple[str, Buffer | Sequence[Buffer]] | None = None
        puts = 0

        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            self.puts += 1
            if self.puts == 1:
                self.held = (key, data)
                raise OutcomeUnknown("No answer.", key=key)
            if self.held:
                super().put(*self.held, create=True)
                self.held = None
            return super().put(key, data, create=create)

    log = new_log(Late(inner))
    appended = upload(log, "a", b"x")
    assert (appended.commit, appended.unchanged) == (1, (False,))
    assert list(_ids(inner).values()) == [1]
    assert upload(log, "a", b"y").commit == 2


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.THROTTLE])
@pytest.mark.parametrize("request_number", range(1, 6))
@pytest.mark.parametrize("raced", [True, False])
def test_one_fault_at_any_request_loses_and_doubles_nothing(fault: Fault, request_number: int, raced: bool) -> None:
    """Whichever request of an append fails, the change is there once if it succeeds, and at most once if not."""
    inner = DictBackend()
    other = new_log(inner)
    upload(other, "a", b"0")
    backend = FaultyBackend(inner)
    log = new_log(_Before(backend, lambda: upload(other, "a", b"theirs"), times=int(raced)))
    backend.at(request_number, fault)
    mine = draft("upload", file("a", b"ours"))
    try:
        log.append([mine])
    except Unavailable:
        assert _ids(inner)[mine.id] <= 1
        log.append([mine])
    backend.clear()
    assert _ids(inner)[mine.id] == 1
    assert set(_ids(inner).values()) == {1}
    assert log.state().get("a") == new_log(inner).state().get("a")


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("request_number", range(1, 8))
def test_a_crash_at_any_request_leaves_a_sound_log(fault: Fault, request_number: int) -> None:
    """Wherever a writer dies, also between parts, checkpoints and commit, old versions read and a retry succeeds."""
    inner = DictBackend()
    other = new_log(inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow_versioned_store.history.checkpoints.COMMITS_MAX", 2)
        patch.setattr("mlflow_versioned_store.history.columns.CHUNK_ROWS_MAX", 3)
        for index in range(5):
            upload(other, f"old{index}", b"%d" % index)
        backend = FaultyBackend(inner)
        backend.at(request_number, fault)
        big = draft("upload", *(file(f"new/{index}", b"x") for index in range(9)))
        with suppress(Crash):
            new_log(backend).append([big])
        state = new_log(inner).state()
        assert {v.path for v in state.walk() if v.path.startswith("old")} == {f"old{index}" for index in range(5)}
        assert len(list(state.walk("new"))) in {0, 9}
        new_log(inner).append([draft("upload", *(file(f"new/{index}", b"x") for index in range(9)))])
        assert len(list(new_log(inner).state().walk("new"))) == 9
        assert new_log(inner).verify().broken is None


def test_a_store_that_stops_answering_is_an_error_and_the_same_drafts_are_found_later() -> None:
    """Without an answer the outcome is unknown; the same drafts appended again are recognised."""
    inner = DictBackend()
    backend = FaultyBackend(inner)
    log = new_log(backend)
    upload(log, "a", b"0")
    backend.when(lambda call: call.create, Fault.LOST)
    backend.when(lambda _: True, Fault.REFUSED)
    mine = draft("upload", file("a", b"ours"))
    with pytest.raises(OutcomeUnknown, match="may have been"):
        log.append([mine])
    backend.clear()
    appended = log.append([mine])[0]
    assert appended.versions[0] is not None
    assert (appended.commit, appended.versions[0].number) == (2, 2)
    assert _ids(inner)[mine.id] == 1


def test_a_key_that_is_taken_and_not_there_is_an_error() -> None:
    """A server that refuses the create and shows nothing is not asked for ever."""

    class Contrary(WrapperBackend):
        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            del data, create
            raise Conflict(f"{key} is taken.", key=key)

    with pytest.raises(OutcomeUnknown):
        upload(new_log(Contrary(DictBackend())), "a", b"x")


def test_a_silent_store_is_not_waited_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a put that used up the time there is for an answer, a look that hangs is left to itself."""
    monkeypatch.setattr(appending, "UNCERTAIN_SECONDS_MAX", 0.05)
    answering = threading.Event()

    class Silent(WrapperBackend):
        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            del data, create
            raise OutcomeUnknown(f"Creating {key} got no answer.", key=key)

        def get(
            self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None
        ) -> Fetched:
            assert answering.wait(60), "nobody is to wait for this"
            return super().get(key, start=start, stop=stop, s3_version_id=s3_version_id)

    with pytest.raises(OutcomeUnknown, match="may have been"):
        upload(new_log(Silent(DictBackend())), "a", b"x")
    answering.set()


def test_a_denied_put_is_an_error_at_once() -> None:
    """Who may not write is told so after one try."""
    backend = FaultyBackend(DictBackend())
    backend.when(lambda call: call.verb == "put", Fault.DENY)
    with pytest.raises(AccessDenied):
        upload(new_log(backend), "a", b"x")
    assert [call.verb for call in backend.calls] == ["list", "put"]


class _Gate(WrapperBackend):
    """Holds the first create until so many other calls wait to be committed."""

    def __init__(self, inner: Backend, waiting: int) -> None:
        super().__init__(inner)
        self.log = new_log(self)
        self._waiting = waiting

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        while create and key == commit_key(1) and len(self.log._appender._queue._waiting) < self._waiting:
            time.sleep(0.001)
        return super().put(key, data, create=create)


def _together(backend: Backend, drafts: Sequence[Draft]) -> list[object]:
    """Append each draft in a thread of its own, the first one a little ahead; return answers or errors."""
    log = _Gate(backend, len(drafts) - 1).log

    def run(each: Draft) -> object:
        while each is not drafts[0] and not log._appender._queue._led:
            time.sleep(0.001)
        try:
            return log.append([each])[0]
        except (VersionedStoreError, KeyboardInterrupt) as error:
            return error

    with ThreadPoolExecutor(len(drafts)) as pool:
        return list(pool.map(run, drafts))


def test_calls_that_come_meanwhile_are_committed_together() -> None:
    """While one call is away others gather, and go in one commit; each gets its own answer."""
    inner = DictBackend()
    drafts = [draft("upload", file(f"f{index}", b"%d" % index), frames=b"%d" % index) for index in range(16)]
    answers = _together(inner, drafts)
    assert inner.spent() == {"list": 1, "put": 2}
    state = new_log(inner).state()
    for index, answer in enumerate(answers):
        assert isinstance(answer, Appended)
        assert answer.versions[0] == state.get(f"f{index}")
        assert bytes(new_log(inner).frames(answer.commit, answer.change)) == b"%d" % index


def test_one_that_cannot_work_fails_alone() -> None:
    """A call that the state refuses does not take those down that are committed with it."""
    inner = DictBackend()
    drafts = [draft("upload", file(f"f{index}", b"x")) for index in range(8)]
    drafts[4] = draft("expire", DraftEntry("nowhere", version=1))
    answers = _together(inner, drafts)
    assert [index for index, answer in enumerate(answers) if isinstance(answer, NotFound)] == [4]
    assert len(list(new_log(inner).state().walk())) == 7
    with pytest.raises(InvalidInput):
        new_log(inner).append([draft("upload", DraftEntry("../x", sha256="0" * 64))])


def test_all_that_go_together_fail_together() -> None:
    """When the store denies a commit, each of its callers gets an error of its own."""
    inner = FaultyBackend(DictBackend())
    inner.when(lambda call: call.key == commit_key(2), Fault.DENY)
    answers = _together(inner, [draft("upload", file(f"f{index}", b"x")) for index in range(8)])
    assert [isinstance(answer, AccessDenied) for answer in answers] == [False] + [True] * 7
    assert len({id(answer) for answer in answers}) == 8


def test_an_interrupted_leader_leaves_the_others_working() -> None:
    """When the thread that commits for all is interrupted, another one takes over and nothing is lost or doubled."""
    inner = DictBackend()

    class Interrupting(WrapperBackend):
        armed = True

        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            done = super().put(key, data, create=create)
            if key == commit_key(2) and self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return done

    drafts = [draft("upload", file(f"f{index}", b"x")) for index in range(8)]
    answers = _together(Interrupting(inner), drafts)
    assert sum(isinstance(answer, KeyboardInterrupt) for answer in answers) == 1
    assert _ids(inner) == Counter({each.id: 1 for each in drafts})


def test_a_commit_takes_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would make a commit too large waits for the next one."""
    monkeypatch.setattr(batches, "DRAFTS_MAX", 3)
    inner = DictBackend()
    _together(inner, [draft("upload", file(f"f{index}", b"x")) for index in range(10)])
    sizes = [len(commit.changes) for commit in new_log(inner).commits()]
    assert (sum(sizes), max(sizes)) == (10, 3)


class _Slow(WrapperBackend):
    """Takes a while for a create."""

    seconds = 0.3

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        time.sleep(self.seconds)
        return super().put(key, data, create=create)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_appends() -> None:
    """A child forked while another thread was appending is not stuck behind that thread."""
    inner = DictBackend()
    slow = _Slow(inner)
    log = new_log(slow)
    thread = threading.Thread(target=upload, args=(log, "a", b"x"))
    thread.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        slow.seconds = 0
        upload(log, "b", b"x")
        os._exit(7 if len(list(log.state().walk())) == 1 else 8)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_many_threads_on_one_path_make_every_version_once() -> None:
    """Threads of several clients that write one path at once make versions without gaps, each exactly once."""
    inner = DictBackend()
    logs = [new_log(inner) for _ in range(4)]

    def run(worker: int) -> list[int]:
        made = [upload(logs[worker % 4], "p", b"%d-%d" % (worker, index)).versions[0] for index in range(10)]
        return [version.number for version in made if version]

    with ThreadPoolExecutor(16) as pool:
        numbers = sorted(number for made in pool.map(run, range(16)) for number in made)
    versions = new_log(inner).state().versions("p")
    assert numbers == [version.number for version in versions] == list(range(1, 161))
    assert {v.sha256 for v in versions} == {sha256(b"%d-%d" % (w, i)) for w in range(16) for i in range(10)}
    assert set(_ids(inner).values()) == {1}
    assert new_log(inner).verify().broken is None


_WORKER = """
import sys, threading
from mlflow_versioned_store.backends.files import FilesBackend
from tests.history.making import new_log, upload
log = new_log(FilesBackend(sys.argv[1]))
def run(thread):
    for index in range(3):
        upload(log, "p", f"{sys.argv[2]}-{thread}-{index}".encode())
threads = [threading.Thread(target=run, args=(thread,)) for thread in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_many_processes_on_one_path_make_every_version_once(tmp_path: Path) -> None:
    """Eight threads in each of six processes write one path of a store on disk: every version is there once."""
    from mlflow_versioned_store.backends.files import FilesBackend

    workers = [
        subprocess.Popen([sys.executable, "-c", _WORKER, str(tmp_path), str(index)], cwd=Path(__file__).parents[2])
        for index in range(6)
    ]
    assert [worker.wait(120) for worker in workers] == [0] * 6
    log = new_log(FilesBackend(str(tmp_path)))
    versions = log.state().versions("p")
    expected = {sha256(f"{p}-{t}-{i}".encode()) for p in range(6) for t in range(8) for i in range(3)}
    assert [version.number for version in versions] == list(range(1, 145))
    assert {version.sha256 for version in versions} == expected
    assert log.verify().broken is None


@pytest.mark.parametrize("depth", range(52, 62))
def test_values_as_deep_as_a_draft_may_have_fit_a_record(depth: int) -> None:
    """What the check of a draft lets through can always be written and read, wherever it stands."""
    deep = json.loads("[" * depth + "]" * depth)
    backend = DictBackend()
    mine = draft("upload", *(file(f"f{index}", b"x", at=deep) for index in range(20)), content={"deep": deep})
    try:
        check_draft(mine)
    except InvalidInput:
        assert depth > 54
        return
    new_log(backend).append([mine])
    assert new_log(backend).locate(new_log(backend).state().walk())[19].at == deep


def test_what_nobody_read_is_never_unchanged() -> None:
    """A file without a digest makes a version each time: nobody knows whether it is the same."""
    log = new_log(DictBackend())
    for number in (1, 2):
        (appended,) = log.append([draft("upload", DraftEntry("taken", size=5, at={"reference": "s3://lake/taken"}))])
        assert appended.unchanged == (False,)
        (version,) = appended.versions
        assert version is not None
        assert (version.number, version.sha256) == (number, "")
    assert [version.sha256 for version in log.state().versions("taken")] == ["", ""]
