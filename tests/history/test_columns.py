"""Columns: every table comes back, and tables that lie do not."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.history import columns
from mlflow_versioned_store.history.records import Entry, entries_table, read_entries

ROWS = st.integers(0, 30)
NUMBERS = st.integers(0, columns.INTEGER_MAX)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
VALUES = st.none() | st.lists(st.integers(-columns.INTEGER_MAX, columns.INTEGER_MAX), max_size=20) | st.just({"a": [1]})


def _through_json(column: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(column))


@given(st.lists(NUMBERS, max_size=30))
def test_integers_come_back(values: list[int]) -> None:
    """A column of integers holds what was put in."""
    assert list(columns.unpack_ints(_through_json(columns.pack_ints(values)), len(values))) == values


@given(st.lists(DIGESTS | st.just(""), max_size=30) | st.lists(DIGESTS, max_size=30))
def test_digests_come_back(values: list[str]) -> None:
    """A column of digests holds what was put in, and knows which rows have none."""
    raw, present = columns.unpack_digests(_through_json(columns.pack_digests(values)), len(values))
    assert [raw[row * 32 : row * 32 + 32].hex() if present[row] else "" for row in range(len(values))] == values


@given(st.lists(VALUES, max_size=30))
def test_any_json_comes_back(values: list[Any]) -> None:
    """A column of any JSON holds what was put in."""
    assert columns.unpack_json(_through_json(columns.pack_json(values)), len(values)) == values


@pytest.mark.parametrize(
    "column",
    [
        [1, 2],
        {"delta": [1]},
        {"delta": [1, -2, 5]},
        {"delta": 7},
        {"other": [1, 2, 3]},
        [1, 2, True],
        [1, 2, "3"],
        [1, 2, 1 << 70],
        [1, 2, -3],
        "7",
        1.5,
        -1,
        [[1], [2], [3]],
    ],
    ids=str,
)
def test_columns_that_are_not_integers_are_refused(column: Any) -> None:
    """Three rows need three integers that are not negative."""
    with pytest.raises((ValueError, TypeError, LookupError, OverflowError)):
        columns.unpack_ints(column, 3)


@pytest.mark.parametrize(
    "column",
    [
        {"hex": "ab" * 32},
        {"hex": "AB" * 64},
        {"hex": "zz" * 64},
        {"hex": " " * 128},
        {"hex": "٠" * 128},
        {"hex": 7},
        {},
        ["ab" * 32],
        ["ab" * 32, "ab"],
        ["ab" * 32, 7],
        ["ab" * 32, "AB" * 32],
        ["../../../../../../../../../../../../../../../../../../../../../..", "ab" * 32],
    ],
    ids=str,
)
def test_columns_that_are_not_digests_are_refused(column: Any) -> None:
    """Two rows need two times 64 lower-case hex digits."""
    with pytest.raises((ValueError, TypeError, LookupError)):
        columns.unpack_digests(column, 2)


@pytest.mark.parametrize(
    "column",
    [
        [1],
        {"widths": 1, "ints": [[1]], "other": []},
        {"widths": 10**12, "ints": [], "other": []},
        {"widths": [1, -2], "ints": [[1]], "other": [1]},
        {"widths": [1, 1], "ints": [[1, 2], [3]], "other": []},
        {"widths": [1, -1], "ints": [[1]], "other": []},
        {"widths": [1, 1]},
    ],
    ids=str,
)
def test_columns_of_json_that_lie_are_refused(column: Any) -> None:
    """Two rows need two values, and widths that are true."""
    with pytest.raises((ValueError, TypeError, LookupError)):
        columns.unpack_json(column, 2)


@pytest.mark.parametrize(
    "table", [{}, {"path": 7}, {"path": {}}, {"path": ["a"] * (columns.ROWS_MAX + 1)}], ids=range(4)
)
def test_tables_without_paths_or_with_too_many_are_refused(table: Any) -> None:
    """The paths say how many rows there are, and that is bounded."""
    with pytest.raises(ValueError, match="paths"):
        columns.rows_of(table)


def test_ten_thousand_files_take_45_bytes_each() -> None:
    """An entry with a random digest and a place in a pack takes at most 45 bytes, compressed."""
    chance = random.Random(1)
    offset, entries = 64, []
    for index in range(10_000):
        size = chance.randint(512, 8192)
        stored = size + chance.randint(-400, 20)
        entries.append(
            Entry(
                f"data/d{index // 100:02d}/file_{index:05d}.bin",
                "make",
                1,
                "file",
                size,
                chance.randbytes(32).hex(),
                [0, offset, stored, size],
            )
        )
        offset += stored
    table = entries_table(entries)
    assert len(zstandard.ZstdCompressor(level=3).compress(msgspec.json.encode(table))) <= 45 * len(entries)
    assert list(read_entries(_through_json(table))) == entries


@given(st.lists(st.integers(0, columns.CHUNK_BYTES_MAX * 2), max_size=30))
def test_chunks_hold_every_row_once_and_stay_small(weights: list[int]) -> None:
    """Chunks are the rows in order; one is over the bound only where a single row is."""
    pieces = list(columns.chunks(weights, lambda weight: weight))
    assert [weight for piece in pieces for weight in piece] == weights
    assert all(piece and (len(piece) == 1 or sum(piece) <= columns.CHUNK_BYTES_MAX) for piece in pieces)
    assert [len(piece) for piece in columns.chunks([0] * 40_000, lambda weight: weight)] == [16384, 16384, 7232]
