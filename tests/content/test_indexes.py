"""Indexes: round trips, and that no hurt or hostile one is believed or costs much."""

from __future__ import annotations

import tracemalloc
from array import array
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import indexes
from mlflow_versioned_store.content.indexes import FileRows, Index, Placed
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import FramePlace, PackName, PackRef
from mlflow_versioned_store.content.sha256 import State
from mlflow_versioned_store.errors import Damaged, VersionedStoreError
from tests.content.making import MIB, noise

PACKS = [PackName("all", f"{number:064x}", 16 * MIB, 1000) for number in range(3)]
PLACES = st.builds(FramePlace, st.sampled_from(PACKS), st.integers(24, 16 * MIB), st.integers(54, 300_000))
LENDERS = [Lender("1/run/big", "v1", 1 << 45, ""), Lender("1/run/big", "", 1 << 45, "tag")]
LENT = st.builds(FramePlace, st.sampled_from(LENDERS), st.integers(0, 1 << 44), st.integers(1, 300_000))
ROWS = st.lists(
    st.builds(
        lambda seed, raw, place, chain, ancestors: Placed(
            noise(seed, 32), seed, raw, PackRef(place.pack), place.offset, place.size, chain, tuple(ancestors)
        ),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 4 << 20),
        PLACES,
        st.integers(0, 1000),
        st.lists(PLACES | LENT, max_size=5),
    ),
    max_size=20,
)


def plain(index: Index) -> list[tuple[Any, ...]]:
    """Return all that an index says of its rows."""
    return [(row.digest, row.tail, row.raw, row.place(), row.chain, row.ancestors) for row in index.rows]


def columns_of(index: Index) -> list[Any]:
    """Return the decoded columns of an encoded index."""
    columns: list[Any] = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(indexes.encode(index)))
    return columns


def encoded(columns: Any) -> bytes:
    """Return columns as the bytes of an index."""
    return zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(columns))


def sample(count: int = 3) -> Index:
    """Return an index of one file."""
    rows = [
        Placed(
            bytes([at] * 32), at, 100, PackRef(PACKS[0]), 24 + 100 * at, 100, at, (FramePlace(PACKS[1], 24, 90),) * at
        )
        for at in range(count)
    ]
    return Index(rows, b"\x00" * (count - 1) + b"\x01", [FileRows(0, count, 100 * count, "cd" * 32)])


@given(rows=ROWS)
@settings(max_examples=50, deadline=None)
def test_an_index_comes_back(rows: list[Placed]) -> None:
    """Every row says after reading what it said before, whatever order its places are in."""
    index = Index(rows, bytes(len(rows)))
    decoded = indexes.decode(indexes.encode(index))
    assert plain(decoded) == plain(index)
    assert decoded.follows == index.follows


@given(states=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32)), max_size=5))
def test_the_files_of_an_index_come_back(states: list[tuple[int, bytes]]) -> None:
    """A large file has its size, SHA-256 and states after reading; indexes of before there were states read too."""
    index = sample()
    index.files = [index.files[0]._replace(states=tuple(State(*state) for state in states))]
    assert indexes.decode(indexes.encode(index)).files == index.files
    columns = columns_of(index)
    columns[-1] = [file[:4] for file in columns[-1]]
    assert indexes.decode(encoded(columns)).files == [index.files[0]._replace(states=())]
    columns = columns_of(index)
    columns[-1] = [(*file[:4], b"x" * 39) for file in columns[-1]]
    with pytest.raises(Damaged):
        indexes.decode(encoded(columns))


def test_rows_are_found() -> None:
    """A chunk is found by digest and by tail, a large file by its first chunk; others are not."""
    index = indexes.decode(indexes.encode(sample()))
    assert index.by_digest(bytes([2] * 32)) == 2
    assert index.by_digest(bytes([9] * 32)) is None
    assert index.by_tail(1) == 1
    assert index.by_tail(9) is None
    assert index.has(bytes([2] * 32), 9)
    assert index.has(bytes([9] * 32), 1)
    assert not index.has(bytes([9] * 32), 9)
    assert index.by_start(bytes(32)) == [FileRows(0, 3, 300, "cd" * 32)]
    assert not index.by_start(bytes([1] * 32))


@given(
    tails=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    behind=st.integers(-1, 39),
    distance=st.integers(0, 20),
    tail=st.integers(0, 3),
)
def test_of_chunks_that_end_alike_the_nearest_is_found(tails: list[int], behind: int, distance: int, tail: int) -> None:
    """Where many chunks end with the same bytes, the one nearest to the expected place is meant, if it is near."""
    size = 100_000
    behind = min(behind, len(tails) - 1)
    rows = [Placed(bytes(32), tail_, size, PackRef(PACKS[0])) for tail_ in tails]
    index = Index(rows, bytes(len(rows)))
    found = index.by_tail_near(tail, behind, distance * size)
    steps = [abs(at - behind - distance) for at, other in enumerate(tails) if other == tail]
    near = [step for step in steps if step <= 2]
    assert (None if found is None else abs(found - behind - distance)) == min(near, default=None)
    assert found is None or tails[found] == tail
    assert index.by_tail(tail) == (tails.index(tail) if tails.count(tail) == 1 else None)


def test_rows_in_a_row_are_cheap() -> None:
    """A row costs what cannot be foretold: digest, tail fingerprint and size, about 48 bytes."""
    rows, offset = [], 24
    for at in range(5000):
        size = 1000 + int.from_bytes(noise(at, 2))
        rows.append(Placed(noise(at, 32), int.from_bytes(noise(-at, 8)), size, PackRef(PACKS[0]), offset, size + 53))
        offset += size + 53
    assert len(indexes.encode(Index(rows, bytes(5000)))) < 50 * 5000


def test_every_truncation_is_an_error() -> None:
    """Part of an index is no index."""
    data = indexes.encode(sample())
    for size in range(len(data)):
        with pytest.raises(Damaged):
            indexes.decode(data[:size])


def test_no_flipped_bit_escapes() -> None:
    """An index with one wrong bit decodes to something or is an error of ours, never anything else.

    Its name, its digest, is what makes a wrong one an error: see the tests of `known`.
    """
    data = indexes.encode(sample())
    for at in range(8 * len(data)):
        hurt = bytearray(data)
        hurt[at // 8] ^= 1 << at % 8
        try:
            indexes.decode(bytes(hurt))
        except VersionedStoreError:
            continue


U32 = array("I", [1]).tobytes()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, 2),
        (0, None),
        (1, [["all", "../x", 1000, 100]]),
        (1, []),
        (1, 7),
        (1, [list(LENDERS[0]), list(PACKS[0])]),
        (1, [list(PACKS[0]), [*LENDERS[0], "0"]]),
        (1, [list(PACKS[0]), [*LENDERS[0], 0, 0]]),
        (2, b"short"),
        (2, 7),
        (3, b"\x00" * 8),
        (3, b"\x00" * 7),
        (3, 7),
        (4, U32),
        (5, b""),
        (6, array("I", [0, 0, 9]).tobytes()),
        (9, array("I", [0, 1, 0xFFFFFFFF]).tobytes()),
        (9, array("I", [0, 1, 65]).tobytes()),
        (9, array("I", [0, 0, 0]).tobytes()),
        (10, array("I", [1, 1, 9]).tobytes()),
        (11, U32),
        (13, b"\x00"),
        (13, 7),
        (14, [[0, 4, 300, bytes(32)]]),
        (14, [[-1, 2, 300, bytes(32)]]),
        (14, [[0, 0, 300, bytes(32)]]),
        (14, [[0, 3, 300]]),
        (14, 7),
        (14, [[0, 3, 300, "text"]]),
        (14, [["0", 3, 300, bytes(32)]]),
        (14, [[0, 3, 300, 1 << 40]]),
        (14, [[0, 3, 300, bytes(31)]]),
    ],
    ids=repr,
)
def test_columns_that_lie_are_errors(column: int, value: Any) -> None:
    """Columns of other lengths or types, packs that are none, and files that are not there are refused."""
    columns = columns_of(sample())
    indexes.decode(encoded(columns))
    columns[column] = value
    with pytest.raises(Damaged):
        indexes.decode(encoded(columns))


@pytest.mark.parametrize("columns", [None, 7, [], {}, [1], list(range(15)), [[]] * 15, "x" * 15], ids=repr)
def test_what_is_no_index_is_an_error(columns: Any) -> None:
    """Any other MessagePack is refused."""
    with pytest.raises(Damaged):
        indexes.decode(encoded(columns))


def test_hostile_indexes_cost_little() -> None:
    """Bombs, counts without items and deep nesting are errors before much memory is taken."""
    compress = zstandard.ZstdCompressor().compress
    hostile = [
        compress(b"\xdd\xff\xff\xff\xff"),
        compress(b"\x9f\x01\xdd\x0f\xff\xff\xff"),
        compress(b"\x9f\x01\x90\xc6\xff\xff\xff\xff"),
        compress(b"\x91" * 1_000_000 + b"\x90"),
        compress(bytes(256 << 20)),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"\x90"),
        b"",
        b"\x28\xb5\x2f\xfd",
        b"no index",
    ]
    for data in hostile:
        tracemalloc.start()
        try:
            with pytest.raises(Damaged):
                indexes.decode(data)
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB
        finally:
            tracemalloc.stop()
