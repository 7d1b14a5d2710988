"""Encoding of chunks: round trips, worth, and what hostile bytes get."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content.codecs import (
    DELTA,
    RAW,
    RAW_BYTES_MAX,
    ZSTD,
    Compressor,
    compress_delta,
    decompress,
)
from mlflow_versioned_store.errors import Damaged
from tests.content.making import MIB, edited, noise, rows, text

CHUNKS = st.one_of(
    st.binary(max_size=2000),
    st.integers(0, 100_000).map(lambda size: noise("codec", size)),
    st.integers(0, 3000).map(lambda count: text(rows(5, count))),
)

compress = Compressor().compress


@given(data=CHUNKS)
@settings(max_examples=50, deadline=None)
def test_what_is_compressed_comes_back(data: bytes) -> None:
    """A chunk decodes to itself, and never takes more room than it has bytes."""
    codec, encoded = compress(data)
    assert bytes(decompress(codec, encoded, len(data))) == data
    assert len(encoded) <= len(data)


@given(data=CHUNKS, base=CHUNKS)
@settings(max_examples=50, deadline=None)
def test_a_delta_comes_back_with_its_base(data: bytes, base: bytes) -> None:
    """A delta against any chunk decodes to the new one."""
    assert decompress(DELTA, compress_delta(data, base), len(data), base) == data


def test_text_is_compressed_and_noise_is_not() -> None:
    """Zstd is used where it pays, and only there."""
    assert compress(text(rows(1, 1500)))[0] == ZSTD
    assert compress(noise("n", 100_000))[0] == RAW
    assert compress(noise("n", 5000))[0] == RAW
    assert compress(b"")[0] == RAW


def test_noise_with_text_in_it_is_compressed() -> None:
    """The samples that spare noise the compressor do not judge a chunk by its beginning."""
    data = noise("head", 20_000) + text(rows(1, 1500)) + noise("tail", 20_000)
    assert compress(data)[0] == ZSTD


def test_a_delta_of_an_edited_chunk_is_small() -> None:
    """One per cent of the rows of a chunk edited costs a few per cent of what plain zstd needs."""
    lines = rows(2, 1300)
    data, base = text(edited(lines, 3)), text(lines)
    assert len(compress_delta(data, base)) < len(compress(data)[1]) / 10


@pytest.mark.parametrize("codec", [4, 255, -1])
def test_an_unknown_codec_is_an_error(codec: int) -> None:
    """Bytes in a codec of a later format are never taken for a chunk."""
    with pytest.raises(Damaged, match="unknown codec"):
        decompress(codec, b"x", 1)


@pytest.mark.parametrize("wrong", [-1, 1, 1000])
def test_a_wrong_length_is_an_error(wrong: int) -> None:
    """Raw and compressed bytes must have exactly the length that their header says."""
    data = text(rows(1, 100))
    for codec, encoded in ((RAW, data), compress(data), (DELTA, compress_delta(data, data))):
        with pytest.raises(Damaged):
            decompress(codec, encoded, len(data) + wrong, data)


def test_a_bomb_allocates_nothing() -> None:
    """A frame that would explode, or claims that it does, is refused before memory is taken for it."""
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(64 * MIB))
    tracemalloc.start()
    try:
        for claimed in (64 * MIB, RAW_BYTES_MAX + 1, RAW_BYTES_MAX, 100, 0):
            with pytest.raises(Damaged):
                decompress(ZSTD, bomb, claimed)
            with pytest.raises(Damaged):
                decompress(DELTA, bomb, claimed, b"base")
        assert tracemalloc.get_traced_memory()[1] < 6 * MIB
    finally:
        tracemalloc.stop()


def test_a_stream_without_a_length_is_an_error() -> None:
    """Zstd streams that do not say how long they are could grow without end."""
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    with pytest.raises(Damaged):
        decompress(ZSTD, compressor.compress(b"x" * 1000), 1000)


def test_a_window_over_8_mib_is_an_error() -> None:
    """A decoder never has to keep more than 8 MiB, whatever the frame asks for."""
    assert decompress(ZSTD, _frame_with_window(23), 1000) == b"x" * 1000
    with pytest.raises(Damaged):
        decompress(ZSTD, _frame_with_window(24), 1000)


@pytest.mark.parametrize("extra", [b"x", b"\x50\x2a\x4d\x18\x01\x00\x00\x00x"], ids=["byte", "skippable frame"])
def test_bytes_behind_a_frame_are_an_error(extra: bytes) -> None:
    """There is one encoding of a chunk in a frame and nothing else."""
    data = b"x" * 1000
    for codec, encoded in ((ZSTD, compress(data)[1]), (DELTA, compress_delta(data, data))):
        with pytest.raises(Damaged):
            decompress(codec, bytes(encoded) + extra, 1000, data)


def _frame_with_window(log: int) -> bytes:
    """Return a zstd frame of 1000 equal bytes with that window, written by hand."""
    window = (log - 10) << 3
    descriptor = 0b01_0_00_0_00  # two bytes of content size, no single segment, no checksum, no dictionary
    block = ((1000 << 3) | (1 << 1) | 1).to_bytes(3, "little") + b"x"  # the last block, one byte repeated
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor, window]) + (1000 - 256).to_bytes(2, "little") + block
