"""How the characters of texts are written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.diff.encodings import encoding_of, is_text
from mlflow_versioned_store.diff.tables import TableDiff
from mlflow_versioned_store.diff.texts import TextDiff
from tests.diff.making import compared

OLD = "id;name\n1;André\n2;Zoë\n"
NEW = "id;name\n1;Andrée\n2;Zoë\n"
WINDOWS = "Neither file is UTF-8; both are read as Windows-1252."


@given(st.text(), st.integers(1, 5))
def test_utf8_is_known_however_it_is_read(text: str, size: int) -> None:
    """Characters that are cut in two by blocks are characters all the same."""
    data = text.encode()
    assert encoding_of(data[at : at + size] for at in range(0, len(data), size)) == "utf-8"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"plain", "utf-8"),
        ("é".encode() + b" \xff", "utf-8"),
        (b"caf\xe9", "cp1252"),
        (b"caf\xe9 au lait", "cp1252"),
        ("é".encode("utf-16"), "utf-16"),
        (b"\xfe\xff" + "é".encode("utf-16-be"), "utf-16"),
    ],
)
def test_the_first_character_beyond_ascii_decides(data: bytes, encoding: str) -> None:
    """A mark at the beginning says UTF-16; what begins as UTF-8 and is none later on is damaged UTF-8."""
    assert encoding_of([data]) == encoding


@pytest.mark.parametrize("data", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xe9\x01", b"a\0b", b"\xff\xfe\0\0a\0\0\0"])
def test_bytes_are_no_text(data: bytes) -> None:
    """Content with characters that no text has is no text, whatever else it looks like."""
    assert not is_text(data)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_tables_of_any_encoding_are_tables(tmp_path: Path, name: str, encoding: str) -> None:
    """A table that Excel saved, in Windows' characters or as Unicode, is compared cell by cell, packed or not."""
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    a, b = (mark + text.encode(encoding) for text in (OLD, NEW))
    if name.endswith(".gz"):
        a, b = gzip.compress(a), gzip.compress(b)
    diff = compared(tmp_path, name, a, b)
    assert isinstance(diff.detail, TableDiff)
    assert [(row.a, row.b) for row in diff.detail.rows.shown] == [(("1", "André"), ("1", "Andrée"))]
    assert diff.warnings == ((WINDOWS,) if encoding == "latin-1" else ())


def test_a_table_in_another_encoding_has_the_same_values(tmp_path: Path) -> None:
    """Written anew as UTF-8, a table is the same, and the reader is told why its bytes are not."""
    diff = compared(tmp_path, "t.csv", OLD.encode("cp1252"), OLD)
    assert "No value differs." in diff.text()
    assert diff.warnings == ("The old file is read as Windows-1252, the new one as UTF-8.",)


def test_a_packed_table_that_is_cut_short_is_no_table(tmp_path: Path) -> None:
    """What can be read of a damaged table in another encoding is not taken for all of it."""
    whole = gzip.compress((OLD * 1000).encode("cp1252"))
    diff = compared(tmp_path, "t.csv.gz", whole[:-20], gzip.compress(OLD.encode("cp1252")))
    assert (diff.kind, "they cannot be read" in diff.warnings[0]) == ("data", True)


@pytest.mark.parametrize(("encoding", "warnings"), [("cp1252", (WINDOWS,)), ("utf-16", ())])
def test_texts_of_any_encoding_are_texts(tmp_path: Path, encoding: str, warnings: tuple[str, ...]) -> None:
    """Texts are compared by their characters, and where those are guessed the reader is told."""
    diff = compared(tmp_path, "t.txt", OLD.encode(encoding), NEW.encode(encoding))
    assert isinstance(diff.detail, TextDiff)
    assert (diff.detail.added, diff.detail.removed, diff.warnings) == (1, 1, warnings)
    assert "+1;Andrée" in diff.text().splitlines()
