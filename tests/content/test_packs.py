"""Packs: what a directory says of its frames, and that no hurt pack is ever misread."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import packs
from mlflow_versioned_store.content.frames import encode_header
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import Directory, DirectoryBuilder, FramePlace, PackName
from mlflow_versioned_store.errors import Damaged
from tests.content.making import BLAKE3, MIB, PACK, frame, noise, place, rows, text


def pack_of(pieces: Sequence[bytes], bases: dict[int, FramePlace] | None = None) -> tuple[PackName, bytes]:
    """Return name and bytes of a pack with these frames."""
    builder = DirectoryBuilder()
    for at, piece in enumerate(pieces):
        raw = int.from_bytes(piece[5:9], "little")
        builder.add(len(piece), raw, piece[0], (bases or {}).get(at))
    tail = builder.encode()
    data = packs.new_head() + b"".join(pieces) + tail
    return PackName("all", BLAKE3(data).hex(), len(data), len(tail)), data


def tail_of(columns: Any, size: int = 1000, compressed: bytes | None = None) -> tuple[PackName, bytes]:
    """Return name and tail of a pack of `size` bytes before the tail, whose directory says `columns`."""
    encoded = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(columns)) if compressed is None else compressed
    tail = encoded + len(encoded).to_bytes(4, "little") + hashlib.sha256(encoded).digest()[:8] + b"MVSPEND\x01"
    return PackName("all", "ab" * 32, size + len(tail), len(tail)), tail


FRAMES = [frame(b"a" * 500), frame(noise("p", 200)), frame(text(rows(1, 20)), b"a" * 500, chain=1)]
NAME, DATA = pack_of(FRAMES, {2: place()})


def test_a_directory_says_what_was_added() -> None:
    """Offsets, lengths, codecs and bases come back, and frames lie where it says."""
    directory = packs.decode_pack(NAME, DATA, BLAKE3)
    assert directory.raws == [500, 200, len(text(rows(1, 20)))]
    assert list(directory.codecs) == [1, 0, 2]
    assert directory.bases == {2: place()}
    assert [DATA[start:stop] for start, stop in zip(directory.offsets, directory.offsets[1:], strict=False)] == FRAMES
    start, stop = packs.tail_range(NAME)
    assert packs.decode_tail(NAME, DATA[start:stop]) == directory


def test_the_layout_never_changes() -> None:
    """Magic, nonce, frames, directory, its length, its check, magic: as the module says."""
    length, check = DATA[-20:-16], DATA[-16:-8]
    directory = DATA[-20 - int.from_bytes(length, "little") : -20]
    assert DATA[:8] == b"MVSPACK\x01"
    assert DATA[24:] == b"".join(FRAMES) + directory + length + check + b"MVSPEND\x01"
    assert check == hashlib.sha256(directory).digest()[:8]
    columns = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(directory))
    sizes = [len(piece) for piece in FRAMES]
    assert columns == [sizes, [500, 200, len(text(rows(1, 20)))], bytes([1, 0, 2]), [list(PACK)], [[0], [24], [100]]]


def test_no_two_packs_share_a_name() -> None:
    """The same frames packed twice make two objects: "it exists already" could mean "it is about to be deleted"."""
    assert pack_of(FRAMES)[0].digest != pack_of(FRAMES)[0].digest


@given(
    raws=st.lists(st.integers(1, 3000), max_size=30),
    deltas=st.sets(st.integers(0, 29)),
    base=st.tuples(st.integers(24, 10_000), st.integers(60, 5000)),
)
@settings(max_examples=40, deadline=None)
def test_any_directory_comes_back(raws: list[int], deltas: set[int], base: tuple[int, int]) -> None:
    """Frames of any sizes, with or without bases, are found again."""
    chunks = [noise(at, raw) for at, raw in enumerate(raws)]
    pieces = [frame(chunk, b"base" if at in deltas else None) for at, chunk in enumerate(chunks)]
    bases = {at: FramePlace(PACK, *base) for at in deltas if at < len(raws)}
    name, data = pack_of(pieces, bases)
    directory = packs.decode_pack(name, data, BLAKE3)
    assert (directory.raws, directory.bases) == (raws, bases)


def test_every_truncation_is_an_error() -> None:
    """A pack or a tail of which any part is missing is no pack."""
    start, stop = packs.tail_range(NAME)
    for size in range(len(DATA)):
        with pytest.raises(Damaged):
            packs.decode_pack(NAME, DATA[:size], BLAKE3)
        with pytest.raises(Damaged):
            packs.decode_tail(NAME, DATA[start:stop][:size] if size < stop - start else DATA[:size])


def test_every_flipped_bit_is_an_error() -> None:
    """A tail or a pack with one wrong bit is refused."""
    start, stop = packs.tail_range(NAME)
    for at in range(8 * len(DATA)):
        hurt = bytearray(DATA)
        hurt[at // 8] ^= 1 << at % 8
        with pytest.raises(Damaged):
            packs.decode_pack(NAME, bytes(hurt), BLAKE3)
        if at >= 8 * start:
            with pytest.raises(Damaged):
                packs.decode_tail(NAME, bytes(hurt[start:stop]))


BASES = [[0], [24], [100]]
LENDER = Lender("1/run/big", "v", 1000, "")


@given(st.lists(st.tuples(st.integers(1, 4 << 20), st.integers(0, 1 << 40)), max_size=20))
def test_any_directory_of_borrowed_chunks_comes_back(chunks: list[tuple[int, int]]) -> None:
    """The object and the bytes of each are found again, however far they are in it."""
    lender = LENDER._replace(size=1 << 42)
    bases = {at: FramePlace(lender, offset, raw) for at, (raw, offset) in enumerate(chunks)}
    pieces = [encode_header(3, raw, 8, 0, bytes(32)) + bytes(8) for raw, _ in chunks]
    name, data = pack_of(pieces, bases)
    directory = packs.decode_pack(name, data, BLAKE3)
    assert (directory.raws, directory.bases) == ([raw for raw, _ in chunks], bases)


@pytest.mark.parametrize(
    "columns",
    [
        [],
        {},
        7,
        [[976], [10], b"\x00", []],
        [[976], [10], b"\x00", [], [], []],
        [[975], [10], b"\x00", [], []],
        [[977], [10], b"\x00", [], []],
        [[1000, -24], [10, 10], b"\x00\x00", [], []],
        [[976, 0], [10, 10], b"\x00\x00", [], []],
        [[976], [10, 10], b"\x00", [], []],
        [[976], [-1], b"\x00", [], []],
        [[976], [(4 << 20) + 1], b"\x00", [], []],
        [[976], [1 << 63], b"\x00", [], []],
        [[976], [10], b"", [], []],
        [[976], [10], b"\x03", [], []],
        [[976], [10], b"\x02", [], []],
        [[976], [10], b"\x02", [PACK], []],
        [[976], [10], b"\x02", [PACK], [[1], [24], [100]]],
        [[976], [10], b"\x02", [PACK], [[-1], [24], [100]]],
        [[976], [10], b"\x02", [PACK], [[0, 0], [24, 24], [100, 100]]],
        [[976], [10], b"\x02", [PACK], [[0], [24]]],
        [[976], [10], b"\x02", [["all", "AB" * 32, 1000, 100]], BASES],
        [[976], [10], b"\x04", [PACK], BASES],
        [[976], [100], b"\x03", [PACK], BASES],
        [[976], [100], b"\x02", [LENDER], BASES],
        [[976], [99], b"\x03", [LENDER], BASES],
        [[976], [100], b"\x03", [LENDER], [[0], [-1], [100]]],
        [[976], [100], b"\x03", [LENDER], [[0], [901], [100]]],
        [[976], [100], b"\x03", [["../key", "v", 1000, ""]], BASES],
        [[976], [10], b"\x02", [["all", "../" * 21 + "a", 1000, 100]], BASES],
        [[976], [10], b"\x02", [["all", "ab" * 32, (256 << 20) + 1, 100]], BASES],
        [[976], [10], b"\x02", [["all", "ab" * 32, 100, 1000]], BASES],
        [[976], [10], b"\x02", [["", "ab" * 32, 1000, 100]], BASES],
        [[976], [10], b"\x02", ["pack"], BASES],
        [["976"], [10], b"\x00", [], []],
        [[976.5], [10], b"\x00", [], []],
    ],
    ids=repr,
)
def test_directories_that_lie_are_errors(columns: Any) -> None:
    """A directory that does not fill its pack, breaks a limit or names no proper base is refused."""
    good = [[976], [10], b"\x02", [PACK], BASES]
    assert packs.decode_tail(*tail_of(good)) == Directory([24, 1000], [10], b"\x02", {0: place()})
    with pytest.raises(Damaged):
        packs.decode_tail(*tail_of(columns))


def test_hostile_directories_cost_little() -> None:
    """Bombs, counts without items, deep nesting and wide windows are errors before much memory is taken."""
    compress = zstandard.ZstdCompressor(level=3).compress
    zeros = b"\x95\xdd" + (15 << 20).to_bytes(4, "big") + bytes(15 << 20)
    hostile = [
        compress(b"\x95\xdd\xff\xff\xff\xff"),
        compress(b"\x95\xdd\x0f\xff\xff\xff"),
        compress(b"\x95\x90\x90\xc6\xff\xff\xff\xff"),
        compress(b"\x95\x90\x90\xc4\x00" + b"\x91" * 1_000_000 + b"\x90\x90"),
        compress(bytes(256 << 20)),
        compress(zeros),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"\x95"),
        b"",
        b"\x28\xb5\x2f\xfd",
    ]
    for data in hostile:
        name, tail = tail_of(None, compressed=data)
        tracemalloc.start()
        try:
            with pytest.raises(Damaged):
                packs.decode_tail(name, tail)
            assert tracemalloc.get_traced_memory()[1] < 160 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        ["all", "ab" * 32, 1000],
        ["all", "ab" * 32, 1000, 100, 1],
        [1, "ab" * 32, 1000, 100],
        ["all", "ab" * 32, "1000", 100],
        ["all", "ab" * 32, 1000, 20],
        ["all", "ab" * 32, 1000, 1000],
        ["all", "ab" * 32, 1000, -1],
        ["all", "ab" * 32, 1 << 40, 100],
        ["all", "ab" * 31 + "zz", 1000, 100],
    ],
    ids=repr,
)
def test_names_that_break_the_format_are_errors(value: object) -> None:
    """A record cannot name a pack outside the store, or one that is larger than any."""
    assert PackName.checked(["all", "ab" * 32, 1000, 100]) == PackName("all", "ab" * 32, 1000, 100)
    with pytest.raises(Damaged):
        PackName.checked(value)
