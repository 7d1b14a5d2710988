"""A version as a file to read from: exactly what is asked for where reads jump, ahead of the reader where they go on.

Reads that follow each other are taken for the first of many: what comes next is then fetched in windows that grow to
4 MiB, several at once. What waits in windows is part of the process's memory budget; where nothing of that is free,
nothing is fetched ahead.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlflow_versioned_store.content.parts import Parts, Range, filled
from mlflow_versioned_store.content.workers import Budget, memory
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.pools import Pool
from mlflow_versioned_store.reading import VersionReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WINDOWS_AHEAD = 4
_WINDOW_BYTES_MAX = 4 << 20
# About the chunk that is fetched anyway; whoever reads a few bytes often reads the next few.
_WINDOW_BYTES_MIN = 64 << 10
# Whoever read on so often is trusted to read on; two columns of a table that lie side by side are not enough.
_AHEAD_FROM = 2
_PEEKED_BYTES = 8 << 10

_ahead = Pool("ahead", lambda: 2 * _WINDOWS_AHEAD)


class VersionFile(io.RawIOBase):
    """A version as a binary file to read from. Reads give all that is asked for, up to the end; buffers are needless.

    Any read may raise what a read of the version raises: `Damaged`, `ObjectMissing`, `Unavailable`, `AccessDenied`.

    Args:
        source: Reads the version.
        version: The version.

    Attributes:
        version: The version.
        name: Its address inside its artifact root.
        size: Bytes.
    """

    def __init__(self, source: VersionReader, version: Version):
        super().__init__()
        self._source = source
        self.version = version
        self.name = format_address(version.path, version.number)
        self.size = version.size
        self._position = 0
        # The bytes at hand, and where they begin.
        self._start = -1
        self._at_hand = memoryview(b"")
        self._spare = memoryview(b"")
        self._windows: deque[_Window] = deque()
        # How often a fetch began where the one before ended, and how much the next one takes.
        self._went_on = 0
        self._step = 0
        self._process = os.getpid()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next read begins."""
        self._checkClosed()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Let the next read begin elsewhere. No request.

        Raises:
            InvalidInput: That is before the beginning.
        """
        self._checkClosed()
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if position < 0:
            raise InvalidInput(f"{self.name} has no byte {position} to go to.")
        self._position = position
        return position

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`, up to the end of the file; return how many bytes that were."""
        self._checkClosed()
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        done = 0
        while done < len(view):
            done += self._read_some(view[done:])
        return done

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes, or all that follow; fewer at the end."""
        if size is None or size < 0:
            return self.readall()
        self._checkClosed()
        left = max(0, min(size, self.size - self._position))
        if not left:
            return b""
        at_hand = self._reached()
        if left <= len(at_hand):
            self._position += left
            return bytes(at_hand[:left])
        return filled(left, self.readinto)

    def readall(self) -> bytes:
        """Return all that follows."""
        self._checkClosed()
        start = min(self._position, self.size)
        self._position = self.size
        return self._source.read_bytes(self.version, start, self.size)

    def read1(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, as many as are at hand, or that one fetch gives."""
        at_hand = self.peek()
        taken = at_hand if size < 0 else at_hand[:size]
        self._position += len(taken)
        return taken

    def peek(self, _: int = 0, /) -> bytes:
        """Return some of the bytes that follow, and stay where the file is; b"" at the end."""
        self._checkClosed()
        if self._position < self.size:
            self._reach(1)
        return bytes(self._reached()[:_PEEKED_BYTES])

    def read_ranges(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return byte ranges [start, stop), in their order, read in one plan; the position stays where it is."""
        self._checkClosed()
        return self._source.read_ranges(self.version, ranges)

    def close(self) -> None:
        """Forget what was fetched ahead."""
        if not self.closed:
            self._hold(-1, memoryview(b""))
            self._spare = self._at_hand
            self._drop_windows()
        super().close()

    def _read_some(self, view: memoryview) -> int:
        """Fill the beginning of `view` with the bytes that follow, at least one; return how many."""
        count = len(view)
        if not self._reach(count):
            self._source.read_parts(self.version, Parts([(self._position, view)]))
            self._hold(self._position + count, memoryview(b""))
        else:
            at_hand = self._reached()[:count]
            count = len(at_hand)
            view[:count] = at_hand
        self._position += count
        return count

    def _reached(self) -> memoryview:
        """Return the bytes at hand from the position on."""
        offset = self._position - self._start
        return self._at_hand[offset:] if 0 <= self._start <= self._position else self._at_hand[:0]

    def _reach(self, wanted: int) -> bool:
        """Get bytes to hand from the position on, unless `wanted` are many enough to be read where they are wanted."""
        if self._reached():
            return True
        self._look_ahead(wanted)
        if self._windows:
            window = self._windows.popleft()
            self._hold(window.start, window.take())
        elif wanted < self._step:
            stop = min(self._position + self._step, self.size)
            (data,) = self._source.read_ranges(self.version, [(self._position, stop)])
            self._hold(self._position, memoryview(data))
        else:
            return False
        return True

    def _hold(self, start: int, data: memoryview) -> None:
        if not self._at_hand.readonly:
            # A window that was used up: memory that is used again comes without page faults.
            self._spare = self._at_hand
        self._start, self._at_hand = start, data

    def _look_ahead(self, wanted: int) -> None:
        """Keep the windows that the position has not passed, and add to them where reads go on."""
        if self._process != os.getpid():
            # A forked child has not the threads that fill them.
            self._windows.clear()
            self._process = os.getpid()
        while self._windows and not self._windows[0].start <= self._position < self._windows[0].stop:
            self._windows.popleft().drop()
        goes_on = bool(self._windows) or (self._position == self._start + len(self._at_hand))
        self._went_on = self._went_on + 1 if goes_on else 0
        least = max(2 * self._step if goes_on else 0, wanted)
        self._step = min(max(least, _WINDOW_BYTES_MIN), _WINDOW_BYTES_MAX)
        if self._went_on >= _AHEAD_FROM and wanted <= _WINDOWS_AHEAD * _WINDOW_BYTES_MAX:
            self._add_windows()

    def _add_windows(self) -> None:
        budget = memory().ahead
        start = self._windows[-1].stop if self._windows else self._position
        while len(self._windows) < _WINDOWS_AHEAD and start < self.size:
            size = min(self._step, self.size - start)
            if not budget.try_take(size):
                return
            buffer, self._spare = self._spare, memoryview(b"")
            if len(buffer) != size:
                buffer = memoryview(bytearray(size))
            self._windows.append(_Window(self._source, self.version, start, buffer, budget))
            start += size

    def _drop_windows(self) -> None:
        while self._windows:
            self._windows.popleft().drop()


class _Window:
    """The bytes from `start` on, fetched ahead into `buffer`, and part of `budget` until they are used."""

    def __init__(self, source: VersionReader, version: Version, start: int, buffer: memoryview, budget: Budget):
        self.start = start
        self.stop = start + len(buffer)
        self._buffer = buffer
        self._read = _ahead.submit(source.read_parts, version, Parts([(start, self._buffer)]))
        self._budget = budget

    def take(self) -> memoryview:
        """Wait for the bytes and return them."""
        try:
            self._read.result()
        finally:
            self.drop()
        return self._buffer

    def drop(self) -> None:
        """Give back the memory, once nothing is written to it any more."""
        self._read.cancel()
        self._read.add_done_callback(lambda _: self._budget.give(len(self._buffer)))
