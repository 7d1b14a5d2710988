"""The SHA-256 of a file, computed beside its reader: as it comes, or not at all while it goes on as a known file does.

A file all of whose chunks are those of a known file, in order, has that file's SHA-256. Hashing it is put off as long
as that is possible. Once it is not, it goes on from the last state that the known file had before they part; what is
between is made up for by a second reading, checked against the chunks of the first.

Where they part is guessed at the beginning, from a few chunks of the file: what is behind is hashed while its reader is
still before it. A guess that proves wrong costs nothing but that work.

The SHA-256 is then taken from an index, which any writer of the domain may have written: whoever can lie there could as
well have logged other bytes. What a reader gets is checked against the chunks that were read here.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Sequence
from concurrent.futures import Future
from io import FileIO
from itertools import accumulate, takewhile
from typing import Protocol, TypeAlias

import xxhash

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.digests import Digest
from mlflow_versioned_store.content.indexes import FileRows, Placed
from mlflow_versioned_store.content.sha256 import State, is_resumable, sha256
from mlflow_versioned_store.content.workers import computing, cpu_limit

# By then the first segment was looked up and the second one is read: what is not known now will not be.
_PUT_OFF_BYTES_MAX = 40 << 20
_STATES_APART_BYTES = 16 << 20
# Who hashes ahead reads the file first; by then its reader should still find the bytes in memory.
_AHEAD_BYTES_MAX = 256 << 20
_READ_BYTES = 1 << 20


_Known: TypeAlias = tuple[FileRows, Sequence[Placed]]


class KnownFiles(Protocol):
    """What an upload knows of stored files; asked by the thread that reads."""

    def files_from(self, digest: bytes) -> Sequence[tuple[FileRows, Sequence[Placed]]]:
        """Return the large files that start with the chunk with this digest, and their rows."""


class FileChangedError(Exception):
    """A file's second reading did not give what the first one did."""


class Hashing:
    """The SHA-256 of bytes that come block by block, computed by another thread meanwhile.

    Attributes:
        states: What it was on the way, about every 16 MiB; none where that cannot be had.
    """

    def __init__(self) -> None:
        self.states: list[State] = []
        self._sha256 = sha256()
        self._running: Future[None] | None = None

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:  # noqa: ARG002 - for those who put off
        """Take the next bytes, which are these chunks (digest, bytes)."""
        if self._running is not None:
            self._running.result()
        self._running = computing.submit(self._update, data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all that was added."""
        if self._running is not None:
            self._running.result()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Wait until nobody reads any more."""
        if self._running is not None:
            self._running.exception()

    def _update(self, data: Buffer) -> None:
        self._sha256.update(data)
        state = self._sha256.state()
        noted = self.states[-1].position if self.states else 0
        if state is not None and state.position >= noted + _STATES_APART_BYTES:
            self.states.append(state)


class HashingAhead(Hashing):
    """The SHA-256 of a file whose first bytes led to a known state, computed while its reader is still before that.

    The bytes are read a second time; a fast hash of both readings tells whether they are the same.

    Args:
        file: The file, opened once more.
        begin: The state.
        at: How many bytes the reader has had.
    """

    def __init__(self, file: FileIO, begin: State, at: int):
        super().__init__()
        self.begin = begin.position
        self.states = [begin]
        self._sha256 = sha256(begin)
        self._file = file
        self._at = at
        self._next = begin.position
        self._ended = self._stopped = False
        self._first, self._second = xxhash.xxh3_128(), xxhash.xxh3_128()
        self._running = computing.submit(self._go_on, self._next + _AHEAD_BYTES_MAX)

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:  # noqa: ARG002 - as for the others
        """Take what the reader read next."""
        self._first.update(memoryview(data)[max(0, self.begin - self._at) :])
        self._at += len(data)
        if not self._ended and self._running is not None and self._running.done():
            self._running.result()
            self._running = computing.submit(self._go_on, max(self.begin, self._at) + _AHEAD_BYTES_MAX)

    def hexdigest(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            FileChangedError: The reader had other bytes than those that were hashed.
        """
        if self._running is not None:
            self._running.result()
        if not self._ended:
            self._go_on(sys.maxsize)
        if self._first.digest() != self._second.digest():
            raise FileChangedError
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Stop, and wait until nobody reads any more."""
        self._stopped = True
        super().close()

    def _go_on(self, stop: int) -> None:
        buffer = memoryview(bytearray(_READ_BYTES))
        self._file.seek(self._next)
        while self._next < stop and not self._stopped:
            size = self._file.readinto(buffer)
            if not size:
                self._ended = True
                return
            self._second.update(buffer[:size])
            self._update(buffer[:size])
            self._next += size


class PutOffHashing(Hashing):
    """The SHA-256 of a file, put off while the file goes on as a known one does.

    Once it does not, another thread reads again what was put off and cannot be taken from the known one.

    Args:
        file: The file, opened once more, to read again what was put off.
        size: Its bytes.
        known: What is known.
        digest: The store's digest function.
    """

    def __init__(self, file: FileIO, size: int, known: KnownFiles, digest: Digest):
        super().__init__()
        self._again = file
        self._size = size
        self._known = known
        self._digest = digest
        self._waits = True
        self._put_off: list[tuple[bytes, int]] = []
        self._alike: list[_Known] = []
        self._matched = 0
        self._guessed: _Known | None = None
        self._ahead: HashingAhead | None = None

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Take the next bytes, which are these chunks.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        if self._ahead is not None:
            self._ahead.add(data, chunks)
        elif not self._waits:
            super().add(data, chunks)
        if not self._waits:
            return
        self._put_off.extend(chunks)
        if self._put_off and not self._may_be_known():
            self._stop_waiting()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        if self._waits:
            for file, _ in self._alike:
                if file.length == self._matched == len(self._put_off):
                    self.states = list(file.states)
                    return file.sha256
            self._stop_waiting()
        if self._ahead is None or self._guessed is None:
            return super().hexdigest()
        digest = self._ahead.hexdigest()
        before = [state for state in self._guessed[0].states if state.position < self._ahead.begin]
        self.states = [*before, *self._ahead.states]
        return digest

    def close(self) -> None:
        """Wait until nobody reads any more."""
        if self._ahead is not None:
            self._ahead.close()
        super().close()

    def _may_be_known(self) -> bool:
        if not self._alike:
            files = self._known.files_from(self._put_off[0][0])
            self._alike = [known for known in files if self._helps(known[0])]
            if not self._alike:
                return not files and sum(size for _, size in self._put_off) <= _PUT_OFF_BYTES_MAX
            self._guess()
        came = [digest for digest, _ in self._put_off[self._matched :]]
        alike = [_alike(came, rows[self._matched : self._matched + len(came)]) for _, rows in self._alike]
        most = max(alike)
        self._alike = [known for known, length in zip(self._alike, alike, strict=True) if length == most]
        self._matched += most
        return most == len(came)

    def _helps(self, file: FileRows) -> bool:
        # Without states, all that was put off has to be made up for where the two part.
        return file.size == self._size or (bool(file.states) and is_resumable())

    def _guess(self) -> None:
        """Begin to hash what is behind the place where the file seems to part from the known one."""
        known = next((known for known in self._alike if known[0].states), None)
        if known is None or not is_resumable() or cpu_limit() < 2:
            return
        file, rows = known
        ends = list(accumulate(row.raw for row in rows))
        parted = bisect_left(file.states, 1, key=lambda state: not self._has(rows, ends, state.position))
        came = sum(size for _, size in self._put_off)
        may_be_whole = parted == len(file.states) and file.size == self._size
        if parted and not may_be_whole and file.states[parted - 1].position >= came:
            self._guessed = known
            self._ahead = HashingAhead(self._again, file.states[parted - 1], came)

    def _has(self, rows: Sequence[Placed], ends: Sequence[int], position: int) -> bool:
        """Tell whether the file has the known one's chunk that reaches to a position."""
        at = bisect_left(ends, position)
        if at == len(ends):
            return False
        self._again.seek(ends[at] - rows[at].raw)
        return self._digest(self._again.read(rows[at].raw)) == rows[at].digest

    def _stop_waiting(self) -> None:
        self._waits = False
        if self._ahead is not None:
            same = sum(size for _, size in self._put_off[: self._matched])
            if self._ahead.begin <= same and any(known is self._guessed for known in self._alike):
                return
            self._ahead.close()
            self._ahead = None
        self._running = computing.submit(self._catch_up)

    def _catch_up(self) -> None:
        ends = list(accumulate(size for _, size in self._put_off))
        if self._matched and is_resumable():
            self.states = [state for state in self._alike[0][0].states if state.position <= ends[self._matched - 1]]
        at = 0
        if self.states:
            self._sha256 = sha256(self.states[-1])
            at = self.states[-1].position
        for (digest, size), end in zip(self._put_off, ends, strict=True):
            if end <= at:
                continue
            self._again.seek(end - size)
            data = self._again.read(size)
            if self._digest(data) != digest:
                raise FileChangedError
            self._update(memoryview(data)[max(0, at - (end - size)) :])
        self._put_off.clear()


def _alike(digests: Sequence[bytes], rows: Sequence[Placed]) -> int:
    """Return how many rows, from the first on, are the chunks with these digests."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1].digest, zip(digests, rows, strict=False)))
