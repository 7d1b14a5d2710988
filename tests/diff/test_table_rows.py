"""Rows of tables, against a comparison that anybody can follow."""

from __future__ import annotations

import csv
import io
import math
import tempfile
from collections import Counter, defaultdict
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.diff.tables import TableDiff, compare_tables
from mlflow_versioned_store.errors import InvalidInput
from tests.diff.making import sides

Row = tuple[Any, ...]
NAMES = ("name", "amount", "note")
# Few values, so that rows and keys repeat; the first row keeps the types of columns the same in both tables.
rows = st.tuples(
    st.integers(0, 4), st.sampled_from([0.5, 1.25, -3.0, float("nan"), None]), st.sampled_from(["x", "", None, 'a"b\n'])
)
tables = st.lists(rows, max_size=12).map(lambda found: [(9, 9.5, "first"), *found])


class Counts(NamedTuple):
    """How many rows differ in which way, and in how many changed ones each column does."""

    added: int
    removed: int
    changed: int
    by_column: tuple[int, ...]


def written(table: list[Row], names: tuple[str, ...] = NAMES) -> str:
    """Return a table as CSV; no value and an empty text are told apart by quotes."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(names)
    for row in table:
        cells = (
            "" if one is None else '"' + one.replace('"', '""') + '"' if isinstance(one, str) else one for one in row
        )
        file.write(",".join(map(str, cells)) + "\n")
    return file.getvalue()


def diff_of(a: list[Row], b: list[Row], key: list[str] | None, name: str = "t.csv") -> TableDiff:
    """Compare two tables."""
    with tempfile.TemporaryDirectory() as folder:
        diff, warnings = compare_tables(*sides(Path(folder), name, written(a), written(b)), key)
    assert warnings == ()
    return diff


def known(row: Row) -> Row:
    """Return a row in which NaN equals NaN."""
    return tuple("NaN" if isinstance(one, float) and math.isnan(one) else one for one in row)


def brute(pairs: list[tuple[Row | None, Row | None]]) -> Counts:
    """Count pairs of rows, of which one may be missing."""
    both = [(a, b) for a, b in pairs if a is not None and b is not None and a != b]
    return Counts(
        sum(a is None for a, _ in pairs),
        sum(b is None for _, b in pairs),
        len(both),
        tuple(sum(a[at] != b[at] for a, b in both) for at in range(len(NAMES))),
    )


def counts(diff: TableDiff) -> Counts:
    """Return what a comparison counted."""
    return Counts(diff.rows.added, diff.rows.removed, diff.rows.changed, diff.rows.changed_by_column)


@settings(max_examples=20, deadline=None)
@given(tables, tables)
def test_by_position_rows_are_those_at_the_same_place(a: list[Row], b: list[Row]) -> None:
    """Without a key the first row is compared with the first, the second with the second."""
    diff = diff_of(a, b, [])
    assert counts(diff) == brute(list(zip_longest(map(known, a), map(known, b))))
    assert (diff.a_rows, diff.b_rows, diff.rows.key) == (len(a), len(b), ())
    first = next(
        (at for at, (x, y) in enumerate(zip_longest(map(known, a), map(known, b))) if x and y and x != y), None
    )
    assert next((row.position for row in diff.rows.shown if row.kind == "changed"), None) == first


@settings(max_examples=20, deadline=None)
@given(tables, tables)
def test_by_key_equal_rows_are_matched_first(a: list[Row], b: list[Row]) -> None:
    """Rows that both tables have are unchanged, as often as both have them; what is left is paired key by key."""
    diff = diff_of(a, b, ["name"])
    left, right = Counter(map(known, a)), Counter(map(known, b))
    only: list[dict[Any, list[Row]]] = [defaultdict(list), defaultdict(list)]
    for side, counter in enumerate((left - right, right - left)):
        for row in counter.elements():
            only[side][row[0]].append(row)
    sizes = [(len(only[0][name]), len(only[1][name])) for name in only[0] | only[1]]
    found = counts(diff)
    assert found.added == sum(max(0, new - old) for old, new in sizes)
    assert found.removed == sum(max(0, old - new) for old, new in sizes)
    assert found.changed == sum(min(old, new) for old, new in sizes)
    assert found.by_column[0] == 0
    assert diff.reordered == (left == right and list(map(known, a)) != list(map(known, b)))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_key_that_is_unique_is_found(data: st.DataObject) -> None:
    """A column that names rows pairs them wherever they stand, and every change is found in its column."""
    identities = st.lists(st.integers(0, 30), unique=True, min_size=2)
    amounts = st.sampled_from([1.5, 2.5, float("nan"), None])
    tables_found = []
    for _ in range(2):
        found = data.draw(identities)
        tables_found.append({one: (one, data.draw(amounts), data.draw(st.sampled_from(["u", "v"]))) for one in found})
    # A first row that is the same keeps the types.
    a, b = ({99: (99, 9.5, "first")} | table for table in tables_found)
    diff = diff_of(list(a.values()), list(b.values()), None)
    assert diff.rows.key == ("name",)
    assert counts(diff) == brute([(a.get(one) and known(a[one]), b.get(one) and known(b[one])) for one in a | b])
    shown = {row.b[0]: (row.a, row.b) for row in diff.rows.shown if row.kind == "changed" and row.b}
    for one, (old, new) in shown.items():
        assert old is not None
        assert [x == y for x, y in zip(old, new, strict=True)] == [
            x == y for x, y in zip(known(a[int(str(one))]), known(b[int(str(one))]), strict=True)
        ]


def test_a_sample_does_not_make_a_key() -> None:
    """A column that names the first rows, but not all that differ, is no key: rows are paired by position."""
    a: list[Row] = [(at, 1.5, "x") for at in range(1000)] + [(5, 2.5, "x"), (5, 3.5, "x")]
    b: list[Row] = [(at, 1.5, "x") for at in range(1000)] + [(5, 4.5, "x"), (5, 5.5, "x")]
    diff = diff_of(a, b, None)
    assert diff.rows.key == ()
    assert [(row.position, row.a and row.a[1], row.b and row.b[1]) for row in diff.rows.shown] == [
        (1000, "2.5", "4.5"),
        (1001, "3.5", "5.5"),
    ]


def test_a_key_of_two_columns() -> None:
    """Several columns together name a row."""
    a: list[Row] = [(1, 1.5, "x"), (1, 2.5, "x"), (2, 1.5, "x")]
    b: list[Row] = [(1, 2.5, "y"), (2, 1.5, "x"), (1, 1.5, "x"), (2, 2.5, "z")]
    diff = diff_of(a, b, ["name", "amount"])
    assert counts(diff) == Counts(1, 0, 1, (0, 0, 1))
    assert {row.kind: row.b for row in diff.rows.shown} == {"changed": ("1", "2.5", "y"), "added": ("2", "2.5", "z")}


def test_a_key_that_is_not_there() -> None:
    """A key that names no common column is refused, and the message says what columns there are."""
    with pytest.raises(InvalidInput, match="name, amount, note"):
        diff_of([(1, 1.5, "x")], [(1, 2.5, "x")], ["nome"])


def test_many_rows_that_differ_are_read_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows that differ are too many to gather, they are kept in tables, with the same result."""
    a: list[Row] = [(at, at / 2, "x") for at in range(3000)]
    b: list[Row] = [(at, at / 2 + (at % 3 == 0), "x" if at % 5 else None) for at in range(1, 3001)]
    gathered = diff_of(a, b, None)
    monkeypatch.setattr("mlflow_versioned_store.diff.table_rows._GATHERED_BYTES_MAX", -1)
    assert diff_of(a, b, None) == gathered
    assert counts(gathered) == Counts(1, 1, 1399, (0, 999, 599))
