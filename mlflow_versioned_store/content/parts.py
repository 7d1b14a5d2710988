"""Parts of a file that are wanted, and the buffers that they fill."""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from mlflow_versioned_store.backends.contract import Buffer

# [start, stop)
Range: TypeAlias = tuple[int, int]
# Of a range, so much is decoded while the next comes.
_AT_ONCE_BYTES = 4 << 20


def merged(ranges: Iterable[Range], gap: int = 0) -> list[Range]:
    """Return the byte ranges sorted and without empty ones; those with at most `gap` bytes between them become one."""
    joined: list[Range] = []
    for start, stop in sorted(ranges):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        elif start < stop:
            joined.append((start, stop))
    return joined


def filled(size: int, fill: Callable[[memoryview], object]) -> bytes:
    """Return `size` bytes that `fill` wrote into the buffer it is given, without a copy of them."""
    whole = io.BytesIO(bytes(size))
    with whole.getbuffer() as view:
        fill(view)
    return whole.getvalue()


class Parts:
    """A sink that takes parts of a file, each into a buffer of its own, and passes over the rest.

    Args:
        parts: Where each begins in the file, and the buffer that it fills; sorted, none empty, none overlapping.
        at_once: About how many bytes of them are fetched by one request.
    """

    def __init__(self, parts: Sequence[tuple[int, memoryview]], *, at_once: int = _AT_ONCE_BYTES):
        self.at_once = at_once
        self._parts = parts
        self._stops = [start + len(buffer) for start, buffer in parts]

    @property
    def ranges(self) -> list[Range]:
        """The byte ranges that are wanted."""
        return [(start, stop) for (start, _), stop in zip(self._parts, self._stops, strict=True)]

    def touch(self, start: int, stop: int) -> bool:
        """Tell whether anything in [start, stop) is wanted."""
        at = bisect_right(self._stops, start)
        return at < len(self._parts) and self._parts[at][0] < stop

    def touched(self, offsets: Sequence[int]) -> Iterator[int]:
        """Yield of the stretches between neighbouring `offsets` the numbers of those in which anything is wanted."""
        last = len(offsets) - 1
        at = 0
        for part in range(bisect_right(self._stops, offsets[0]), len(self._parts)):
            first = max(at, bisect_right(offsets, self._parts[part][0]) - 1)
            if first >= last:
                return
            at = bisect_left(offsets, self._stops[part], first, last)
            yield from range(first, at)

    def cover(self, start: int, stop: int) -> bool:
        """Tell whether all of [start, stop) is wanted, in one part or in several that follow each other."""
        at = bisect_right(self._stops, start)
        while at < len(self._parts) and self._parts[at][0] <= start < stop:
            start = self._stops[at]
            at += 1
        return start >= stop

    def write(self, offset: int, data: Buffer) -> None:
        """Take what is wanted of the bytes at `offset`."""
        view, end = memoryview(data), offset + len(data)
        for at in range(bisect_right(self._stops, offset), len(self._parts)):
            start, buffer = self._parts[at]
            if start >= end:
                return
            first, last = max(start, offset), min(self._stops[at], end)
            buffer[first - start : last - start] = view[first - offset : last - offset]

    def finish(self, *, empty: bool = False) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Nothing is left to do; whoever asked gets an error, and no bytes."""
