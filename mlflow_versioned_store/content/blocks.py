"""Reading a source in large blocks, each of which begins with what was left over of the one before."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from io import FileIO
from mmap import mmap
from typing import Protocol

from mlflow_versioned_store.content.workers import computing

if sys.platform != "win32":
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE

BLOCK_BYTES = 4 << 20
# As much may be left over of a block: a chunk that does not end in it.
REST_BYTES_MAX = 1 << 20


class Stream(Protocol):
    """What can only be read on, such as a request's body."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""


class Blocks:
    """The bytes of one source.

    Args:
        fill: Fills a buffer from the source and returns how many bytes there were; fewer than it holds at the end.
        ahead: Whether another thread reads the next block while the current one is used.
    """

    def __init__(self, fill: Callable[[memoryview], int], *, ahead: bool):
        self._fill = fill
        self._ahead = ahead
        self._running: Future[tuple[memoryview, int]] | None = None
        self._buffers: list[mmap] = []

    def next(self, rest: memoryview) -> tuple[memoryview, bool]:
        """Return `rest` and the bytes after it, and whether nothing comes after those."""
        block, size = self._running.result() if self._running is not None else self._read()
        final = size < BLOCK_BYTES
        self._running = computing.submit(self._read) if self._ahead and not final else None
        start = REST_BYTES_MAX - len(rest)
        block[start:REST_BYTES_MAX] = rest
        return block[start : REST_BYTES_MAX + size], final

    def close(self) -> None:
        """Wait until nobody reads any more, so that the source can be closed."""
        if self._running is not None:
            self._running.exception()

    def _read(self) -> tuple[memoryview, int]:
        block = memoryview(self._unused_buffer())
        return block, self._fill(block[REST_BYTES_MAX:])

    def _unused_buffer(self) -> mmap:
        # Memory that was used before comes without page faults, which cost twice as much as reading into it.
        for at in range(len(self._buffers)):
            # Whoever looks into a buffer refers to it: the list and the call do, and nobody else.
            if sys.getrefcount(self._buffers[at]) == _REFERENCES_UNUSED:
                return self._buffers[at]
        self._buffers.append(_new_buffer())
        return self._buffers[-1]


def _new_buffer() -> mmap:
    # Not from the heap, which keeps what is freed for the thread that asked for it.
    size = REST_BYTES_MAX + BLOCK_BYTES
    return mmap(-1, size) if sys.platform == "win32" else mmap(-1, size, MAP_PRIVATE | MAP_ANONYMOUS)


def _references_of_unused() -> int:
    held = [_new_buffer()]
    return sys.getrefcount(held[0])


_REFERENCES_UNUSED = _references_of_unused()


def blocks_of_file(descriptor: int) -> Blocks:
    """Return the blocks of a regular file, from where its descriptor stands."""
    file = FileIO(descriptor, closefd=False)

    def fill(buffer: memoryview) -> int:
        size = 0
        while size < len(buffer) and (count := file.readinto(buffer[size:])):
            size += count
        return size

    return Blocks(fill, ahead=True)


def blocks_of_stream(stream: Stream) -> Blocks:
    """Return the blocks of a stream."""

    def fill(buffer: memoryview) -> int:
        size = 0
        while size < len(buffer) and (data := stream.read(len(buffer) - size)):
            buffer[size : size + len(data)] = data
            size += len(data)
        return size

    return Blocks(fill, ahead=False)
