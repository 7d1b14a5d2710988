"""Where the chunks of one file went: gathered chunk by chunk, then written into a commit."""

from __future__ import annotations

from mlflow_versioned_store.content.digests import tree_hasher
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.locations import INLINE, Extent, Packed
from mlflow_versioned_store.content.packs import PackName, PackRef
from mlflow_versioned_store.digests import Hasher


class FileChunks:
    """The extents and the tree digest of a file while it is stored; neighbouring frames become one extent."""

    def __init__(self, digest_name: str):
        self._digest_name = digest_name
        self._extents: list[tuple[PackRef | None, int, int, int]] = []
        self._first: bytes | None = None
        self._tree: Hasher | None = None

    def add(self, placed: Placed) -> None:
        """Note the next chunk of the file; one without a pack is inline."""
        self._add_digest(placed.digest)
        if self._extents:
            pack, offset, stored, raw = self._extents[-1]
            if _same(pack, placed.pack) and placed.offset == offset + stored:
                self._extents[-1] = (pack, offset, stored + placed.size, raw + placed.raw)
                return
        self._extents.append((placed.pack, placed.offset, placed.size, placed.raw))

    def packs(self) -> set[PackName]:
        """Return the packs of the file, all sealed by now."""
        return {pack.sealed() for pack, *_ in self._extents if pack is not None}

    def location(self, numbers: dict[PackName, int]) -> Packed:
        """Return what a commit records, with packs numbered by `numbers`."""
        extents = tuple(
            Extent(INLINE if pack is None else numbers[pack.sealed()], offset, stored, raw)
            for pack, offset, stored, raw in self._extents
        )
        return Packed(extents, self._tree.hexdigest() if self._tree else None)

    def _add_digest(self, digest: bytes) -> None:
        if self._tree is not None:
            self._tree.update(digest)
        elif self._first is None:
            self._first = digest
        else:
            self._tree = tree_hasher(self._digest_name)
            self._tree.update(self._first)
            self._tree.update(digest)


def _same(a: PackRef | None, b: PackRef | None) -> bool:
    return a is b or (a is not None and b is not None and a.name is not None and a.name == b.name)
