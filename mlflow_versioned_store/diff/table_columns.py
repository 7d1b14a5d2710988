"""Which columns of two tables belong together, and what they are compared as."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_versioned_store.diff import sql
from mlflow_versioned_store.diff.sql import Sql
from mlflow_versioned_store.diff.table_files import TEXT, TableFile

SAMPLED_ROWS = 1000
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_INTEGERS = frozenset((*_SIGNED, *(f"U{name}" for name in _SIGNED)))
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})


@dataclass(frozen=True, slots=True)
class Pair:
    """A column that both tables have.

    Args:
        a: Its name in the old table.
        b: Its name in the new one.
        type: What its values are compared as.
    """

    a: str
    b: str
    type: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of two tables.

    Args:
        pairs: Those that both have, in the order of the new table.
        relations: What SQL reads the old and the new table with.
        moved: Whether the pairs stand in another order in the old table.
    """

    pairs: tuple[Pair, ...]
    relations: tuple[str, str]
    moved: bool

    def values(self, side: int) -> list[str]:
        """Return the values of the pairs as SQL reads them from the old (0) or the new table (1)."""
        return [f"CAST({sql.name(pair.b if side else pair.a)} AS {pair.type})" for pair in self.pairs]


def is_integer(type_: str) -> bool:
    """Tell whether a type holds whole numbers."""
    return type_ in _INTEGERS


def is_number(type_: str) -> bool:
    """Tell whether a type holds numbers."""
    return is_integer(type_) or type_ in _FLOATS or type_.startswith("DECIMAL")


def is_nested(type_: str) -> bool:
    """Tell whether values of a type are made of others."""
    return type_.endswith("]") or type_.startswith(("STRUCT", "MAP", "UNION"))


def pair_columns(db: Sql, a: TableFile, b: TableFile, *, as_text: bool) -> Columns:
    """Return which columns belong together: those of one name, and those that were renamed as far as a sample shows.

    Args:
        db: Reads the tables.
        a: The old table.
        b: The new one.
        as_text: Whether all values are compared as text.
    """
    names = {name: name for name in b.columns if name in a.columns}
    names |= _renamed(db, a, b, set(names))
    pairs = [
        Pair(names[name], name, TEXT if as_text else _common_type(a.columns[names[name]], type_))
        for name, type_ in b.columns.items()
        if name in names
    ]
    # Of a text file it is the text as it stands there, not that of a value, that is compared.
    a_texts = a.columns if as_text else [pair.a for pair in pairs if pair.type == TEXT]
    b_texts = b.columns if as_text else [pair.b for pair in pairs if pair.type == TEXT]
    order = [pair.a for pair in pairs]
    moved = order != [name for name in a.columns if name in order]
    return Columns(tuple(pairs), (a.relation(a_texts), b.relation(b_texts)), moved)


def _common_type(a: str, b: str) -> str:
    if a == b:
        return a
    if is_integer(a) and is_integer(b):
        return "HUGEINT"
    if is_number(a) and is_number(b):
        return "DOUBLE"
    return "TIMESTAMP" if {a, b} <= _TIMES else TEXT


def _renamed(db: Sql, a: TableFile, b: TableFile, common: set[str]) -> dict[str, str]:
    """Return old names by new ones, where columns of one type begin with the same values and no others do."""
    gone = _beginnings(db, a, [name for name in a.columns if name not in common])
    come = _beginnings(db, b, [name for name in b.columns if name not in common])
    found = {}
    for values, names in come.items():
        if len(names) == 1 and len(gone.get(values, ())) == 1:
            found[names[0]] = gone[values][0]
    return found


def _beginnings(db: Sql, file: TableFile, names: list[str]) -> dict[tuple[str, tuple[str | None, ...]], list[str]]:
    """Return names of columns by type and first values; those without any value are left out."""
    found: dict[tuple[str, tuple[str | None, ...]], list[str]] = {}
    if names:
        texts = ", ".join(f"CAST({sql.name(name)} AS {TEXT})" for name in names)
        rows = db.rows(f"SELECT {texts} FROM {file.relation(())} LIMIT {SAMPLED_ROWS}")
        for name, values in zip(names, zip(*rows, strict=True), strict=bool(rows)):
            if any(value is not None for value in values):
                found.setdefault((file.columns[name], values), []).append(name)
    return found
