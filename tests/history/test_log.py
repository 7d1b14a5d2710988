"""The log as its callers see it: costs, states at any time, frames, damage."""

from __future__ import annotations

import random
import struct
from datetime import UTC, datetime, timedelta

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.errors import Damaged, InvalidInput, NotFound, ObjectMissing
from mlflow_versioned_store.history import columns, sealed
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import Commit, encode_commit
from tests.history.making import FOLDER, ROOT, DictBackend, commit_key, draft, file, new_log, remove, upload

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def backend() -> DictBackend:
    """Return an empty store."""
    return DictBackend()


def test_costs_in_requests(backend: DictBackend) -> None:
    """A new root costs a list and a put, a warm process one put, a cold one a list, a get and a put."""
    log = new_log(backend)
    upload(log, "a", b"1")
    assert backend.spent() == {"list": 1, "put": 1}
    upload(log, "a", b"2")
    assert backend.spent() == {"put": 1}
    upload(new_log(backend), "a", b"3")
    assert backend.spent() == {"get": 1, "list": 1, "put": 1}
    upload(log, "a", b"4")
    assert backend.spent() == {"get": 1, "put": 2}
    log.state()
    assert backend.spent() == {"get": 1}
    log.state(refresh=False)
    assert backend.spent() == {}


def test_a_hundred_texts_are_a_hundred_requests_and_a_checkpoint(backend: DictBackend) -> None:
    """A warm process pays one request for each small file, and one more about every 64."""
    log = new_log(backend)
    upload(log, "first", b"x")
    backend.spent()
    for index in range(100):
        upload(log, f"log-{index}.txt", b"%d" % index)
    assert backend.spent() == {"put": 101}


def test_a_log_expected_to_be_short_is_read_from_its_start(backend: DictBackend) -> None:
    """Where few commits are expected none is looked for by listing, and a first one is one put."""
    log = Log(backend, FOLDER, root=ROOT, short=True)
    assert log.state().number == 0
    assert backend.spent() == {"get": 1}
    upload(Log(backend, FOLDER, root=ROOT, short=True), "a", b"x")
    assert backend.spent() == {"put": 1}
    upload(log, "b", b"x")
    assert [version.path for version in Log(backend, FOLDER, root=ROOT, short=True).state().walk()] == ["a", "b"]
    assert backend.spent() == {"get": 4, "put": 2}


def test_who_is_far_behind_jumps_to_the_head(backend: DictBackend) -> None:
    """A process that slept through hundreds of commits does not read them one by one."""
    sleeper, log = new_log(backend), new_log(backend)
    upload(sleeper, "a", b"x")
    for index in range(300):
        upload(log, f"f{index}", b"x")
    backend.spent()
    assert sleeper.state().number == 301
    assert sum(backend.spent().values()) <= 18
    upload(sleeper, "b", b"x")
    assert backend.spent() == {"get": 1, "put": 1}


@pytest.mark.parametrize("commits", [0, 1, 2, 3, 4, 7, 8, 9, 100])
def test_the_head_is_found_in_unordered_listings(commits: int) -> None:
    """Where a listing has no order the numbers are galloped over, and the order is never trusted."""
    backend = DictBackend(ordered=False)
    log = new_log(backend)
    for index in range(commits):
        upload(log, f"f{index}", b"x")
    backend.spent()
    assert new_log(backend).state().number == commits
    assert "list" not in backend.spent()


@pytest.mark.parametrize(
    "foreign", ["", "-", ".DS_Store", "0", "99999999999", "zzz", "999999999999/x", "000000000000.tmp"]
)
def test_foreign_objects_in_the_folder_are_ignored(backend: DictBackend, foreign: str) -> None:
    """Whatever else lies among the commits, the head is the newest commit."""
    backend.objects[f"{keys.commits(FOLDER)}/{foreign}"] = b"?"
    assert new_log(backend).state().number == 0
    upload(new_log(backend), "a", b"x")
    upload(new_log(backend), "b", b"x")
    assert new_log(backend).state().number == 2


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("missing", range(1, 9))
def test_a_gap_is_damage_and_not_the_end(ordered: bool, missing: int) -> None:
    """Below a missing commit nothing is taken for the head, and nothing is ever written into the gap."""
    backend = DictBackend(ordered=ordered)
    log = new_log(backend)
    for index in range(9):
        upload(log, f"f{index}", b"%d" % index)
    del backend.objects[commit_key(missing)]
    fresh = new_log(backend)
    try:
        assert fresh.state().number == 9
    except Damaged:
        pass
    else:
        with pytest.raises(ObjectMissing, match=f"ommit {missing} "):
            list(fresh.commits())
    assert new_log(backend).verify().broken == (missing if missing < 9 else None)
    assert commit_key(missing) not in backend.objects


def test_commits_come_in_either_order(backend: DictBackend) -> None:
    """The history is read from either end, back to or from any commit on."""
    log = new_log(backend)
    for index in range(5):
        upload(log, f"f{index}", b"x")
    numbers = [commit.number for commit in log.commits()]
    assert (numbers, [c.number for c in log.commits(newest_first=False)]) == ([5, 4, 3, 2, 1], [1, 2, 3, 4, 5])
    assert [c.number for c in log.commits(oldest=4)] == [5, 4]
    assert [c.number for c in log.commits(newest_first=False, oldest=4)] == [4, 5]
    parents = [commit.parent for commit in log.commits(newest_first=False)]
    assert parents == ["", *(commit.digest for commit in log.commits(newest_first=False))][:5]
    with pytest.raises(NotFound):
        log.commit(6)


@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_both_digests_chain(backend: DictBackend, digest: str) -> None:
    """A store that names bytes by SHA-256 works as one that does by BLAKE3, and neither reads the other's."""
    log = new_log(backend, digest)
    for index in range(70):
        upload(log, f"f{index}", b"x")
    assert len(list(new_log(backend, digest).state().walk())) == 70
    with pytest.raises(Damaged):
        new_log(backend, "sha256" if digest == "blake3" else "blake3").state()


def test_states_of_the_past(backend: DictBackend) -> None:
    """The state at a commit, or at a time, is what a reader saw then."""
    log = new_log(backend)
    for minute in range(40):
        backend.clock = NOON + timedelta(minutes=minute)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time_ns", lambda: int(backend.now().timestamp() * 1e9))
            upload(log, f"f{minute}", b"x")
    for log_read in (log, new_log(backend)):
        for minute in (0, 1, 17, 38, 39):
            expected = [f"f{index}" for index in range(minute + 1)]
            for state in (
                log_read.state_at(commit=minute + 1),
                log_read.state_at(time=NOON + timedelta(minutes=minute)),
                log_read.state_at(time=NOON + timedelta(minutes=minute, seconds=59)),
            ):
                assert sorted(v.path for v in state.walk()) == sorted(expected)
    with pytest.raises(NotFound, match="by 2026-11-01T11:59"):
        log.state_at(time=NOON - timedelta(minutes=1))
    with pytest.raises(NotFound, match="no commit 41"):
        log.state_at(commit=41)
    for wrong in ({}, {"commit": 1, "time": NOON}, {"time": NOON.replace(tzinfo=None)}):
        with pytest.raises(InvalidInput):
            log.state_at(**wrong)
    assert new_log(DictBackend()).state().number == 0
    with pytest.raises(NotFound):
        new_log(DictBackend()).state_at(commit=1)


def test_a_clock_that_is_ahead_does_not_poison_the_root(backend: DictBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a client is more than five minutes ahead of the store, the store's time counts, for everybody."""
    backend.clock = NOON
    log = new_log(backend)
    for ahead, expected in [(timedelta(days=400), NOON), (timedelta(minutes=4), NOON + timedelta(minutes=4))]:
        monkeypatch.setattr("time.time_ns", lambda ahead=ahead: int((NOON + ahead).timestamp() * 1e9))
        upload(log, "a", str(ahead).encode())
        for reader in (log, new_log(backend)):
            latest = reader.state().get("a")
            assert latest is not None
            assert latest.when == expected
    monkeypatch.setattr("time.time_ns", lambda: int((NOON - timedelta(days=1)).timestamp() * 1e9))
    upload(log, "a", b"behind")
    assert [v.when for v in new_log(backend).state().versions("a")] == [NOON, *[NOON + timedelta(minutes=4)] * 2]
    assert new_log(backend).verify().broken is None


def test_frames_come_back_checked(backend: DictBackend) -> None:
    """Inline frames of every change are found in their commit; damage to them is noticed, and named."""
    log = new_log(backend)
    drafts = [
        draft("upload", file(f"f{index}", data), frames=data) for index, data in enumerate([b"one", b"", b"three"])
    ]
    log.append(drafts)
    for reader in (log, new_log(backend)):
        assert bytes(reader.frames(1, 0)) == b"one"
        assert bytes(reader.frames(1, 2)) == b"three"
        for change in (1, 3):
            with pytest.raises(Damaged):
                reader.frames(1, change)
    backend.objects[commit_key(1)] = backend.objects[commit_key(1)][:-1] + b"E"
    with pytest.raises(Damaged, match="commit 1"):
        new_log(backend).frames(1, 2)
    assert bytes(new_log(backend).frames(1, 0)) == b"one"


def test_locating_reads_each_commit_once(backend: DictBackend) -> None:
    """However many versions are asked for, in whatever order, a commit is read once."""
    log = new_log(backend)
    for index in range(6):
        log.append(
            [
                draft(
                    "upload",
                    *(file(f"d{index}/{n}", b"%d" % n, at=[index, n]) for n in range(30)),
                    content={"c": index},
                )
            ]
        )
    backend.spent()
    reader = new_log(backend)
    versions = list(reader.state().walk())
    random.Random(1).shuffle(versions)
    located = reader.locate(versions)
    assert backend.spent()["get"] <= 6
    for version, found in zip(versions, located, strict=True):
        folder, name = version.path[1:].split("/")
        assert (found.version, found.at, found.content) == (version, [int(folder), int(name)], {"c": int(folder)})


def test_very_large_changes_are_kept_in_parts(backend: DictBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries beyond one chunk go to parts, durable before the commit; readers fetch the parts they need."""
    monkeypatch.setattr(columns, "CHUNK_ROWS_MAX", 100)
    log = new_log(backend)
    entries = [file(f"f{index:04d}", b"%d" % index, at=[index]) for index in range(1000)]
    appended = log.append([draft("upload", *entries, content={"c": 1})])[0]
    assert [version and version.path for version in appended.versions] == [entry.path for entry in entries]
    assert [key.rpartition("/")[0].endswith("_p") for key in backend.objects] == [True] * 10 + [False]
    reader = new_log(backend)
    versions = list(reader.state().walk())
    assert len(versions) == 1000
    backend.spent()
    assert [found.at for found in reader.locate(versions[250:260])] == [[index] for index in range(250, 260)]
    assert backend.spent() == {"get": 1}
    change = reader.commit(1).changes[0]
    assert (change.entries, len(reader.entries(change))) == ((), 1000)
    del backend.objects[next(iter(backend.objects))]
    with pytest.raises(ObjectMissing, match="part"):
        new_log(backend).state()


def _replace(backend: DictBackend, number: int, **fields: object) -> None:
    parent = new_log(backend).commit(number)
    fields = {
        "root": parent.root,
        "number": number,
        "parent": parent.parent,
        "time": parent.time,
        "changes": (),
        **fields,
    }
    backend.objects[commit_key(number)] = encode_commit(Commit(**fields), sealed.digest_named("blake3"))  # type: ignore[arg-type]


def test_a_commit_of_elsewhere_is_damage(backend: DictBackend) -> None:
    """An object that is the commit of another number or root is not read as this one's."""
    log = new_log(backend)
    upload(log, "a", b"1")
    upload(log, "a", b"2")
    whole = dict(backend.objects)
    backend.objects[commit_key(2)] = whole[commit_key(1)]
    with pytest.raises(Damaged, match="commit 1 of"):
        new_log(backend).state()
    backend.objects = dict(whole)
    _replace(backend, 2, root="another")
    with pytest.raises(Damaged, match="another"):
        new_log(backend).state()
    with pytest.raises(Damaged):
        Log(backend, FOLDER, root=ROOT + "x").state()


def test_a_rewritten_past_is_noticed_by_who_knew_it(backend: DictBackend) -> None:
    """A process that read a commit before does not follow a child of another one."""
    log = new_log(backend)
    upload(log, "a", b"1")
    _replace(backend, 1, time=5)
    upload(new_log(backend), "a", b"2")
    with pytest.raises(Damaged, match="not the child"):
        log.state()


@pytest.mark.parametrize(
    "since",
    [
        (),
        (b'{"number":2}',),
        (b'{"number":1}', b'{"number":1}'),
        (b"[]",),
        (b'{"number":1,"rows":{"path":["../a"]}}',),
    ],
    ids=range(5),
)
def test_a_head_that_lies_about_what_was_before_is_damage(backend: DictBackend, since: tuple[bytes, ...]) -> None:
    """The changes since the last checkpoint are all there, in order and clean, or the head is damaged."""
    log = new_log(backend)
    upload(log, "a", b"1")
    upload(log, "a", b"2")
    _replace(backend, 2, since=since)
    with pytest.raises(Damaged, match=commit_key(2)):
        new_log(backend).state()


def test_an_object_that_is_not_a_record_is_damage(backend: DictBackend) -> None:
    """Any bytes may lie where a commit should be."""
    for junk in (b"", b"\0" * 100, b"{}\n", struct.pack("<I", 0xFD2FB528) + b"\xff" * 100):
        backend.objects[commit_key(1)] = junk
        with pytest.raises(Damaged, match=commit_key(1)):
            new_log(backend).state()


def test_deleting_everything_leaves_history(backend: DictBackend) -> None:
    """After everything is deleted the root is empty, and its past is all there."""
    log = new_log(backend)
    upload(log, "a", b"1")
    remove(log, "")
    assert list(log.state().children("")) == []
    assert [version.path for version in log.state_at(commit=1).walk()] == ["a"]
