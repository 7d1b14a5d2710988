"""Reading what resembles known files: cut where they were cut, and at less cost.

A chunk that starts at a known cut and equals, by its digest, the one that followed here before also ends at one. One
that was changed still ends with the same 64 bytes, mostly where it did, or a little further after an insertion: it is
cut there too, so that the next version finds the same chunks again however often a file is edited.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from mlflow_versioned_store.content.blocks import REST_BYTES_MAX
from mlflow_versioned_store.content.chunking import Cutter
from mlflow_versioned_store.content.digests import TAIL_BYTES, Digest, tail_fingerprint
from mlflow_versioned_store.content.hashing import KnownFiles
from mlflow_versioned_store.content.indexes import CHUNK_FOLLOWS, FILE_ENDS, Index, Placed
from mlflow_versioned_store.content.segments import Chunk, Item, Scanned, Stretch

_GUESSES_MAX = 2
# Insertions and deletions in one chunk, together, that are followed at once.
_SHIFT_MAX = 2048


class Cursor(NamedTuple):
    """A place among the rows of an index: the chunk that is expected next."""

    source: Index
    at: int


class Foresight(KnownFiles, Protocol):
    """What an upload knows of stored chunks; asked by the thread that reads."""

    def place_after(self, digest: bytes, tail: int) -> Cursor | None:
        """Return the place behind the stored chunk with this digest or, if there is but one, with this tail."""


class Follower:
    """Follows the chunks of a known file through the bytes of one that resembles it; not to be shared by threads.

    Args:
        source: The one that is read.
        foresight: What is known.
        digest: The store's digest function.
        cutter: The store's way of cutting.
    """

    def __init__(self, source: Scanned, foresight: Foresight | None, digest: Digest, cutter: Cutter):
        self.source = source
        self._foresight = foresight
        self._digest = digest
        self._cutter = cutter
        self._cursor: Cursor | None = None
        self._guesses = 0

    def follow(self, data: memoryview) -> Iterator[Item]:
        """Yield the chunks at the start of `data` that end as the ones foreseen do; equal ones together."""
        while self._cursor is not None:
            index, start = self._cursor
            stop, size, digest = self._equal(data, index, start)
            if size:
                yield Stretch(self.source, data[:size], index, start, stop)
                data = data[size:]
            self._cursor = next_place(index, stop - 1) if stop > start else self._cursor
            if digest is None:
                return
            row = index.rows[stop]
            self._cursor = next_place(index, stop)
            yield Chunk(self.source, data[: row.raw], digest, row.tail)
            data = data[row.raw :]

    def _equal(self, data: memoryview, index: Index, at: int) -> tuple[int, int, bytes | None]:
        """Return up to which row `data` goes on as an index does from row `at` on, and how many bytes that are.

        The third item is the digest of the chunk behind, where that only ends as the row there does.
        """
        rows, follows, digest_of = index.rows, index.follows, self._digest
        size = 0
        while follows[at] != FILE_ENDS:
            row = rows[at]
            piece = data[size : size + row.raw]
            if len(piece) < row.raw or tail_fingerprint(piece) != row.tail:
                break
            self._guesses = 0
            digest = digest_of(piece)
            if digest != row.digest:
                return at, size, digest
            size += row.raw
            at += 1
            if follows[at - 1] != CHUNK_FOLLOWS or at == len(rows):
                break
        return at, size, None

    def awaits_more_than(self, size: int) -> bool:
        """Tell whether the end of the chunk that is foreseen may lie behind the next `size` bytes."""
        if self._cursor is None:
            return False
        return size < self._cursor.source.rows[self._cursor.at].raw + _SHIFT_MAX <= REST_BYTES_MAX

    def cut(self, data: memoryview) -> Chunk | None:
        """Return the chunk at the start of `data`, which ends elsewhere than foreseen; None where the place is lost."""
        if self._cursor is None:
            return None
        index, at = self._cursor
        row = index.rows[at]
        if index.follows[at] == FILE_ENDS or row.raw > len(data):
            self._cursor = None
            return None
        end = self._end_alike(data, row)
        if end is not None:
            self._guesses = 0
        elif self._guesses < _GUESSES_MAX:
            # The last bytes themselves were edited. Whether the place is right shows at the next end.
            self._guesses += 1
            end = row.raw
        else:
            self._cursor = None
            return None
        self._cursor = next_place(index, at)
        piece = data[:end]
        return Chunk(self.source, piece, self._digest(piece), tail_fingerprint(piece))

    def find(self, digest: bytes, tail: int) -> None:
        """Look where to go on after a chunk that was not foreseen."""
        self._guesses = 0
        self._cursor = self._foresight.place_after(digest, tail) if self._foresight is not None else None

    def _end_alike(self, data: memoryview, row: Placed) -> int | None:
        """Return where, near its old length, a changed chunk ends with the same 64 bytes as before."""

        def ends_alike(end: int) -> bool:
            return TAIL_BYTES <= end <= len(data) and tail_fingerprint(data[end - TAIL_BYTES : end]) == row.tail

        # The same bytes mostly make a cut again, which is found at once.
        cut = self._cutter.cut(data[: row.raw + _SHIFT_MAX], final=True)
        if cut is not None and cut >= row.raw - _SHIFT_MAX and ends_alike(cut):
            return cut
        places = (end for step in range(1, _SHIFT_MAX + 1) for end in (row.raw + step, row.raw - step))
        return next(filter(ends_alike, places), None)


def next_place(index: Index, at: int) -> Cursor | None:
    """Return the place behind row `at`, if the chunk there followed it in the same file."""
    return Cursor(index, at + 1) if at + 1 < len(index.rows) and index.follows[at] == CHUNK_FOLLOWS else None
