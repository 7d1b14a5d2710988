"""Objects as files below a directory, durable when a call returns.

A write goes to a temporary file beside its target, which is flushed to disk and then published in one step: linked
(create) or renamed over the target (plain put); then the directory is flushed, and so are the directories above it
that are new. A process killed at any point leaves the target absent or whole, and at worst a temporary file, whose
name listings pass over. Windows flushes directory entries by itself, and renames there refuse a taken name, which
is what a create needs.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from mlflow_versioned_store.backends.contract import (
    Backend,
    Buffer,
    Capabilities,
    Fetched,
    ObjectInfo,
    check_folder,
    check_key,
)
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    InvalidInput,
    LocalStorageFailed,
    NotFound,
    OutcomeUnknown,
    Unsupported,
    VersionedStoreError,
)
from mlflow_versioned_store.keys import RESERVED

TEMPORARY_PREFIX = ".mvs-tmp-"

_WINDOWS = os.name == "nt"
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_ABSENT = {errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENOTDIR}
_NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def flush(descriptor: int) -> None:
    """Make what was written to an open file or directory survive a power failure."""
    if sys.platform == "darwin":
        # fsync on macOS stops at the drive's cache.
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


class FilesBackend(Backend):
    """The files below a directory.

    A symbolic link that leads out of the directory is refused, and so is any below a store's own folder; the last
    component of a key is never one. A file and a folder cannot share a name, as keys of object stores can.

    Args:
        root: The directory, absolute; it need not exist yet.
        flush: Makes an open file or directory durable.
    """

    capabilities = Capabilities(ordered_list=False, object_versions=False, durable=True, remote=False)

    def __init__(self, root: str, *, flush: Callable[[int], None] = flush):
        self._root = os.path.abspath(root)
        self.location = "file://" + self._root.replace(os.sep, "/").rstrip("/")
        self._flush = flush
        # Directories whose own entry this process knows to be on disk.
        self._durable: set[str] = set()

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        path = self._path(key)
        if s3_version_id is not None:
            raise InvalidInput(f"{self.location} keeps no object versions, so {key} has none to read.", key=key)
        if start < 0 or (stop is not None and stop <= start):
            raise InvalidInput(f"[{start}, {stop}) is no range to read of {path}.", key=key)
        with self._translated(key, "read"), open(path, "rb", buffering=0, opener=_open_to_read) as file:
            info = _info(key, os.fstat(file.fileno()))
            if start and start >= info.size:
                raise InvalidInput(f"{path} has {info.size} bytes; none to read from {start} on.", key=key)
            file.seek(start)
            wanted = (info.size if stop is None else min(stop, info.size)) - start
            data = file.read(wanted) or b""
            while len(data) < wanted and (more := file.read(wanted - len(data))):
                data += more
            return Fetched(data, info)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        path = self._path(key)
        folder = os.path.dirname(path)
        pieces = [data] if isinstance(data, (bytes, bytearray, memoryview)) else data
        with self._translated(key, "create" if create else "write"):
            self._make_durable(folder)
            temporary = os.path.join(folder, TEMPORARY_PREFIX + secrets.token_hex(8))
            try:
                with open(temporary, "xb", buffering=0) as file:
                    for piece in pieces:
                        _write(file.fileno(), piece)
                    self._flush(file.fileno())
                    info = _info(key, os.fstat(file.fileno()))
                (_create if create else os.replace)(temporary, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
        try:
            self._flush_folder(folder)
        except OSError as error:
            kind = OutcomeUnknown if create else LocalStorageFailed
            raise kind(f"{path} was written, but may not survive a power failure: {error}.", key=key) from error
        return info

    def head(self, key: str) -> ObjectInfo:
        path = self._path(key)
        with self._translated(key, "look up"):
            return _info(key, os.lstat(path))

    def folders(self, folder: str) -> Sequence[str]:
        prefix = f"{folder}/" if check_folder(folder) else ""
        return sorted(prefix + entry.name for entry in self._scan(folder) if entry.is_dir(follow_symlinks=False))

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        found = (info for info in self._below(check_folder(folder)) if after is None or info.key > after)
        return itertools.islice(found, limit)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self._path(key)
            with contextlib.suppress(NotFound), self._translated(key, "delete"):
                os.unlink(path)

    def now(self, folder: str = "") -> datetime:
        # A network file system stamps files with its own clock, so a file is asked.
        path = os.path.join(self._root, *check_folder(folder).split("/"))
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        temporary = os.path.join(path, TEMPORARY_PREFIX + secrets.token_hex(8))
        with self._translated(folder, "learn the time in"):
            open(temporary, "xb").close()
            try:
                return _modified(os.lstat(temporary))
            finally:
                os.unlink(temporary)

    def close(self) -> None:
        self._durable.clear()

    def _path(self, key: str) -> str:
        parts = check_key(key).split("/")
        if any(part.startswith(TEMPORARY_PREFIX) for part in parts):
            raise InvalidInput(f"The key {key!r} is reserved for temporary files.", key=key)
        if _WINDOWS and any(set(part) & set('\\:*?"<>|') or part[-1] in ". " for part in parts):
            raise InvalidInput(f"The key {key!r} is no legal file name on Windows.", key=key)
        self._check_links(parts[:-1], key)
        return os.path.join(self._root, *parts)

    def _check_links(self, folders: Sequence[str], key: str) -> None:
        path, in_store = self._root, False
        for folder in folders:
            path = os.path.join(path, folder)
            in_store = in_store or folder == RESERVED
            if os.path.islink(path) and (in_store or not _inside(path, self._root)):
                raise InvalidInput(f"The symbolic link {path} leads out of the store. Replace it by a folder.", key=key)

    def _make_durable(self, folder: str) -> None:
        """Make `folder` and those above it exist, with their entries on disk."""
        if folder in self._durable and os.path.isdir(folder):
            return
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        self._make_durable(parent)
        try:
            os.mkdir(folder)
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            # The folder above is there, so it is its file system that has no place for another, as that of /proc.
            raise LocalStorageFailed(
                f"The directory {folder} cannot be made. Keep the store where directories can be.", key=folder
            ) from error
        # Also where the folder was there: whoever made it may not have flushed its entry yet.
        with contextlib.suppress(PermissionError):
            self._flush_folder(parent)
        self._durable.add(folder)

    def _flush_folder(self, folder: str) -> None:
        if _WINDOWS:
            return
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._flush(descriptor)
        except OSError as error:
            # Some network and user-space file systems have no such call for a directory.
            if error.errno not in _NO_FLUSH:
                raise
        finally:
            os.close(descriptor)

    def _below(self, folder: str) -> Iterator[ObjectInfo]:
        prefix = f"{folder}/" if folder else ""
        for entry in self._scan(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._below(prefix + entry.name)
            elif entry.is_file(follow_symlinks=False):
                # It may be gone by now.
                with contextlib.suppress(NotFound), self._translated(prefix + entry.name, "look up"):
                    yield _info(prefix + entry.name, entry.stat(follow_symlinks=False))

    def _scan(self, folder: str) -> Sequence[os.DirEntry[str]]:
        path = os.path.join(self._root, *folder.split("/")) if folder else self._root
        self._check_links(folder.split("/") if folder else [], folder)
        try:
            with self._translated(folder, "list"), os.scandir(path) as entries:
                return [entry for entry in entries if not entry.name.startswith(TEMPORARY_PREFIX)]
        except NotFound:
            return []

    @contextlib.contextmanager
    def _translated(self, key: str, action: str) -> Iterator[None]:
        try:
            yield
        except VersionedStoreError:
            raise
        except OSError as error:
            raise self._error(error, key, action) from error

    def _error(self, error: OSError, key: str, action: str) -> VersionedStoreError:
        target = f"{self.location}/{key}"
        if action == "create" and error.errno == errno.EEXIST:
            return Conflict(f"{target} exists already.", key=key)
        if action in ("create", "write") and error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
            return InvalidInput(f"Cannot write {target}: a file stands where a folder is needed, or a folder.", key=key)
        if error.errno in _ABSENT and action not in ("create", "write"):
            return NotFound(f"There is no object {target}.", key=key)
        if error.errno in (errno.EACCES, errno.EPERM):
            return AccessDenied(f"No permission to {action} {target}. Mend the permissions of the folder.", key=key)
        return LocalStorageFailed(f"Cannot {action} {target}: {error.strerror}. Mend that, then try again.", key=key)


@contextlib.contextmanager
def leaving_no_folders(top: str) -> Iterator[None]:
    """Remove the folders at, below and above a local path that came while the block ran, where they are empty."""
    above = [top]
    while (parent := os.path.dirname(above[-1])) != above[-1]:
        above.append(parent)
    there = {path for path in above if os.path.isdir(path)} | {path for path, _, _ in os.walk(top)}
    try:
        yield
    finally:
        below = [path for path, _, _ in os.walk(top, topdown=False)]
        for path in dict.fromkeys([*below, *above]):
            if path not in there:
                # Something of somebody else's may have come into it meanwhile.
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", key)
    return ObjectInfo(key, status.st_size, _modified(status))


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime_ns / 1e9, UTC)


def _create(temporary: str, path: str) -> None:
    """Give a temporary file the name `path`, in one step that fails where the name is taken."""
    if _WINDOWS:
        os.rename(temporary, path)
        return
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise Unsupported(
            f"The file system of {path} has no hard links, so it cannot create an object in one step. "
            "Keep the store on another file system."
        ) from error


def _inside(path: str, root: str) -> bool:
    root = os.path.realpath(root)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def _open_to_read(path: str, _: int) -> int:
    return os.open(path, _READ)


def _write(descriptor: int, piece: Buffer) -> None:
    left = memoryview(piece).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]
