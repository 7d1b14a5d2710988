"""Reading in blocks: every byte once and in order, and no bytes that change under whoever looks at them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_versioned_store.content.blocks import (
    BLOCK_BYTES,
    REST_BYTES_MAX,
    Blocks,
    Stream,
    blocks_of_file,
    blocks_of_stream,
)
from tests.content.making import MIB, noise

SIZES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, 13 * MIB + 7]


class Drops(io.BytesIO):
    """A stream that gives less than it is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most a few bytes more than half a mebibyte."""
        return super().read(min(size or 0, 600_001))


def pieces(blocks: Blocks, left: int) -> Iterator[memoryview]:
    """Yield what is used of each block where `left` bytes of it are left over, and everything of the last one."""
    rest, final = memoryview(b""), False
    while not final:
        block, final = blocks.next(rest)
        used = len(block) if final else len(block) - left
        yield block[:used]
        rest = block[used:]


@pytest.mark.parametrize("left", [0, 1, 300_000, REST_BYTES_MAX])
@pytest.mark.parametrize("size", SIZES)
def test_every_byte_comes_once_and_in_order(tmp_path: Path, size: int, left: int) -> None:
    """Whatever is left over of a block comes first in the next one, from files and from streams."""
    data = noise(size, size)
    path = tmp_path / "file"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        blocks = blocks_of_file(descriptor)
        assert b"".join(pieces(blocks, left)) == data
        blocks.close()
    finally:
        os.close(descriptor)
    stream: Stream = Drops(data)
    assert b"".join(pieces(blocks_of_stream(stream), left)) == data


def test_bytes_that_are_looked_at_stay_what_they_are() -> None:
    """Memory is used again only where nobody looks into it any more, however small the part that is looked at."""
    data = noise("kept", 40 * MIB)
    kept = [piece[-1:] for piece in pieces(blocks_of_stream(io.BytesIO(data)), 0)]
    assert b"".join(kept[:-1]) == data[BLOCK_BYTES - 1 :: BLOCK_BYTES]


def test_memory_that_nobody_looks_at_is_used_again() -> None:
    """Reading much takes no more memory than reading little."""
    blocks = blocks_of_stream(io.BytesIO(bytes(40 * MIB)))
    rest, final = memoryview(b""), False
    owners = set()
    while not final:
        block, final = blocks.next(rest)
        owners.add(id(block.obj))
    assert len(owners) <= 2
