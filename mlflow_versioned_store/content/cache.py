"""Bytes that were fetched, kept on this machine's disk for all processes of one user.

What is kept are parts of objects that never change: packs, and native objects with a recorded digest. Each object has
two files, named by the SHA-256 of what identifies it:

    mvs-cache-1/<2 hex>/<64 hex>          sparse: the bytes, where they are in the object
    mvs-cache-1/<2 hex>/<64 hex>.parts    start u64 · bytes u64 · XXH3-64 of them u64 (little-endian), for each part

The second one is only appended to, by one write, after the bytes; and whoever writes a part writes the same bytes. So
nothing is locked, and processes may end at any moment. Bytes that do not have their hash count as not there.

A thread writes beside the readers, who have the bytes already; who reads them again waits for it.

The cache is only ever a help: whatever goes wrong with it, the bytes come from the store.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shutil
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, NamedTuple, TypeAlias

import xxhash

from mlflow_versioned_store.backends.contract import Backend, Buffer
from mlflow_versioned_store.content.sizes import parse_bytes
from mlflow_versioned_store.content.workers import memory
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.pools import Pool

DEFAULT_BYTES_MAX = 10 << 30
# The folder may be one where other things lie, whose names must not be taken for ours.
_HOME = "mvs-cache-1"
_FOLDER = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{64}(\.parts)?")
_PARTS = ".parts"
_PART = struct.Struct("<QQQ")
_PART_BYTES_MAX = 256 << 10
_BLOCK_BYTES = 512
# Of the limit: so much is written, by whomever, before it is looked whether there is too much, and so much then goes.
_SHARE_BETWEEN_LOOKS = 64
_SHARE_TO_FREE = 8
_COUNTER = "written"
_COUNTED_BYTES = 64 << 10
_TOUCHED_SECONDS = 60.0
_BESIDE_BYTES_MIN = 64 << 10
_log = logging.getLogger("mlflow_versioned_store")

Get: TypeAlias = Callable[[int, int], Buffer]


class _Part(NamedTuple):
    start: int
    size: int
    check: int

    @property
    def stop(self) -> int:
        return self.start + self.size


class _Kept(NamedTuple):
    used: float
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds.

    Args:
        folder: Where it is; None where this machine has no place for it.
        on: Whether it is used.
        objects: How many objects it has parts of.
        size: Bytes that it takes on the disk.
        limit: Bytes that it may take.
    """

    folder: str | None
    on: bool
    objects: int
    size: int
    limit: int


class Cache:
    """A cache in a folder. Safe for many threads and processes, forked ones too.

    Args:
        folder: Where; None for nowhere.
        limit: Bytes that it may take; None is the smaller of 10 GiB and a tenth of what is free without it.
        on: Whether it is used.
    """

    def __init__(self, folder: str | None, limit: int | None = None, *, on: bool = True):
        self.folder = os.path.abspath(folder) if folder else None
        self.on = on and limit != 0
        self._limit = limit
        self._home = os.path.join(self.folder, _HOME) if self.folder else ""

    def through(self, name: str, start: int, stop: int, get: Get) -> memoryview:
        """Return the bytes [start, stop) of an object that never changes.

        Args:
            name: What identifies the object, wherever it is.
            start: First byte.
            stop: Behind the last byte.
            get: Fetches bytes [start, stop) of the object. Called once, for the smallest range with all that is not
                here; not at all where everything is.
        """
        if not self._is_usable():
            return _bytes(get(start, stop))
        path = self._path(name)
        _on_their_way.wait(path, start, stop)
        parts = [part for part in _parts(path) if part.start < stop and part.stop > start]
        if not parts:
            data = _bytes(get(start, stop))
            self._keep(path, start, data)
            return data
        whole = memoryview(bytearray(stop - start))
        first, last = _fill(path, parts, start, whole)
        if first < last:
            whole[first - start : last - start] = data = _bytes(get(first, last))
            self._keep(path, first, data)
        return whole

    def forget(self, name: str) -> None:
        """Remove what is here of an object, because it turned out to be wrong."""
        if self._is_usable():
            path = self._path(name)
            _on_their_way.wait(path)
            _remove(path)

    def usage(self) -> Usage:
        """Return what is there. Reads the folder, no file in it."""
        _on_their_way.wait()
        kept = list(_kept(self._home))
        size = sum(one.size for one in kept)
        return Usage(self.folder, self.on and self.folder is not None, len(kept), size, self._limit_with(size))

    def clear(self) -> int:
        """Remove everything and return how many bytes that freed. Processes that use the cache meanwhile go on."""
        _on_their_way.wait()
        return sum(_remove(one.path) and one.size for one in _kept(self._home))

    def shed(self) -> None:
        """Remove what was not used for the longest time, until an eighth of the limit is free."""
        with suppress(OSError):
            os.truncate(os.path.join(self._home, _COUNTER), 0)
        kept = sorted(_kept(self._home))
        size = sum(one.size for one in kept)
        limit = self._limit_with(size)
        if size <= limit - limit // _SHARE_BETWEEN_LOOKS:
            return
        for one in kept:
            if size <= limit - limit // _SHARE_TO_FREE:
                return
            if _remove(one.path):
                size -= one.size

    def _is_usable(self) -> bool:
        return self.on and bool(self._home) and _is_ours(self._home)

    def _path(self, name: str) -> str:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return os.path.join(self._home, digest[:2], digest)

    def _limit_with(self, size: int) -> int:
        if self._limit is not None:
            return self._limit
        return min(DEFAULT_BYTES_MAX, (_free(self._home) + size) // 10)

    def _keep(self, path: str, start: int, data: memoryview) -> None:
        size = len(data)
        if size < _BESIDE_BYTES_MIN or not memory().transfers.try_take(size):
            self._write(path, start, data)
            return
        written = _writing.submit(self._write, path, start, data)
        written.add_done_callback(lambda _: memory().transfers.give(size))
        _on_their_way.add(path, start, start + size, written)

    def _write(self, path: str, start: int, data: memoryview) -> None:
        try:
            _write(path, start, data)
            with _open(os.path.join(self._home, _COUNTER), "ab") as counter:
                counter.write(bytes(-(-len(data) // _COUNTED_BYTES)))
                written = counter.tell() * _COUNTED_BYTES
        except OSError as error:
            # A full disk, most often: then nothing half-written stays.
            _remove(path)
            _log.debug("the cache in %s takes nothing: %s", self._home, error)
        else:
            if written * _SHARE_BETWEEN_LOOKS >= self._limit_with(0):
                self.shed()


class _OnTheirWay:
    """Bytes of this process that another thread is to write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: list[tuple[str, int, int, Future[None]]] = []

    def add(self, path: str, start: int, stop: int, written: Future[None]) -> None:
        """Note that bytes [start, stop) are on their way to a file."""
        with self._lock:
            self._writes = [write for write in self._writes if not write[3].done()]
            self._writes.append((path, start, stop, written))

    def wait(self, path: str | None = None, start: int = 0, stop: int = sys.maxsize) -> None:
        """Wait until nothing of these bytes, or of all files, is on its way any more."""
        if not self._writes:
            return
        with self._lock:
            writes = [
                written
                for file, first, last, written in self._writes
                if path in (file, None) and first < stop and last > start
            ]
        wait(writes)


_writing = Pool("cache", lambda: 1)
_on_their_way = _OnTheirWay()


def _nothing_on_its_way() -> None:
    # The thread that writes is the parent's.
    global _on_their_way
    _on_their_way = _OnTheirWay()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_nothing_on_its_way)


def default() -> Cache:
    """Return the cache that the environment sets: `MVS_CACHE`, `MVS_CACHE_DIR`, `MVS_CACHE_SIZE`.

    Raises:
        InvalidInput: A value is no switch or no size.
    """
    limit = os.environ.get("MVS_CACHE_SIZE")
    return Cache(
        os.environ.get("MVS_CACHE_DIR") or default_folder(),
        parse_bytes(limit, "MVS_CACHE_SIZE") if limit else None,
        on=switch("MVS_CACHE"),
    )


def through(backend: Backend, key: str, start: int, stop: int, get: Get) -> memoryview:
    """Return the bytes [start, stop) of an object that never changes; those that came over a network before, from here.

    Args:
        backend: Where the object is.
        key: What identifies it there, for ever.
        start: First byte.
        stop: Behind the last byte.
        get: As for `Cache.through`.
    """
    if not backend.capabilities.remote:
        return _bytes(get(start, stop))
    return default().through(f"{backend.location}/{key}", start, stop, get)


def settle() -> None:
    """Wait until everything that this process keeps is written."""
    _on_their_way.wait()


def forget(backend: Backend, key: str) -> None:
    """Forget what is here of an object: it was wrong, and is to be read from the store again."""
    default().forget(f"{backend.location}/{key}")


def default_folder() -> str | None:
    """Return the folder of this user's cache; None where this machine has no place for one."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or ""
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Relative where there is no home: what a stray ~ would hold, nobody would find again.
    return os.path.join(base, "mlflow-versioned-store") if os.path.isabs(base) else None


@functools.lru_cache(maxsize=8)
def _is_ours(home: str) -> bool:
    """Make the folder where it is missing; tell whether it is this user's, and nobody else's."""
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        info = os.stat(home)
    except OSError as error:
        _log.debug("there is no cache in %s: %s", home, error)
        return False
    if hasattr(os, "geteuid") and (info.st_uid != os.geteuid() or info.st_mode & 0o077):
        _log.debug("the cache in %s is not used: others may read or write it", home)
        return False
    return True


def _free(folder: str) -> int:
    """Return the free bytes of the disk that `folder` is on, or would be."""
    while True:
        try:
            return shutil.disk_usage(folder).free
        except OSError:
            above = os.path.dirname(folder)
            if above == folder:
                return 0
            folder = above


def _bytes(data: Buffer) -> memoryview:
    return memoryview(data).cast("B")


def _open(path: str, mode: str) -> IO[bytes]:
    flags = os.O_CREAT | getattr(os, "O_BINARY", 0) | (os.O_APPEND | os.O_WRONLY if "a" in mode else os.O_RDWR)
    return os.fdopen(os.open(path, flags, 0o600), mode)


def _write(path: str, start: int, data: memoryview) -> None:
    with suppress(FileExistsError):
        os.mkdir(os.path.dirname(path), 0o700)
    with _open(path, "r+b") as file:
        file.seek(start)
        file.write(data)
    pieces = ((at, data[at : at + _PART_BYTES_MAX]) for at in range(0, len(data), _PART_BYTES_MAX))
    parts = [_PART.pack(start + at, len(piece), xxhash.xxh3_64_intdigest(piece)) for at, piece in pieces]
    with _open(path + _PARTS, "ab") as journal:
        journal.write(b"".join(parts))


def _parts(path: str) -> list[_Part]:
    """Return which parts of an object are there; note that it was used."""
    journal = path + _PARTS
    try:
        with open(journal, "rb") as file:
            records = file.read()
            used = os.fstat(file.fileno()).st_mtime
    except OSError:
        return []
    if time.time() - used > _TOUCHED_SECONDS:
        with suppress(OSError):
            os.utime(journal)
    records = records[: len(records) - len(records) % _PART.size]
    return [_Part(*record) for record in _PART.iter_unpack(records)]


def _fill(path: str, parts: Sequence[_Part], start: int, whole: memoryview) -> tuple[int, int]:
    """Read what is there into `whole`, which begins at `start`; return the smallest range with all that is not."""
    at, stop = start, start + len(whole)
    missing: list[int] = []
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        for part in sorted(parts):
            if part.stop <= at or part.size > _PART_BYTES_MAX:
                continue
            begin, end = max(part.start, at), min(part.stop, stop)
            here = whole[begin - start : end - start]
            piece = here if len(here) == part.size else memoryview(bytearray(part.size))
            file.seek(part.start)
            if file.readinto(piece) != part.size or xxhash.xxh3_64_intdigest(piece) != part.check:
                continue
            if piece is not here:
                here[:] = piece[begin - part.start : end - part.start]
            if part.start > at:
                missing += (at, part.start)
            at = end
    if at < stop:
        missing += (at, stop)
    return (missing[0], missing[-1]) if missing else (stop, stop)


def _kept(home: str) -> Iterator[_Kept]:
    """Yield the objects of which something is there."""
    for folder in _entries(home, _FOLDER):
        found: dict[str, _Kept] = {}
        for entry in _entries(folder.path, _FILE):
            with suppress(OSError):
                info = entry.stat()
                path = entry.path.removesuffix(_PARTS)
                used, size, _ = found.get(path, (0.0, 0, path))
                taken = getattr(info, "st_blocks", -(-info.st_size // _BLOCK_BYTES)) * _BLOCK_BYTES
                found[path] = _Kept(max(used, info.st_mtime), size + taken, path)
        yield from found.values()


def _entries(folder: str, name: re.Pattern[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if name.fullmatch(entry.name)]
    except OSError:  # no folder, or none any more
        return []


def _remove(path: str) -> bool:
    """Remove an object; False where one of its files cannot be removed (open in another process, on Windows)."""
    try:
        for name in (path + _PARTS, path):
            with suppress(FileNotFoundError):
                os.unlink(name)
    except OSError:
        return False
    return True
