"""Which rows of two tables differ.

Rows are known by the hash (64 bits) of what they hold in the columns that both tables have, compared as one type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mlflow_versioned_store.diff.sql import Sql
from mlflow_versioned_store.diff.table_columns import SAMPLED_ROWS, Columns, is_integer
from mlflow_versioned_store.diff.table_files import TEXT, TableFile

RowKind: TypeAlias = Literal["added", "removed", "changed"]

_SHOWN_ROWS_MAX = 20
_VALUE_CHARACTERS_MAX = 200
# Rows that differ are gathered in memory, while the statistics are made, up to this; else read once more.
_GATHERED_BYTES_MAX = 64 << 20
_SIDES = ("a", "b")
# Which pairs are of a kind, in the order in which kinds are shown.
_KINDS: dict[RowKind, str] = {
    "changed": "ha IS NOT NULL AND hb IS NOT NULL",
    "removed": "hb IS NULL",
    "added": "ha IS NULL",
}


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row that differs.

    Args:
        kind: What happened to it.
        position: Its number from 0, where rows were paired by position; else None.
        a: Its values in the old table as text, in the common columns; None where it was added.
        b: Its values in the new one; None where it was removed.
    """

    kind: RowKind
    position: int | None
    a: tuple[str | None, ...] | None
    b: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True)
class RowDiff:
    """The rows that differ.

    Args:
        key: The common columns that paired them; none means position.
        added: How many rows only the new table has.
        removed: How many rows only the old one has.
        changed: How many rows both have with other values.
        names: The common columns.
        changed_by_column: In how many changed rows each of them differs.
        shown: The first of each kind.
    """

    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    names: tuple[str, ...]
    changed_by_column: tuple[int, ...]
    shown: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """What reading the rows of two tables showed.

    Args:
        diff: The rows that differ.
        a_rows: Rows of the old table.
        b_rows: Rows of the new one.
        reordered: Whether both have the same rows, in another order.
        aggregates: The aggregates asked for, of the old and of the new table.
    """

    diff: RowDiff
    a_rows: int
    b_rows: int
    reordered: bool
    aggregates: tuple[Sequence[Any], Sequence[Any]]


def compare_rows(
    db: Sql,
    files: tuple[TableFile, TableFile],
    columns: Columns,
    sizes: tuple[int, int],
    key: Sequence[int] | None,
    aggregates: Callable[[TableFile], list[str]],
) -> Rows:
    """Compare the rows of two tables.

    Args:
        db: Reads the tables.
        files: The old and the new one.
        columns: Their columns.
        sizes: Their bytes.
        key: Which of the common columns name a row; none for by position, None to look for one.
        aggregates: Returns the aggregates that are wanted of a file; they cost no reading of their own.
    """
    return _Matching(db, columns, sizes, [aggregates(file) for file in files]).run(key)


class _Matching:
    """Matches rows in tables that DuckDB keeps.

    These are `a`, `b` (the hash of each row, in their order), `a_wanted`, `b_wanted` (hashes of rows that differ),
    `a_odd`, `b_odd` (the rows behind them, each once) and `pairs` (the hashes of rows that differ, side by side).
    """

    def __init__(self, db: Sql, columns: Columns, sizes: tuple[int, int], aggregates: Sequence[list[str]]):
        self._db = db
        self._columns = columns
        self._sizes = sizes
        self._aggregates = aggregates
        self._width = len(columns.pairs)
        for side in (0, 1):
            db.keep(_SIDES[side], f"SELECT {self._hash(side)} AS h FROM {columns.relations[side]}")
        self._counts = [db.row(f"SELECT count(*) FROM {name}")[0] for name in _SIDES]

    def run(self, key: Sequence[int] | None) -> Rows:
        wanted = self._likely_key() if key is None else list(key)
        found = self._pair_by_key(wanted) if wanted else self._pair_by_position()
        if key is None and wanted and not self._names_rows(wanted):
            wanted, found = [], self._pair_by_position()
        diff = self._diff(wanted)
        reordered = bool(wanted and not diff.added + diff.removed + diff.changed and self._db.row(_DIFFERENT_PLACES)[0])
        return Rows(diff, self._counts[0], self._counts[1], reordered, found)

    def _hash(self, side: int) -> str:
        values = self._columns.values(side)
        return f"hash({', '.join(values)})" if values else "hash(0)"

    def _likely_key(self) -> list[int]:
        """Return a column that may name rows, as a sample of both tables shows; those that are called so first."""
        fit = [
            at
            for at, pair in enumerate(self._columns.pairs)
            if is_integer(pair.type) or pair.type in (TEXT, "UUID", "BLOB")
        ]
        for side in (0, 1):
            if not fit or not self._counts[side]:
                return []
            values = self._columns.values(side)
            sample = ", ".join(f"{values[at]} AS c{at}" for at in fit)
            counted = ", ".join(f"count(DISTINCT c{at}) = count(*)" for at in fit)
            unique = self._db.row(
                f"SELECT {counted} FROM (SELECT {sample} FROM {self._columns.relations[side]} LIMIT {SAMPLED_ROWS})"
            )
            fit = [at for at, is_unique in zip(fit, unique, strict=True) if is_unique]
        named = [at for at in fit if _sounds_like_key(self._columns.pairs[at].b)]
        return (named or fit)[:1]

    def _pair_by_key(self, key: list[int]) -> tuple[Sequence[Any], Sequence[Any]]:
        self._db.keep("odd", _ODD)
        self._db.keep("a_wanted", "SELECT h, na AS occurrences, na - nb AS copies FROM odd WHERE na > nb")
        self._db.keep("b_wanted", "SELECT h, nb AS occurrences, nb - na AS copies FROM odd WHERE nb > na")
        found = self._read_odd()
        keys = ", ".join(f"c{at}" for at in key)
        for name in _SIDES:
            # Rows of one key, where it names several, are paired in the order of their hashes.
            self._db.keep(
                f"{name}_left",
                f"SELECT *, row_number() OVER (PARTITION BY {keys} ORDER BY h) AS turn FROM "
                f"(SELECT {keys}, h, unnest(range(copies)) FROM {name}_odd JOIN {name}_wanted USING (h))",
            )
        equal = " AND ".join(f"a.c{at} IS NOT DISTINCT FROM b.c{at}" for at in key)
        either = ", ".join(f"coalesce(a.c{at}, b.c{at}) AS c{at}" for at in key)
        self._db.keep(
            "pairs",
            f"SELECT NULL::BIGINT AS position, {either}, a.h AS ha, b.h AS hb "
            f"FROM a_left a FULL JOIN b_left b ON {equal} AND a.turn = b.turn",
        )
        return found

    def _names_rows(self, key: list[int]) -> bool:
        """Tell whether a key names each of the rows that differ."""
        named = " AND ".join(f"c{at} IS NOT NULL" for at in key)
        return all(
            self._db.row(f"SELECT coalesce(max(turn), 1) = 1 AND bool_and({named}) IS NOT FALSE FROM {name}_left")[0]
            for name in _SIDES
        )

    def _pair_by_position(self) -> tuple[Sequence[Any], Sequence[Any]]:
        self._db.keep("pairs", _PLACES)
        for name in _SIDES:
            self._db.keep(
                f"{name}_wanted",
                f"SELECT h, count(*) AS occurrences FROM {name} WHERE h IN (SELECT h{name} FROM pairs) GROUP BY h",
            )
        return self._read_odd()

    def _read_odd(self) -> tuple[Sequence[Any], Sequence[Any]]:
        """Keep the rows behind the hashes that are wanted, each once; return the aggregates of both files."""
        a, b = (self._read_odd_of(side) for side in (0, 1))
        return a, b

    def _read_odd_of(self, side: int) -> Sequence[Any]:
        name, relation = _SIDES[side], self._columns.relations[side]
        aggregates = ", ".join(f"{one} AS s{at}" for at, one in enumerate(self._aggregates[side] or ["0"]))
        row = {"h": self._hash(side)} | {f"c{at}": value for at, value in enumerate(self._columns.values(side))}
        is_odd = f"{row['h']} IN (SELECT h FROM {name}_wanted)"
        hashes, rows = self._db.row(f"SELECT count(*), coalesce(sum(occurrences), 0) FROM {name}_wanted")
        select = "SELECT DISTINCT" if rows > hashes else "SELECT"
        if rows * self._sizes[side] <= _GATHERED_BYTES_MAX * self._counts[side]:
            packed = ", ".join(f"{column} := {value}" for column, value in row.items())
            gathered = f"list(struct_pack({packed})) FILTER ({is_odd})"
            self._db.keep("gathered", f"SELECT {aggregates}, {gathered} AS found FROM {relation}")
            self._db.keep(f"{name}_odd", f"{select} * FROM (SELECT unnest(found, max_depth := 2) FROM gathered)")
            return self._db.row("SELECT * EXCLUDE (found) FROM gathered")
        values = ", ".join(f"{value} AS {column}" for column, value in row.items())
        self._db.keep(f"{name}_odd", f"{select} {values} FROM {relation} WHERE {is_odd}")
        return self._db.row(f"SELECT {aggregates} FROM {relation}")

    def _diff(self, key: list[int]) -> RowDiff:
        added, removed, pairs = self._db.row(
            "SELECT count(*) FILTER (ha IS NULL), count(*) FILTER (hb IS NULL), count(*) FROM pairs"
        )
        names = tuple(pair.b for pair in self._columns.pairs)
        order = ", ".join(f"pairs.c{at}" for at in key) or "position"
        # Of rows without a column in common there is nothing to show.
        shown = [row for kind in _KINDS for row in self._shown(kind, order)] if names else []
        return RowDiff(
            key=tuple(names[at] for at in key),
            added=added,
            removed=removed,
            changed=pairs - added - removed,
            names=names,
            changed_by_column=self._changed_by_column() if pairs > added + removed else (0,) * self._width,
            shown=tuple(shown),
        )

    def _changed_by_column(self) -> tuple[int, ...]:
        # One join after the other: both at once would hold both tables.
        self._db.keep("a_changed", "SELECT hb AS other, a_odd.* FROM pairs JOIN a_odd ON ha = h WHERE hb IS NOT NULL")
        differ = ", ".join(f"count(*) FILTER (a.c{at} IS DISTINCT FROM b.c{at})" for at in range(self._width))
        return self._db.row(f"SELECT {differ} FROM a_changed a JOIN b_odd b ON other = b.h")

    def _shown(self, kind: RowKind, order: str) -> list[RowChange]:
        first = f"(SELECT * FROM pairs WHERE {_KINDS[kind]} ORDER BY {order} LIMIT {_SHOWN_ROWS_MAX}) AS pairs"
        values = ", ".join(
            f"left(CAST({name}_odd.c{at} AS {TEXT}), {_VALUE_CHARACTERS_MAX})"
            for name in _SIDES
            for at in range(self._width)
        )
        found = self._db.rows(
            f"SELECT position, ha, hb, {values} FROM {first} LEFT JOIN a_odd ON ha = a_odd.h "
            f"LEFT JOIN b_odd ON hb = b_odd.h ORDER BY {order}"
        )
        return [
            RowChange(
                kind,
                position,
                None if ha is None else tuple(row[: self._width]),
                None if hb is None else tuple(row[self._width :]),
            )
            for position, ha, hb, *row in found
        ]


def _sounds_like_key(name: str) -> bool:
    lower = name.lower()
    return (
        lower in ("id", "key", "uuid", "guid", "index")
        or lower.endswith(("_id", " id", "_key", "uuid"))
        or name.endswith("ID")
    )


_ODD = """SELECT h, count(is_a) AS na, count(is_b) AS nb
FROM (SELECT h, 1 AS is_a, NULL AS is_b FROM a UNION ALL SELECT h, NULL, 1 FROM b) GROUP BY h HAVING na <> nb"""
_PLACES = """SELECT coalesce(a.rowid, b.rowid) AS position, a.h AS ha, b.h AS hb
FROM a FULL JOIN b ON a.rowid = b.rowid WHERE a.h IS DISTINCT FROM b.h"""
_DIFFERENT_PLACES = "SELECT count(*) > 0 FROM a POSITIONAL JOIN b WHERE a.h <> b.h"
