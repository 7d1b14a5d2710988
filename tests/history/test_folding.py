"""What every operation does to state, whoever wrote it."""

from __future__ import annotations

import dataclasses

import pytest

from mlflow_versioned_store.errors import Damaged, InvalidInput, NotFound
from mlflow_versioned_store.history import sealed
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Change, Commit, DraftEntry, Entry, Operation, encode_commit
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Place
from tests.history.making import ROOT, DictBackend, commit_key, draft, file, new_log, remove, sha256, upload


def _say(log: Log, operation: Operation, *entries: DraftEntry) -> Appended:
    return log.append([draft(operation, *entries)])[0]


def _read_anew(backend: DictBackend) -> State:
    return new_log(backend).state()


@pytest.fixture
def backend() -> DictBackend:
    """Return a backend where "a" has the versions 1 and 2."""
    backend = DictBackend()
    log = new_log(backend)
    upload(log, "a", b"one")
    upload(log, "a", b"two")
    return backend


def test_unchanged_content_makes_no_version(backend: DictBackend) -> None:
    """An upload of the current content is a commit that changes nothing, and says which version it found."""
    log = new_log(backend)
    appended = upload(log, "a", b"two")
    assert (appended.unchanged, appended.versions[0]) == ((True,), log.state().get("a"))
    change = log.commit(3).changes[0]
    assert (change.entries, change.unchanged and change.unchanged.addresses) == ((), ("a@@v2",))
    assert [version.number for version in _read_anew(backend).versions("a")] == [1, 2]


def test_old_content_makes_a_new_version(backend: DictBackend) -> None:
    """Only the current version counts for "unchanged"."""
    assert upload(new_log(backend), "a", b"one").unchanged == (False,)
    assert [version.sha256 for version in _read_anew(backend).versions("a")] == [
        sha256(b"one"), sha256(b"two"), sha256(b"one"),
    ]  # fmt: skip


def test_an_upload_after_a_delete_is_a_new_version(backend: DictBackend) -> None:
    """A tombstone ends the current version and takes no number; the same content after it is a new version."""
    log = new_log(backend)
    assert [version.number for version in remove(log, "a").deleted] == [2]
    state = _read_anew(backend)
    assert (state.get("a"), [version.status for version in state.versions("a")]) == (None, ["live", "deleted"])
    assert [version.ended for version in state.versions("a")] == [0, log.commit(state.number).time]
    appended = upload(log, "a", b"two")
    assert (appended.versions[0] and appended.versions[0].number, appended.unchanged) == (3, (False,))
    assert [version.status for version in _read_anew(backend).versions("a")] == ["live", "deleted", "live"]


def test_a_restore_is_a_new_version(backend: DictBackend) -> None:
    """What is restored becomes current under a new number, and keeps saying where its bytes are."""
    log = new_log(backend)
    remove(log, "a")
    _say(log, "restore", file("a", b"one", at=["elsewhere"]))
    state = _read_anew(backend)
    assert [(v.number, v.sha256, v.status) for v in state.versions("a")][2] == (3, sha256(b"one"), "live")
    assert new_log(backend).locate(state.versions("a")[2:])[0].at == ["elsewhere"]


def test_deleting_a_folder_ends_everything_below(backend: DictBackend) -> None:
    """A deletion of a folder reaches files and folders at any depth, and nothing beside it."""
    log = new_log(backend)
    for path in ("d/x", "d/e/y", "d-e", "dd"):
        upload(log, path, b"x")
    _say(log, "upload", DraftEntry("d/empty", kind="folder"))
    assert {version.path for version in remove(log, "d").deleted} == {"d/x", "d/e/y", "d/empty"}
    assert [version.path for version in _read_anew(backend).walk()] == ["a", "d-e", "dd"]
    assert remove(log, "nowhere").deleted == ()
    assert {version.path for version in remove(log, "").deleted} == {"a", "d-e", "dd"}
    assert list(_read_anew(backend).children("")) == []


def test_a_deletion_of_a_file_leaves_its_namesakes(backend: DictBackend) -> None:
    """Deleting one file is not deleting what is below it."""
    log = new_log(backend)
    upload(log, "d/x", b"x")
    assert _say(log, "delete", DraftEntry("d")).deleted == ()
    assert _read_anew(backend).has_folder("d")


@pytest.mark.parametrize(("there", "then"), [("a", "a/b/c"), ("a/b", "a/b/c"), ("a/b/c", "a"), ("a/b/c", "a/b")])
def test_a_path_is_a_file_or_a_folder_never_both(there: str, then: str) -> None:
    """What would make it both is refused, also behind another client's back; a deleted path is free for either."""
    backend = DictBackend()
    log, other = new_log(backend), new_log(backend)
    other.state()
    upload(log, there, b"x")
    for late in (other, log):
        with pytest.raises(InvalidInput, match=f"'{then}' cannot be logged: '{there}'|with '{there}' in it"):
            upload(late, then, b"y")
    assert [version.path for version in _read_anew(backend).walk()] == [there]
    _say(log, "delete", DraftEntry(there))
    # This client still remembers what was deleted.
    upload(other, then, b"y")
    assert [version.path for version in _read_anew(backend).walk()] == [then]


def test_an_empty_folder_is_a_folder_only_while_it_is_empty() -> None:
    """It may become a file, and hold things; but it does not come in the place of a file."""
    backend = DictBackend()
    log = new_log(backend)
    _say(log, "upload", DraftEntry("a", "folder"))
    upload(log, "a", b"x")
    with pytest.raises(InvalidInput, match="'a' is a file"):
        _say(log, "upload", DraftEntry("a", "folder"))
    _say(log, "upload", DraftEntry("d", "folder"))
    upload(log, "d/x", b"x")
    assert _say(log, "upload", DraftEntry("d", "folder")).unchanged == (True,)
    assert [(version.path, version.kind) for version in _read_anew(backend).walk()] == [("a", "file"), ("d/x", "file")]


def test_a_change_may_name_a_path_several_times() -> None:
    """Entries count in order, each with its own number."""
    backend = DictBackend()
    log = new_log(backend)
    appended = _say(log, "upload", file("a", b"1"), file("a", b"2"), file("a", b"2"), file("a", b"4"))
    assert [version and version.number for version in appended.versions] == [1, 2, 2, 3]
    assert appended.unchanged == (False, False, True, False)
    state = _read_anew(backend)
    assert [version.path for version in state.walk()] == ["a"]
    assert [log.locate([v])[0].version.sha256 for v in state.versions("a")] == [sha256(c) for c in (b"1", b"2", b"4")]


def test_empty_folders_are_kept() -> None:
    """An empty folder is a folder with a version; logging it again changes nothing; a file may take its place."""
    backend = DictBackend()
    log = new_log(backend)
    _say(log, "upload", DraftEntry("d/e", kind="folder"))
    assert _say(log, "upload", DraftEntry("d/e", kind="folder")).unchanged == (True,)
    state = _read_anew(backend)
    assert (state.has_folder("d/e"), list(state.children("d")), list(state.children("d/e"))) == (
        True,
        [("e", None)],
        [],
    )
    upload(log, "d/e", b"x")
    assert _read_anew(backend).get("d/e") == log.state().versions("d/e")[1]


def test_reading_changes_nothing(backend: DictBackend) -> None:
    """That a run read a version, of this root or another, is on record and no more."""
    log = new_log(backend)
    before = log.state().versions("a")
    _say(log, "consume", DraftEntry("a", version=1), DraftEntry("other", version=7, note={"root": "2"}))
    assert _read_anew(backend).versions("a") == before
    assert [(e.path, e.action, e.version) for e in log.commit(3).changes[0].entries] == [
        ("a", "read", 1), ("other", "read", 7),
    ]  # fmt: skip


def test_annotations_merge(backend: DictBackend) -> None:
    """Keys of an annotation replace those of before, a null removes one, and each version has its own."""
    log = new_log(backend)
    _say(
        log, "annotate", DraftEntry("a", version=1, note={"tag": "x", "unit": "m"}), DraftEntry("", note={"of": "root"})
    )
    _say(log, "annotate", DraftEntry("a", version=1, note={"tag": None, "more": [1]}), DraftEntry("a", note={"p": 1}))
    state = _read_anew(backend)
    assert dict(state.notes("a", 1)) == {"unit": "m", "more": [1]}
    assert (dict(state.notes("a")), dict(state.notes("")), dict(state.notes("a", 2))) == ({"p": 1}, {"of": "root"}, {})
    assert state.all_notes() == {("a", 1): {"unit": "m", "more": [1]}, ("a", 0): {"p": 1}, ("", 0): {"of": "root"}}


@pytest.mark.parametrize(
    "note",
    [{"alias:v1": "v1"}, {"alias:c5": "v1"}, {"alias:20261101T120000Z": "v1"}, {"alias:x y": "v1"}, {"alias:g": "1"}],
)
def test_aliases_that_could_be_misread_are_refused(backend: DictBackend, note: dict[str, str]) -> None:
    """An alias never reads as a version, a commit or a time, and stands for a version or a commit."""
    with pytest.raises(InvalidInput):
        _say(new_log(backend), "annotate", DraftEntry("a", note=note))


@pytest.mark.parametrize(
    ("operation", "entry"),
    [
        ("annotate", DraftEntry("a", version=3)),
        ("annotate", DraftEntry("b")),
        ("annotate", DraftEntry("a", note={"alias:gold": "v3"})),
        ("annotate", DraftEntry("a", note={"alias:gold": "c99"})),
        ("expire", DraftEntry("a", version=3)),
        ("purge", DraftEntry("b", version=1)),
        ("relocate", DraftEntry("a", version=9)),
    ],
)
def test_what_does_not_exist_cannot_be_changed(backend: DictBackend, operation: Operation, entry: DraftEntry) -> None:
    """A change about a version that never was is refused, and nothing is committed."""
    with pytest.raises(NotFound):
        _say(new_log(backend), operation, entry)
    assert _read_anew(backend).number == 2


@pytest.mark.parametrize(
    ("path", "target", "there"),
    [
        ("a", "v77", "it has versions v1 to v2"),
        ("a", "c77", "the newest commit is c3"),
        ("d", "v1", "a folder has no versions; name a commit, such as c1"),
    ],
)
def test_an_alias_of_nothing_says_what_there_is(backend: DictBackend, path: str, target: str, there: str) -> None:
    """Whoever names a version or commit that does not exist is told which do."""
    log = new_log(backend)
    upload(log, "d/b", b"one")
    with pytest.raises(NotFound, match=f"cannot stand for '{target}', which does not exist: {there}"):
        _say(log, "annotate", DraftEntry(path, note={"alias:gold": target}))


def test_expiry_and_purge_end_versions_for_good(backend: DictBackend) -> None:
    """An expired or purged version stays on record, cannot be read, and is not current any more."""
    log = new_log(backend)
    _say(log, "expire", DraftEntry("a", version=1))
    state = _read_anew(backend)
    assert [(v.status, v.readable) for v in state.versions("a")] == [("expired", False), ("live", True)]
    assert state.get("a") == state.versions("a")[1]
    _say(log, "purge", DraftEntry("a", version=2))
    state = _read_anew(backend)
    assert (state.get("a"), state.versions("a")[1].status, list(state.children(""))) == (None, "purged", [])
    appended = upload(log, "a", b"two").versions[0]
    assert appended is not None
    assert appended.number == 3


def test_a_relocation_moves_bytes_and_nothing_else(backend: DictBackend) -> None:
    """A moved version is the same version, and says where its bytes are now."""
    log = new_log(backend)
    before = log.state().versions("a")
    log.append([draft("relocate", DraftEntry("a", version=1, at=["new"]), content={"packs": ["p"]})])
    state = _read_anew(backend)
    assert state.versions("a")[0].place == Place(3, 0, 0)
    assert [(v.number, v.commit, v.sha256) for v in state.versions("a")] == [
        (v.number, v.commit, v.sha256) for v in before
    ]
    located = log.locate(state.versions("a"))
    assert [(found.at, found.content) for found in located] == [(["new"], {"packs": ["p"]}), ([0, 0, 3], {})]


def test_a_stage_changes_nothing(backend: DictBackend) -> None:
    """Packs of an unfinished upload are on record and make no version."""
    log = new_log(backend)
    before = log.state().versions("a")
    log.append([draft("stage", content={"packs": ["p"]})])
    assert (_read_anew(backend).versions("a"), log.commit(3).changes[0].content) == (before, {"packs": ["p"]})


def _write(backend: DictBackend, *changes: Change) -> None:
    """Write commit 3 as another program might."""
    parent = new_log(backend).commit(2)
    commit = Commit(ROOT, 3, parent.digest, parent.time, changes, since=(*parent.since, b'{"number":2}'))
    commit = dataclasses.replace(commit, since=(b'{"number":1}', b'{"number":2}'))
    backend.objects[commit_key(3)] = encode_commit(commit, sealed.digest_named("blake3"))


def test_an_unknown_operation_is_read_over(backend: DictBackend) -> None:
    """A change of a kind that a later release adds, and does not list as needed, means nothing here."""
    log = new_log(backend)
    before = log.state().versions("a")
    _write(backend, Change(id="0" * 32, operation="transmogrify", note={"x": 1}))
    assert log.state().versions("a") == before
    assert upload(log, "b", b"x").commit == 4


def test_a_change_about_a_version_that_never_was_is_damage(backend: DictBackend) -> None:
    """A commit that ends what does not exist is reported, not read over."""
    log = new_log(backend)
    log.state()
    _write(backend, Change(id="0" * 32, operation="delete", entries=(Entry("zzz", "delete", 4),)))
    with pytest.raises(Damaged, match="zzz"):
        log.state()
