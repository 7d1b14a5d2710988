"""Reading what a client is sent: the next bytes are fetched while the last are sent, in memory that all reads share.

A read goes on in windows that grow to 16 MiB, which is about what one request to the store brings. They are filled into
blocks of which there is a fixed number. A client that stops reading keeps those it has and gets no more; where no block
is free, a read goes on in windows so small that every request may hold one.
"""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import closing

from mlflow_versioned_store.content.workers import cpu_limit
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.pools import Pool
from mlflow_versioned_store.store import ArtifactRoot

_BLOCK_BYTES = 4 << 20
_BLOCKS = 24
_WINDOW_BYTES_MIN = 256 << 10
_WINDOW_BYTES_MAX = 4 * _BLOCK_BYTES
_WINDOWS_AHEAD = 2
_PIECE_BYTES = 256 << 10

_readers = Pool("gateway", lambda: 2 * cpu_limit())


class Blocks:
    """Blocks of memory, used again and again; new ones would cost as much as copying what they are for.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int = _BLOCKS):
        self._free: list[bytearray] = []
        self._left = count
        self._count = count
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many nobody has."""
        return self._left

    def take(self, wanted: int, *, ahead: bool) -> list[bytearray]:
        """Return up to `wanted` blocks; none where none can be spared.

        Whoever comes leaves half for those who come next, and what is fetched `ahead` leaves a quarter of all.
        """
        with self._lock:
            spare = self._left - (self._count // 4 if ahead else 0)
            count = max(0, min(wanted, -(-spare // 2)))
            self._left -= count
            taken = [self._free.pop() for _ in range(min(count, len(self._free)))]
        return taken + [bytearray(_BLOCK_BYTES) for _ in range(count - len(taken))]

    def give(self, blocks: list[bytearray]) -> None:
        """Give blocks back."""
        with self._lock:
            self._free += blocks
            self._left += len(blocks)


async def pieces(root: ArtifactRoot, version: Version, start: int, stop: int, blocks: Blocks) -> AsyncGenerator[bytes]:
    """Yield the bytes [start, stop) of a version, which lie inside it.

    Raises:
        VersionedStoreError: They could not be read; the bytes until then are right.
    """
    windows: deque[_Window] = deque()
    at, size = start, _WINDOW_BYTES_MIN
    reading = _Reading(root, version, blocks)
    try:
        while at < stop or windows:
            while at < stop and len(windows) <= _WINDOWS_AHEAD:
                window = reading.window(at, min(size, stop - at), ahead=bool(windows))
                if window is None:
                    break
                windows.append(window)
                at, size = window.stop, min(4 * size, _WINDOW_BYTES_MAX)
                await reading.look_for_seams(at, stop)
            with closing(windows.popleft()) as window:
                for view in await window.read():
                    for offset in range(0, len(view), _PIECE_BYTES):
                        # A copy: the server may not have sent it all when the block is filled anew.
                        yield bytes(view[offset : offset + _PIECE_BYTES])
    finally:
        for window in windows:
            window.close()


class _Reading:
    """Opens the windows of one version.

    Args:
        root: The artifact root.
        version: Its version.
        blocks: The memory.
    """

    def __init__(self, root: ArtifactRoot, version: Version, blocks: Blocks):
        self._root = root
        self._version = version
        self._blocks = blocks
        self._seams: list[int] | None = None

    async def look_for_seams(self, start: int, stop: int) -> None:
        """Learn where windows best end, unless that is known or too little follows."""
        if self._seams is None and stop - start > _WINDOW_BYTES_MAX:
            self._seams = await asyncio.wrap_future(_readers.submit(self._root.seams, self._version))

    def window(self, start: int, size: int, *, ahead: bool) -> _Window | None:
        """Return a window of up to `size` bytes, whose reading begins; None where it would be ahead of too many."""
        taken = [] if size <= _WINDOW_BYTES_MIN else self._blocks.take(-(-size // _BLOCK_BYTES), ahead=ahead)
        if not taken and ahead:
            return None
        room = len(taken) * _BLOCK_BYTES or _WINDOW_BYTES_MIN
        size = self._up_to_a_seam(start, min(size, room))
        buffers = taken or [bytearray(size)]
        offsets = range(0, size, _BLOCK_BYTES)
        views = [memoryview(buffer)[: size - offset] for buffer, offset in zip(buffers, offsets, strict=False)]
        read = _readers.submit(self._root.read_into, self._version, start, views)
        return _Window(start + size, views, read, lambda: self._blocks.give(taken))

    def _up_to_a_seam(self, start: int, size: int) -> int:
        # Objects that are read to their ends need no look into their directories.
        seams = self._seams or []
        at = bisect_right(seams, start + size) - 1
        return seams[at] - start if at >= 0 and seams[at] > start else size


class _Window:
    """Bytes that are being fetched.

    Args:
        stop: Where they end.
        views: What they are read into.
        read: The reading.
        give_back: Called when nobody uses the views any more.
    """

    def __init__(self, stop: int, views: list[memoryview], read: Future[None], give_back: Callable[[], None]):
        self.stop = stop
        self._views = views
        self._read = read
        self._give_back = give_back

    async def read(self) -> list[memoryview]:
        """Wait for the bytes and return them."""
        await asyncio.wrap_future(self._read)
        return self._views

    def close(self) -> None:
        """Give the memory back, once nothing is written to it any more."""
        self._read.cancel()
        self._read.add_done_callback(lambda _: self._give_back())
