"""Where the chunks of one file went."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.content.digests import digest_function
from mlflow_versioned_store.content.files import FileChunks
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.locations import Extent, Packed
from mlflow_versioned_store.content.packs import PackName, PackRef

ONE, TWO = (PackName("all", f"{number:064x}", 5000, 100) for number in (1, 2))


def placed(seed: int, pack: PackName | None, offset: int, size: int = 100) -> Placed:
    """Return a chunk of 150 bytes."""
    return Placed(bytes([seed] * 32), 0, 150, PackRef(pack) if pack else None, offset, size)


def test_frames_in_a_row_are_one_extent() -> None:
    """Neighbours in one pack are joined, whatever refers to it; a gap, a step back or another pack ends it."""
    chunks = FileChunks("blake3")
    for chunk in (
        placed(1, ONE, 24),
        placed(2, ONE, 124),
        placed(3, ONE, 224, 50),
        placed(4, ONE, 275),
        placed(1, ONE, 24),
        placed(5, TWO, 124),
        placed(6, TWO, 224),
    ):
        chunks.add(chunk)
    location = chunks.location({ONE: 0, TWO: 1})
    assert location.extents == (
        Extent(0, 24, 250, 450),
        Extent(0, 275, 100, 150),
        Extent(0, 24, 100, 150),
        Extent(1, 124, 200, 300),
    )
    assert chunks.packs() == {ONE, TWO}


def test_inline_frames_are_of_no_pack() -> None:
    """They have the number −1, and join like others."""
    chunks = FileChunks("blake3")
    chunks.add(placed(1, None, 0))
    chunks.add(placed(2, None, 100))
    chunks.add(placed(3, ONE, 200))
    assert chunks.location({ONE: 0}).extents == (Extent(-1, 0, 200, 300), Extent(0, 200, 100, 150))
    assert chunks.packs() == {ONE}


@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_several_chunks_are_bound_by_a_tree_digest(digest: str) -> None:
    """It is the digest over their digests in order; none or one chunk needs none."""
    chunks = FileChunks(digest)
    assert chunks.location({}) == Packed(())
    chunks.add(placed(1, None, 0))
    assert chunks.location({}).tree is None
    chunks.add(placed(2, None, 500))
    chunks.add(placed(1, None, 0))
    expected = digest_function(digest)(bytes([1] * 32) + bytes([2] * 32) + bytes([1] * 32)).hex()
    assert chunks.location({}).tree == expected
