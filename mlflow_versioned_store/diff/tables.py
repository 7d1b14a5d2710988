"""What differs between two tables: columns, rows, and what the columns hold.

Rows are matched by their content first: what both tables have in all common columns is unchanged. The rest is paired by
a key, or by position where there is none. Each file is read twice, in a stream: once for the hashes of its rows, then
for statistics and for the rows that differ.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow_versioned_store.diff import sql
from mlflow_versioned_store.diff.encodings import notes_on
from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.diff.sql import Sql, sql_over
from mlflow_versioned_store.diff.table_columns import is_nested, is_number, pair_columns
from mlflow_versioned_store.diff.table_files import TableFile, in_utf8, open_table
from mlflow_versioned_store.diff.table_rows import RowDiff, compare_rows
from mlflow_versioned_store.errors import InvalidInput, Unsupported

_VALUE_CHARACTERS_MAX = 80
_ADVICE = re.compile(r"\n\n|Possible fixes|The search space")
_MESSAGE_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """What a column holds.

    Args:
        nulls: How many rows have no value.
        minimum: The smallest value, as text; None where there is none, or no order.
        maximum: The largest.
        mean: The mean of numbers; None where there is none.
    """

    nulls: int
    minimum: str | None
    maximum: str | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class ColumnDiff:
    """One column, side by side.

    Args:
        name: Its name in the new table, or in the old one where only that has it.
        renamed_from: Its name in the old table, where that is another one.
        a_type: Its type in the old table; None where that has it not.
        b_type: Its type in the new one.
        changed: In how many of the changed rows its value differs.
        a: What it holds in the old table.
        b: What it holds in the new one.
    """

    name: str
    renamed_from: str | None
    a_type: str | None
    b_type: str | None
    changed: int
    a: ColumnStats | None
    b: ColumnStats | None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """Two tables, side by side.

    Args:
        columns: The columns of the new table in its order, then those that only the old one has.
        moved: Whether the common columns stand in another order.
        a_rows: Rows of the old table.
        b_rows: Rows of the new one.
        reordered: Whether both have the same rows, in another order.
        rows: Which rows were added, removed and changed.
    """

    columns: tuple[ColumnDiff, ...]
    moved: bool
    a_rows: int
    b_rows: int
    reordered: bool
    rows: RowDiff


def compare_tables(a: Side, b: Side, key: Sequence[str] | None = None) -> tuple[TableDiff, tuple[str, ...]]:
    """Compare two tables; return what differs, and what the reader must know about the comparison.

    Args:
        a: The old table.
        b: The new one.
        key: The columns that name a row; None looks for one, () goes by position.

    Raises:
        InvalidInput: A key names a column that the tables have not in common.
        Unsupported: A file does not parse, or DuckDB is not installed.
    """
    with in_utf8(a) as (a_file, a_encoding), in_utf8(b) as (b_file, b_encoding), sql_over(a_file, b_file) as db:
        import duckdb

        notes = notes_on(a_encoding, b_encoding)
        try:
            try:
                return _Comparison(db, a, b, as_text=False).run(key), notes
            except duckdb.ConversionException as error:
                warning = f"Not all values are of the type of their column; all are compared as text. {_said(error)}"
                return _Comparison(db, a, b, as_text=True).run(key), (*notes, warning)
        except duckdb.Error as error:
            said = _said(error)
            for file, side in zip(db.files, (a, b), strict=True):
                said = said.replace(file, side.label)
            raise Unsupported(f"No comparison as tables: they cannot be read. {said}") from error


def _said(error: Exception) -> str:
    """Return what DuckDB says happened, without its advice."""
    what = _ADVICE.split(str(error), maxsplit=1)[0]
    return " ".join(what.split())[:_MESSAGE_CHARACTERS_MAX]


class _Comparison:
    def __init__(self, db: Sql, a: Side, b: Side, *, as_text: bool):
        self._db = db
        self._sizes = (a.size, b.size)
        self._files = (open_table(db, db.files[0], a.path), open_table(db, db.files[1], b.path))
        self._columns = pair_columns(db, *self._files, as_text=as_text)

    def run(self, key: Sequence[str] | None) -> TableDiff:
        files, columns = self._files, self._columns
        rows = compare_rows(self._db, files, columns, self._sizes, self._key_positions(key), self._aggregates)
        a_stats, b_stats = (self._stats(file, found) for file, found in zip(files, rows.aggregates, strict=True))
        a_names = {pair.b: pair.a for pair in columns.pairs}
        changed = {pair.b: count for pair, count in zip(columns.pairs, rows.diff.changed_by_column, strict=True)}
        found = [
            ColumnDiff(
                name,
                a_names[name] if name in a_names and a_names[name] != name else None,
                files[0].columns[a_names[name]] if name in a_names else None,
                type_,
                changed.get(name, 0),
                a_stats[a_names[name]] if name in a_names else None,
                b_stats[name],
            )
            for name, type_ in files[1].columns.items()
        ]
        found += [
            ColumnDiff(name, None, type_, None, 0, a_stats[name], None)
            for name, type_ in files[0].columns.items()
            if name not in a_names.values()
        ]
        return TableDiff(tuple(found), columns.moved, rows.a_rows, rows.b_rows, rows.reordered, rows.diff)

    def _key_positions(self, key: Sequence[str] | None) -> list[int] | None:
        """Return which of the common columns the key is made of."""
        if key is None:
            return None
        names = [pair.b for pair in self._columns.pairs]
        unknown = [one for one in key if one not in names]
        if unknown:
            raise InvalidInput(f"The tables have no column {unknown[0]!r} in common; they have: {', '.join(names)}.")
        return [names.index(one) for one in key]

    @staticmethod
    def _aggregates(file: TableFile) -> list[str]:
        """Return what is asked of each column, four values each."""
        asked = []
        for name, type_ in file.columns.items():
            # What is read as text for the sake of the other table still has its own order.
            value = f"TRY_CAST({sql.name(name)} AS {type_})"
            ordered = not is_nested(type_)
            asked += [
                f"count(*) - count({sql.name(name)})",
                f"left(CAST(min({value}) AS VARCHAR), {_VALUE_CHARACTERS_MAX})" if ordered else "NULL",
                f"left(CAST(max({value}) AS VARCHAR), {_VALUE_CHARACTERS_MAX})" if ordered else "NULL",
                f"CAST(avg({value}) AS DOUBLE)" if is_number(type_) else "NULL",
            ]
        return asked

    @staticmethod
    def _stats(file: TableFile, found: Sequence[Any]) -> dict[str, ColumnStats]:
        values = iter(found if file.columns else ())
        stats = {}
        for name, nulls, least, most, mean in zip(file.columns, *[values] * 4, strict=True):
            stats[name] = ColumnStats(nulls, least, most, mean if mean is not None and math.isfinite(mean) else None)
        return stats
