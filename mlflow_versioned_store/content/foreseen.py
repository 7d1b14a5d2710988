"""Reading what resembles known files: cut where they were cut, and at less cost.

A chunk that starts at a known cut and equals, by its digest, the one that followed here before also ends at one. One
that was changed still ends with the same 64 bytes, mostly where it did, or a little further after an insertion: it is
cut there too, so that the next version finds the same chunks again however often a file is edited.

And a file all of whose chunks are those of a known file, in order, has that file's SHA-256. Hashing it is put off as
long as that is possible, and made up for by a second reading, checked against the chunks of the first, once it is not.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.digests import TAIL_BYTES, Digest, tail_fingerprint
from mlflow_versioned_store.content.indexes import CHUNK_FOLLOWS, FILE_ENDS, FileRows, Index, Placed
from mlflow_versioned_store.content.workers import computing

# By then the first segment was looked up and the second one is read: what is not known now will not be.
_PUT_OFF_BYTES_MAX = 40 << 20
_GUESSES_MAX = 2
# Insertions and deletions in one chunk, together, that are followed at once.
_SHIFT_MAX = 2048


class Cursor(NamedTuple):
    """A place among the rows of an index: the chunk that is expected next."""

    source: Index
    at: int


class Foresight(Protocol):
    """What an upload knows of stored chunks; asked by the thread that reads."""

    def place_after(self, digest: bytes, tail: int) -> Cursor | None:
        """Return the place behind the stored chunk with this digest or, if there is but one, with this tail."""

    def file_from(self, digest: bytes) -> tuple[FileRows, Sequence[Placed]] | None:
        """Return a large file that starts with the chunk with this digest, and its rows."""


class Follower:
    """Follows the chunks of a known file through the bytes of one that resembles it; not to be shared by threads."""

    def __init__(self, foresight: Foresight | None, digest: Digest):
        self._foresight = foresight
        self._digest = digest
        self._cursor: Cursor | None = None
        self._guesses = 0

    def cut(self, data: memoryview) -> tuple[int, bytes, int] | None:
        """Return the end, digest and tail of the chunk at the start of `data`; None where nothing is foreseen."""
        if self._cursor is None:
            return None
        index, at = self._cursor
        row = index.rows[at]
        if index.follows[at] == FILE_ENDS or row.raw > len(data):
            self._cursor = None
            return None
        digest = self._digest(data[: row.raw])
        if digest == row.digest:
            return self._pass(row.raw, digest, row.tail)
        end = _end_alike(data, row)
        if end is not None:
            return self._pass(end, digest if end == row.raw else self._digest(data[:end]), row.tail)
        if self._guesses < _GUESSES_MAX:
            # The last bytes themselves were edited. Whether the place is right shows at the next end.
            guesses = self._guesses + 1
            passed = self._pass(row.raw, digest, tail_fingerprint(data[: row.raw]))
            self._guesses = guesses
            return passed
        self._cursor = None
        return None

    def find(self, digest: bytes, tail: int) -> None:
        """Look where to go on after a chunk that was not foreseen."""
        self._guesses = 0
        self._cursor = self._foresight.place_after(digest, tail) if self._foresight is not None else None

    def _pass(self, end: int, digest: bytes, tail: int) -> tuple[int, bytes, int]:
        self._guesses = 0
        if self._cursor is not None:
            self._cursor = next_place(*self._cursor)
        return end, digest, tail


def next_place(index: Index, at: int) -> Cursor | None:
    """Return the place behind row `at`, if the chunk there followed it in the same file."""
    return Cursor(index, at + 1) if at + 1 < len(index.rows) and index.follows[at] == CHUNK_FOLLOWS else None


def _end_alike(data: memoryview, row: Placed) -> int | None:
    """Return where, near its old length, a changed chunk ends with the same 64 bytes as before."""
    for step in range(_SHIFT_MAX + 1):
        for end in (row.raw + step, row.raw - step):
            fits = TAIL_BYTES <= end <= len(data)
            if fits and tail_fingerprint(data[end - TAIL_BYTES : end]) == row.tail:
                return end
    return None


class FileChangedError(Exception):
    """A file's second reading did not give what the first one did."""


class Hashing:
    """The SHA-256 of bytes that come block by block, computed by another thread meanwhile."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._running: Future[None] | None = None

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:  # noqa: ARG002 - for those who put off
        """Take the next bytes, which are these chunks (digest, bytes)."""
        if self._running is not None:
            self._running.result()
        self._running = computing.submit(self._sha256.update, data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all that was added."""
        if self._running is not None:
            self._running.result()
        return self._sha256.hexdigest()


class PutOffHashing(Hashing):
    """The SHA-256 of a file, put off while the file may turn out to be a known one.

    Once it does not, another thread reads what was put off again, and goes on behind the first reader until it has
    caught up.

    Args:
        descriptor: The file, to read again what was put off.
        foresight: What is known.
        digest: The store's digest function.
    """

    def __init__(self, descriptor: int, foresight: Foresight, digest: Digest):
        super().__init__()
        self._descriptor = descriptor
        self._foresight = foresight
        self._digest = digest
        self._put_off: deque[tuple[bytes, int]] = deque()
        self._lock = threading.Lock()
        self._waits = True
        self._behind = False
        self._catching_up: Future[None] | None = None
        self._size = 0
        self._file: FileRows | None = None
        self._rows: Sequence[Placed] = ()
        self._matched = 0

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Take the next bytes, which are these chunks.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        with self._lock:
            behind = self._waits or self._behind
            if behind:
                self._put_off.extend(chunks)
        if not behind:
            super().add(data, chunks)
            return
        self._size += len(data)
        if self._waits and not self._may_be_known(chunks):
            self._stop_waiting()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        if self._waits:
            if self._file is not None and (self._matched, self._size) == (self._file.length, self._file.size):
                return self._file.sha256
            self._stop_waiting()
        if self._catching_up is not None:
            self._catching_up.result()
        return super().hexdigest()

    def _may_be_known(self, chunks: Sequence[tuple[bytes, int]]) -> bool:
        if self._file is None and self._put_off:
            known = self._foresight.file_from(self._put_off[0][0])
            if known is None:
                return self._size <= _PUT_OFF_BYTES_MAX
            self._file, self._rows = known
            chunks = self._put_off
        rows = self._rows[self._matched : self._matched + len(chunks)]
        self._matched += len(chunks)
        return [digest for digest, _ in chunks] == [row.digest for row in rows]

    def _stop_waiting(self) -> None:
        self._waits, self._behind = False, True
        self._catching_up = computing.submit(self._catch_up)

    def _catch_up(self) -> None:
        offset = 0
        while True:
            with self._lock:
                if not self._put_off:
                    self._behind = False
                    return
                digest, size = self._put_off.popleft()
            data = _read_at(self._descriptor, size, offset)
            if self._digest(data) != digest:
                raise FileChangedError
            self._sha256.update(data)
            offset += size


def _read_at(descriptor: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)
