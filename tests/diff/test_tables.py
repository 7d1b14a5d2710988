"""Columns and statistics of tables, and files of all kinds that hold tables."""

from __future__ import annotations

import builtins
import gzip
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_versioned_store.diff.tables import ColumnStats, TableDiff
from tests.diff.making import compared

OLD = "id,city,score\n1,Oslo,0.5\n2,Rome,1.5\n3,,2.5\n"
NEW = "id,city,score\n1,Oslo,0.5\n2,Rom,1.5\n4,,nan\n"
PACKED = gzip.compress(OLD.encode())


def table_of(folder: Path, name: str, a: bytes | str, b: bytes | str, key: list[str] | None = None) -> TableDiff:
    """Compare two tables, of which nothing may have to be said."""
    diff = compared(folder, name, a, b, key)
    assert diff.warnings == ()
    assert isinstance(diff.detail, TableDiff)
    return diff.detail


def parquet(**columns: Any) -> bytes:
    """Return a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def as_json_lines(text: str) -> str:
    """Return a small CSV as JSON lines."""
    names, *rows = (line.split(",") for line in text.splitlines())
    made = []
    for row in rows:
        values = (("null" if not one else f'"{one}"' if one.isalpha() and one != "nan" else one) for one in row)
        made.append("{" + ", ".join(f'"{name}": {value}' for name, value in zip(names, values, strict=True)) + "}")
    return "\n".join(made).replace("nan", "-1.5") + "\n"


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [
        ("t.csv", OLD, NEW),
        ("t.tsv", OLD.replace(",", "\t"), NEW.replace(",", "\t")),
        ("t.csv", OLD.replace(",", ";"), NEW),
        ("t.csv.gz", PACKED, gzip.compress(NEW.encode())),
        ("T.JSONL", as_json_lines(OLD), as_json_lines(NEW)),
        (
            "t.parquet",
            parquet(id=[1, 2, 3], city=["Oslo", "Rome", None], score=[0.5, 1.5, 2.5]),
            parquet(id=[1, 2, 4], city=["Oslo", "Rom", None], score=[0.5, 1.5, float("nan")]),
        ),
    ],
    ids=["csv", "tsv", "semicolons", "packed", "json lines", "parquet"],
)
def test_every_kind_of_table(tmp_path: Path, name: str, a: bytes | str, b: bytes | str) -> None:
    """The same tables differ in the same way, however they are written."""
    diff = table_of(tmp_path, name, a, b)
    assert diff.rows.key == ("id",)
    assert [(row.kind, (row.a or ("",))[:2], (row.b or ("",))[:2]) for row in diff.rows.shown] == [
        ("changed", ("2", "Rome"), ("2", "Rom")),
        ("removed", ("3", None), ("",)),
        ("added", ("",), ("4", None)),
    ]
    assert [column.changed for column in diff.columns] == [0, 1, 0]


def test_statistics_stand_side_by_side(tmp_path: Path) -> None:
    """Nulls, extremes and means are those of each table; a mean that is no number is left out."""
    diff = table_of(tmp_path, "t.csv", OLD, NEW)
    _, city, score = diff.columns
    assert (city.a, city.b) == (ColumnStats(1, "Oslo", "Rome", None), ColumnStats(1, "Oslo", "Rom", None))
    assert score.a == ColumnStats(0, "0.5", "2.5", 1.5)
    assert score.b == ColumnStats(0, "0.5", "nan", None)


def test_columns_that_come_go_move_and_change_their_names(tmp_path: Path) -> None:
    """Columns are added, removed, moved and renamed; a name is known by the values below it."""
    a = "id,town,old,n\n1,Oslo,x,1\n2,Rome,x,2\n"
    b = "n,id,new,city\n1,1,3,Oslo\n3,2,4,Rome\n"
    diff = table_of(tmp_path, "t.csv", a, b)
    assert [(one.name, one.renamed_from, one.a_type, one.b_type) for one in diff.columns] == [
        ("n", None, "BIGINT", "BIGINT"),
        ("id", None, "BIGINT", "BIGINT"),
        ("new", None, None, "BIGINT"),
        ("city", "town", "VARCHAR", "VARCHAR"),
        ("old", None, "VARCHAR", None),
    ]
    assert diff.moved
    assert diff.rows.names == ("n", "id", "city")
    assert (diff.rows.key, diff.rows.changed, diff.rows.changed_by_column) == (("id",), 1, (1, 0, 0))


def test_numbers_are_numbers_whatever_their_type(tmp_path: Path) -> None:
    """A column of whole numbers that becomes one of fractions has the same values; a text is another one."""
    diff = table_of(tmp_path, "t.csv", "id,x,y\n1,1,1\n2,2,2\n", "id,x,y\n1,1.0,one\n2,2.5,2\n")
    assert [(one.a_type, one.b_type, one.changed) for one in diff.columns[1:]] == [
        ("BIGINT", "DOUBLE", 1),
        ("BIGINT", "VARCHAR", 1),
    ]


def test_no_value_is_no_empty_text(tmp_path: Path) -> None:
    """An empty cell and a quoted empty text are two things."""
    diff = table_of(tmp_path, "t.csv", 'id,x\n1,""\n2,a\n', "id,x\n1,\n2,a\n")
    assert [(row.a, row.b) for row in diff.rows.shown] == [(("1", ""), ("1", None))]


def test_writing_values_in_another_way_is_no_change(tmp_path: Path) -> None:
    """Other bytes may hold the same values."""
    diff = compared(tmp_path, "t.csv", 'id,x\n1,"a"\n2,b\n', "id,x\r\n1,a\r\n2,b\r\n")
    assert "No value differs." in diff.text()


def test_rows_in_another_order_are_said_to_be(tmp_path: Path) -> None:
    """Rows that only stand elsewhere are the same, and the reader is told."""
    diff = compared(tmp_path, "t.csv", "id,x\n1,a\n2,b\n", "id,x\n2,b\n1,a\n")
    assert "The rows are the same, in another order." in diff.text()


def test_a_type_that_does_not_hold_to_the_end(tmp_path: Path) -> None:
    """Where a late value is not of the type that the first ones promise, all are compared as text, with a warning."""
    head = "id,x\n" + "".join(f"{at},{at}\n" for at in range(50_000))
    diff = compared(tmp_path, "t.csv", f"{head}50000,one\n", f"{head}50000,two\n")
    assert isinstance(diff.detail, TableDiff)
    assert [(row.a, row.b) for row in diff.detail.rows.shown] == [(("50000", "one"), ("50000", "two"))]
    assert diff.warnings[0].startswith("Not all values are of the type of their column")


def test_late_members_of_json_lines_are_columns(tmp_path: Path) -> None:
    """A member that only a late line has is compared, too."""
    head = "".join(f'{{"id": {at}}}\n' for at in range(30_000))
    diff = table_of(tmp_path, "t.jsonl", f'{head}{{"id": -1, "x": 1}}\n', f'{head}{{"id": -1, "x": {{"y": [2]}}}}\n')
    assert diff.rows.changed_by_column == (0, 1)


@pytest.mark.parametrize(
    ("a", "b"),
    [("", "a,b\n1,2\n"), ("a,b\n", "a,b\n1,2\n"), ("a,b\n", "a,b\n\n"), ("a\n1\n", "b\nx\n")],
    ids=["empty", "no rows", "blank", "nothing in common"],
)
def test_tables_of_next_to_nothing(tmp_path: Path, a: str, b: str) -> None:
    """Tables without rows, without columns or without common columns are compared."""
    diff = compared(tmp_path, "t.csv", a, b)
    assert (diff.kind, diff.warnings) == ("table", ())


def test_an_empty_file_has_no_columns(tmp_path: Path) -> None:
    """Where nothing is written there is no column, and no row without values is shown."""
    diff = compared(tmp_path, "t.csv", "", "a,b\n1,2\n")
    assert isinstance(diff.detail, TableDiff)
    assert [(one.name, one.a_type, one.b_type) for one in diff.detail.columns] == [
        ("a", None, "BIGINT"),
        ("b", None, "BIGINT"),
    ]
    assert (diff.detail.rows.added, diff.detail.rows.shown) == (1, ())
    assert "They have no column in common." in diff.text()
    assert "row 1" not in diff.text()


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("a\n1\n", "b\nx\n", "They have no column in common."),
        ("a,b\n1,2\n", "a,c\n1,x\n", "No value differs in the columns that both have."),
    ],
)
def test_equal_values_are_those_of_common_columns(tmp_path: Path, a: str, b: str, said: str) -> None:
    """Where columns came or went, it is not said that no value differs."""
    facts = compared(tmp_path, "t.csv", a, b).text()
    assert said in facts
    assert "No value differs." not in facts


@pytest.mark.parametrize("name", ['we"ird', "it's", "select", "a whole row", "ro.w", "ünï\u202ecode", "h", "{x}; --"])
def test_names_of_columns_are_names(tmp_path: Path, name: str) -> None:
    """Whatever a column is called, it is a column."""
    quoted = '"' + name.replace('"', '""') + '"'
    diff = table_of(tmp_path, "a*[b]'c.csv", f"id,{quoted}\n1,2\n2,2\n", f"id,{quoted}\n1,3\n2,2\n", key=["id"])
    assert (diff.columns[1].name, diff.columns[1].changed) == (name, 1)


@pytest.mark.parametrize(
    ("name", "a", "kind"),
    [
        ("t.csv", "a,b\n1,2\n1,2,3\n", "text"),
        ("t.csv", 'a,b\n1,"2\n', "text"),
        ("t.csv", "a,b\né".encode() + b"\xff\xfe,2\n", "data"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', "text"),
        ("t.parquet", b"PAR1 and then nothing of the kind PAR1", "text"),
        ("t.parquet", b"PAR1\0\0\0\xff" * 20 + b"PAR1", "data"),
        ("t.csv.gz", PACKED[:30], "data"),
        ("t.parquet", "", "text"),
    ],
    ids=["ragged", "open quote", "damaged UTF-8", "broken JSON", "text", "bytes", "cut short", "empty"],
)
def test_what_does_not_parse_is_no_table(tmp_path: Path, name: str, a: bytes | str, kind: str) -> None:
    """A table that cannot be read is compared as text, or as bytes, and a warning says why."""
    diff = compared(tmp_path, name, a, OLD if not name.endswith(".gz") else PACKED)
    assert diff.kind == kind
    assert "they cannot be read" in diff.warnings[0]
    assert "mvs-diff-" not in diff.warnings[0]


def test_without_duckdb_tables_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, tables are compared as text, and the warning says what to install."""
    load = builtins.__import__

    def no_duckdb(name: str, *more: Any, **named: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return load(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", no_duckdb)
    diff = compared(tmp_path, "t.csv", OLD, NEW)
    assert diff.kind == "text"
    assert "pip install 'mlflow-versioned-store[diff]'" in diff.warnings[0]
