"""Frames: round trips, and that no hurt frame ever gives other bytes."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import frames
from mlflow_versioned_store.content.digests import tail_fingerprint
from mlflow_versioned_store.errors import Damaged
from tests.content.making import BLAKE3, MIB, frame, noise, rows, text

SMALL = text(rows(1, 12))
BASE = text(rows(1, 11)) + b"\nlast"
PLAIN, RAW, DELTA = frame(SMALL), frame(noise("frame", 300)), frame(SMALL, BASE)


def decoded(data: bytes) -> bytes:
    """Return the chunk of a frame that may lean on BASE."""
    return bytes(frames.decode(data, 0, BLAKE3, BASE)[1])


def test_the_layout_never_changes() -> None:
    """A frame written by hand from the description in the module is one, and the only one."""
    chunk = b"0123456789"
    expected = struct.pack("<BIIIQ", 0, 0, 10, 10, tail_fingerprint(chunk)) + BLAKE3(chunk) + chunk
    assert frame(chunk) == expected
    header, data, end = frames.decode(b"before" + expected + b"behind", 6, BLAKE3)
    assert (header.codec, header.raw, header.stored, header.size, end) == (0, 10, 10, 53, 6 + 63)
    assert (bytes(data), header.digest, header.tail) == (chunk, BLAKE3(chunk), tail_fingerprint(chunk))
    assert DELTA[53:85] == BLAKE3(BASE)


@given(data=st.binary(max_size=3000), base=st.one_of(st.none(), st.binary(max_size=3000)))
@settings(max_examples=60, deadline=None)
def test_a_frame_comes_back(data: bytes, base: bytes | None) -> None:
    """Header and chunk are what was written, and the frame ends where its bytes end."""
    encoded = frame(data, base, chain=7)
    header, chunk, end = frames.decode(encoded + b"behind", 0, BLAKE3, base)
    assert bytes(chunk) == data
    assert end == len(encoded) == header.size + header.stored
    assert header.base == (None if base is None else BLAKE3(base))
    assert header.chain == (0 if base is None else 7)


def test_a_borrowed_chunk_is_what_lies_in_another_object() -> None:
    """Its frame has none of its bytes, and takes no others than those with its digest."""
    encoded = frames.encode_header(3, len(BASE), 8, tail_fingerprint(BASE), BLAKE3(BASE)) + (1 << 40).to_bytes(
        8, "little"
    )
    header, chunk, end = frames.decode(encoded + b"behind", 0, BLAKE3, BASE)
    assert (bytes(chunk), header.base, end) == (BASE, None, 61)
    for base in (None, b"", BASE[1:], BASE + b"x", BASE[::-1]):
        with pytest.raises(Damaged):
            frames.decode(encoded, 0, BLAKE3, base)
    for size in range(len(encoded)):
        with pytest.raises(Damaged):
            frames.decode(encoded[:size], 0, BLAKE3, BASE)


@pytest.mark.parametrize("encoded", [PLAIN, RAW, DELTA], ids=["zstd", "raw", "delta"])
def test_every_truncation_is_an_error(encoded: bytes) -> None:
    """A frame of which any part is missing gives no bytes."""
    for size in range(len(encoded)):
        with pytest.raises(Damaged):
            decoded(encoded[:size])


@pytest.mark.parametrize("encoded", [PLAIN, RAW, DELTA], ids=["zstd", "raw", "delta"])
def test_every_flipped_bit_is_an_error_or_harmless(encoded: bytes) -> None:
    """A frame with one wrong bit gives its own chunk or an error, never other bytes."""
    chunk = decoded(encoded)
    refused = 0
    for at in range(8 * len(encoded)):
        hurt = bytearray(encoded)
        hurt[at // 8] ^= 1 << at % 8
        try:
            assert decoded(bytes(hurt)) == chunk, f"bit {at}"
        except Damaged:
            refused += 1
    assert refused > 4 * len(encoded)


def test_a_delta_with_the_wrong_base_is_an_error() -> None:
    """A delta never decodes to other bytes because its base is another chunk."""
    for base in (None, b"", SMALL, BASE[1:], BASE + b"x"):
        with pytest.raises(Damaged):
            frames.decode(DELTA, 0, BLAKE3, base)


@pytest.mark.parametrize(
    "header",
    [
        (4, 0, 10, 10),
        (255, 0, 10, 10),
        (0, 0, (4 << 20) + 1, 10),
        (1, 0, 0xFFFFFFFF, 10),
        (1, 0, 10, 0xFFFFFFFF),
        (0, 1, 10, 10),
        (1, 5, 10, 10),
        (3, 1, 10, 8),
    ],
    ids=repr,
)
def test_headers_beyond_the_limits_are_errors(header: tuple[int, int, int, int]) -> None:
    """Unknown codecs, lengths over the limits, and chain numbers that do not fit the codec are refused at once."""
    data = struct.pack("<BIIIQ32s", *header, 0, bytes(32)) + bytes(100)
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            frames.decode_header(data)
        with pytest.raises(Damaged):
            frames.decode(data, 0, BLAKE3, b"base")
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


@given(data=st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_frame_are_an_error(data: bytes) -> None:
    """Nothing that was not written as a frame decodes, and nothing but `Damaged` comes out of it."""
    with pytest.raises(Damaged):
        frames.decode(data, 0, BLAKE3, b"base")
