"""What the files backend promises beyond the contract: durability, and staying where it belongs."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mlflow_versioned_store.backends import files
from mlflow_versioned_store.backends.files import TEMPORARY_PREFIX, FilesBackend
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    InvalidInput,
    LocalStorageFailed,
    NotFound,
    OutcomeUnknown,
    Unsupported,
)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="symbolic links and modes are POSIX's")

OLD = {"store/old": b"old", "store/deep/down/old": b"old too", "store/replaced": b"before"}
NEW = {"store/new": b"n" * 5000, "store/fresh/folders/new": b"new", "store/replaced": b"after" * 2000}


class FailingFlush:
    """Flushes, and fails or ends the process at the `last`th call."""

    def __init__(self, last: int, fail: Callable[[], None]):
        self.calls = 0
        self._last = last
        self._fail = fail

    def __call__(self, descriptor: int) -> None:
        """Flush, or not."""
        self.calls += 1
        if self.calls == self._last:
            self._fail()
        os.fsync(descriptor)


def full_disk() -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_all(backend: FilesBackend) -> None:
    """Write the new objects, some of them by creates."""
    for key, data in NEW.items():
        backend.put(key, [data[:100], data[100:]], create=key not in OLD)


def run_in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child and return its exit status: 0 where it came to an end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must never return into pytest
            os._exit(3)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_process_killed_at_any_flush_leaves_objects_whole_or_absent(tmp_path: Path) -> None:
    """Kill a writer at every flush: old objects read, new ones are whole or absent, and a second run succeeds."""
    for last in count(1):
        root = tmp_path / str(last)
        backend = FilesBackend(str(root))
        for key, data in OLD.items():
            backend.put(key, data)
        dying = FilesBackend(str(root), flush=FailingFlush(last, lambda: os._exit(9)))
        status = run_in_child(lambda dying=dying: write_all(dying))  # type: ignore[misc]
        for key, data in OLD.items():
            assert bytes(backend.get(key).data) in (data, NEW.get(key))
        found = {info.key: bytes(backend.get(info.key).data) for info in backend.list("")}
        assert all(data in (OLD.get(key), NEW.get(key)) for key, data in found.items())
        backend.delete([key for key in found if key not in OLD])
        write_all(backend)
        assert {info.key for info in backend.list("")} == OLD.keys() | NEW.keys()
        if status == 0:
            break
    assert last > 3 * len(NEW), "each write flushes its file, its folder, and what is new above"


@pytest.mark.parametrize("create", [True, False])
def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, *, create: bool) -> None:
    """Out of space while writing: an error that says so, no object, no temporary file, the old object intact."""
    backend = FilesBackend(str(tmp_path))
    backend.put("a/old", b"old")
    failing = FilesBackend(str(tmp_path), flush=FailingFlush(_flushes_before_file(tmp_path), full_disk))
    key = "a/new" if create else "a/old"
    with pytest.raises(LocalStorageFailed, match="No space left"):
        failing.put(key, b"new", create=create)
    assert {info.key: bytes(backend.get(info.key).data) for info in backend.list("")} == {"a/old": b"old"}
    assert os.listdir(tmp_path / "a") == ["old"]


def test_a_create_that_is_not_flushed_is_uncertain(tmp_path: Path) -> None:
    """When the last flush of a create fails the object is there, but nobody may rely on it."""
    failing = FilesBackend(str(tmp_path), flush=FailingFlush(_flushes_before_file(tmp_path) + 1, full_disk))
    (tmp_path / "a").mkdir()
    with pytest.raises(OutcomeUnknown, match="power failure"):
        failing.put("a/new", b"new", create=True)


def test_every_new_folder_is_flushed(tmp_path: Path) -> None:
    """A write flushes the folder above each folder it makes, once in a process."""
    flushed: list[str] = []

    def record(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}") if sys.platform == "linux" else "")

    backend = FilesBackend(str(tmp_path), flush=record)
    backend.put("a/b/one", b"")
    if sys.platform == "linux":
        assert {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a/b")} <= set(flushed)
    flushed.clear()
    backend.put("a/b/two", b"")
    assert len(flushed) == 2


def test_temporary_files_are_passed_over(tmp_path: Path) -> None:
    """What a killed writer left behind is neither listed nor readable nor writable."""
    backend = FilesBackend(str(tmp_path))
    left = f"a/{TEMPORARY_PREFIX}0123"
    backend.put("a/b", b"")
    (tmp_path / left).write_bytes(b"half")
    assert [info.key for info in backend.list("")] == ["a/b"]
    for call in (backend.get, backend.head, lambda key: backend.put(key, b"")):
        with pytest.raises(InvalidInput, match="temporary"):
            call(left)


@needs_posix
def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    """A folder that is a link to somewhere outside is not followed, to read, list or write."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(outside)
    backend = FilesBackend(str(tmp_path / "root"))
    for call in (backend.get, backend.head, lambda key: backend.put(key, b""), lambda key: backend.delete([key])):
        with pytest.raises(InvalidInput, match="symbolic link"):
            call("link/secret")
    with pytest.raises(InvalidInput, match="symbolic link"):
        list(backend.list("link"))
    assert list(backend.list("")) == []
    assert (outside / "secret").read_bytes() == b"secret"


@needs_posix
def test_links_inside_the_root_are_followed_but_not_in_a_store(tmp_path: Path) -> None:
    """A mount point or a data folder may be a link; below `_mvs` none is, wherever it leads."""
    (tmp_path / "real" / "_mvs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "_mvs" / "data").symlink_to(tmp_path / "real")
    backend = FilesBackend(str(tmp_path))
    backend.put("link/a", b"through")
    assert bytes(backend.get("real/a").data) == b"through"
    with pytest.raises(InvalidInput, match="symbolic link"):
        backend.get("link/_mvs/data/a")


@needs_posix
def test_an_object_is_never_a_link(tmp_path: Path) -> None:
    """A link in place of an object reads as absent, and a write replaces the link and not what it leads to."""
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    backend = FilesBackend(str(tmp_path))
    with pytest.raises(NotFound):
        backend.get("link")
    with pytest.raises(NotFound):
        backend.head("link")
    with pytest.raises(Conflict):
        backend.put("link", b"new", create=True)
    backend.put("link", b"new")
    assert (tmp_path / "target").read_bytes() == b"target"
    assert bytes(backend.get("link").data) == b"new"


def test_a_file_cannot_be_a_folder(tmp_path: Path) -> None:
    """Where a file stands no folder can be, and the other way round; the error says so."""
    backend = FilesBackend(str(tmp_path))
    backend.put("a", b"")
    backend.put("b/c", b"")
    with pytest.raises(InvalidInput, match="a file stands"):
        backend.put("a/b", b"")
    with pytest.raises(InvalidInput, match="a file stands"):
        backend.put("b", b"")


def test_a_write_never_says_that_nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no directory can be made, as below /proc, or one goes away, that is a failure of the local storage."""

    def refuse(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    for create in (True, False):
        with pytest.raises(LocalStorageFailed, match="Cannot"):
            FilesBackend(str(tmp_path), flush=refuse).put("a", b"a", create=create)
    mkdir = os.mkdir
    monkeypatch.setattr(os, "mkdir", lambda folder: mkdir(folder) if os.path.isdir(folder) else refuse())
    for create in (True, False):
        with pytest.raises(LocalStorageFailed, match=f"directory {re.escape(str(tmp_path / 'no'))} cannot be made"):
            FilesBackend(str(tmp_path)).put("no/where/a", b"a", create=create)


def test_permission_errors_are_access_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system calls a permission error is one here."""

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "unlink", forbidden)
    with pytest.raises(AccessDenied, match="permission"):
        FilesBackend(str(tmp_path)).delete(["a"])


@pytest.mark.skipif(os.name == "nt", reason="Windows renames instead of linking")
def test_a_file_system_without_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no link can be made a create is not emulated."""

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    backend = FilesBackend(str(tmp_path))
    with pytest.raises(Unsupported, match="hard links"):
        backend.put("a", b"", create=True)
    assert list(backend.list("")) == []


def test_windows_creates_by_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a rename refuses a taken name it is the create; simulated with a rename that does."""

    def rename(source: str, target: str) -> None:
        os.link(source, target)
        os.unlink(source)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "rename", rename)
    backend = FilesBackend(str(tmp_path))
    backend.put("a/b", b"first", create=True)
    with pytest.raises(Conflict):
        backend.put("a/b", b"second", create=True)
    assert bytes(backend.get("a/b").data) == b"first"
    for key in ("con:", "a.", "b ", "c|d"):
        with pytest.raises(InvalidInput, match="Windows"):
            backend.put(key, b"")


def _create(root: str, number: int) -> bool:
    try:
        FilesBackend(root).put("race", b"%d" % number, create=True)
    except Conflict:
        return False
    return True


def test_one_of_many_processes_wins(tmp_path: Path) -> None:
    """Of creates by several processes exactly one succeeds."""
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        won = pool.starmap(_create, [(str(tmp_path), number) for number in range(40)])
    assert won.count(True) == 1
    assert bytes(FilesBackend(str(tmp_path)).get("race").data) == b"%d" % won.index(True)


def test_listing_survives_a_delete_in_between(tmp_path: Path) -> None:
    """An object that goes away while a listing runs is left out of it."""
    backend = FilesBackend(str(tmp_path))
    for name in "abc":
        backend.put(f"x/{name}", b"")
    listing = backend.list("x")
    next(listing)
    backend.delete(["x/a", "x/b", "x/c"])
    assert list(listing) == []


def _flushes_before_file(root: Path) -> int:
    """Return which flush of the first write below `root`/a is the file's own: folders above come first."""
    return len((root / "a").resolve().parts)
