"""Where the chunks of one file went: gathered chunk by chunk, then written into a commit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mlflow_versioned_store.content.digests import tree_hasher
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.locations import INLINE, Extent, Packed
from mlflow_versioned_store.content.packs import PackName, PackRef
from mlflow_versioned_store.digests import Hasher


class _Run(msgspec.Struct, eq=False, gc=False):
    """Neighbouring frames."""

    pack: PackRef | None
    offset: int
    stored: int
    raw: int


# A folder may have tens of thousands of small files: nothing of one that is a single chunk is garbage collected.
class FileChunks(msgspec.Struct, eq=False, gc=False):
    """The extents and the tree digest of a file while it is stored; neighbouring frames become one extent.

    Args:
        digest_name: The store's digest algorithm.
    """

    digest_name: str
    _last: _Run | None = None
    _before: list[_Run] | None = None
    _first: bytes | None = None
    _tree: Hasher | None = None

    def add(self, placed: Placed) -> None:
        """Note the next chunk of the file; one without a pack is inline."""
        self._add_digest(placed.digest)
        self._add_place(placed)

    def extend(self, rows: Sequence[Placed]) -> None:
        """Note the next chunks of the file."""
        first, *others = [row.digest for row in rows]
        self._add_digest(first)
        if others:
            self._add_digest(b"".join(others))
        for row in rows:
            self._add_place(row)

    def packs(self) -> set[PackName]:
        """Return the packs of the file, all sealed by now."""
        return {run.pack.sealed() for run in self._runs() if run.pack is not None}

    def location(self, numbers: dict[PackName, int]) -> Packed:
        """Return what a commit records, with packs numbered by `numbers`."""
        extents = tuple(
            Extent(INLINE if run.pack is None else numbers[run.pack.sealed()], run.offset, run.stored, run.raw)
            for run in self._runs()
        )
        return Packed(extents, self._tree.hexdigest() if self._tree else None)

    def _add_place(self, placed: Placed) -> None:
        last = self._last
        if last is not None:
            if placed.offset == last.offset + last.stored and _same(last.pack, placed.pack):
                last.stored += placed.size
                last.raw += placed.raw
                return
            self._before = self._before or []
            self._before.append(last)
        self._last = _Run(placed.pack, placed.offset, placed.size, placed.raw)

    def _runs(self) -> Sequence[_Run]:
        return () if self._last is None else (*(self._before or ()), self._last)

    def _add_digest(self, digest: bytes) -> None:
        if self._tree is not None:
            self._tree.update(digest)
        elif self._first is None:
            self._first = digest
        else:
            self._tree = tree_hasher(self.digest_name)
            self._tree.update(self._first)
            self._tree.update(digest)


def _same(a: PackRef | None, b: PackRef | None) -> bool:
    return a is b or (a is not None and b is not None and a.name is not None and a.name == b.name)
