"""Files that hold tables, as DuckDB reads them: CSV, TSV, JSON lines and Parquet."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import os
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import BinaryIO, Literal

from mlflow_versioned_store.diff import sql
from mlflow_versioned_store.diff.encodings import ON_ERROR, Encoding, encoding_of
from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.diff.sql import Sql
from mlflow_versioned_store.errors import Unsupported

_DELIMITERS = (",", ";", "\t", "|")
_PARQUET = (".parquet", ".pq")
_HEAD_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 20
_UTF8: Encoding = "utf-8"
# Whatever is wrong with a packed file, reading the table says so.
_DAMAGE = (gzip.BadGzipFile, EOFError, zlib.error)
TEXT = "VARCHAR"


@dataclass(frozen=True)
class TableFile:
    """A file that holds a table.

    Args:
        columns: The types of its columns by name, in their order.
        relation: Returns what SQL reads it with, where some columns are read as the text that stands there.
    """

    columns: dict[str, str]
    relation: Callable[[Collection[str]], str]


@contextmanager
def in_utf8(side: Side) -> Iterator[tuple[str, Encoding]]:
    """Lend a local file with a table whose text is UTF-8, and tell how it is written in the original.

    DuckDB reads few other encodings: what is written in one is copied.
    """
    with TemporaryDirectory(prefix="mvs-diff-") as folder:
        file, encoding = side.local(), _UTF8
        if not side.path.lower().endswith(_PARQUET):
            with contextlib.suppress(*_DAMAGE):
                found = _encoding(file, packed=_is_packed(side.path))
                if found != _UTF8:
                    copy = os.path.join(folder, "copy")
                    _rewrite(file, copy, found, packed=_is_packed(side.path))
                    file, encoding = copy, found
        yield file, encoding


def _encoding(file: str, *, packed: bool) -> Encoding:
    with _opened(file, "rb", packed=packed) as content:
        return encoding_of(iter(partial(content.read, _BLOCK_BYTES), b""))


def _rewrite(file: str, copy: str, encoding: Encoding, *, packed: bool) -> None:
    with _opened(file, "rb", packed=packed) as content, _opened(copy, "wb", packed=packed) as written:
        decoder = codecs.getincrementaldecoder(encoding)(ON_ERROR)
        while block := content.read(_BLOCK_BYTES):
            written.write(decoder.decode(block).encode())
        written.write(decoder.decode(b"", final=True).encode())


def _is_packed(path: str) -> bool:
    return path.lower().endswith(".gz")


def _opened(path: str, mode: Literal["rb", "wb"], *, packed: bool) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path, mode, compresslevel=1) if packed else open(path, mode)


def open_table(db: Sql, file: str, path: str) -> TableFile:
    """Return the table in a file.

    Args:
        db: Reads it.
        file: What `db` calls it.
        path: Its path, which says what kind of table it is.

    Raises:
        Unsupported: It is no table by its name.
        duckdb.Error: It does not parse.
    """
    lower = path.lower()
    packed = _is_packed(path)
    stem = lower.removesuffix(".gz")
    # The names of links say nothing of it.
    compression = ", compression = 'gzip'" if packed else ""
    if stem.endswith(_PARQUET) and not packed:
        return _typed(db, f"read_parquet({sql.text(file)}, hive_partitioning = false)")
    if stem.endswith((".jsonl", ".ndjson")):
        # Of all rows: a name or a type that comes late must not be overlooked.
        options = f"format = 'newline_delimited', sample_size = -1{compression}"
        return _typed(db, f"read_json({sql.text(file)}, {options}, hive_partitioning = false)")
    if stem.endswith((".csv", ".tsv", ".tab")):
        delimiter = "\t" if not stem.endswith(".csv") else _delimiter(file, packed=packed)
        return _csv(db, file, delimiter, compression)
    raise Unsupported(f"{path} is no table by its name: .csv, .tsv, .jsonl, .ndjson or .parquet.")


def _typed(db: Sql, relation: str) -> TableFile:
    columns = {row[0]: row[1] for row in db.rows(f"DESCRIBE SELECT * FROM {relation}")}

    def read(texts: Collection[str]) -> str:
        casts = ", ".join(f"CAST({sql.name(one)} AS {TEXT}) AS {sql.name(one)}" for one in columns if one in texts)
        return f"(SELECT * REPLACE ({casts}) FROM {relation})" if casts else relation

    return TableFile(columns, read)


def _csv(db: Sql, file: str, delimiter: str, compression: str) -> TableFile:
    # All that could be guessed differently of the two files, or from their first rows only, is given.
    options = (
        f"delim = {sql.text(delimiter)}, quote = '\"', escape = '\"', comment = '', skip = 0, null_padding = false, "
        f"strict_mode = true, allow_quoted_nulls = false{compression}"
    )
    query = f"SELECT HasHeader, Columns, DateFormat, TimestampFormat FROM sniff_csv({sql.text(file)}, {options})"
    header, found, date, timestamp = db.row(query)
    # A date like 01/02/2024 is anybody's guess.
    guessed = {type_ for type_, form in (("DATE", date), ("TIMESTAMP", timestamp)) if form and not _is_iso(form)}
    columns = {one["name"]: TEXT if one["type"] in guessed else one["type"] for one in found}

    def read(texts: Collection[str]) -> str:
        types = {one: TEXT if one in texts else type_ for one, type_ in columns.items()}
        written = ", ".join(f"{sql.text(one)}: {sql.text(type_)}" for one, type_ in types.items())
        return (
            f"read_csv({sql.text(file)}, auto_detect = false, header = {str(header).lower()}, "
            f"columns = {{{written}}}, hive_partitioning = false, {options})"
        )

    if not header and not db.rows(f"SELECT 1 FROM {read(())} LIMIT 1"):
        # DuckDB makes a column up where nothing is written; there is none.
        return TableFile({}, lambda _: read(()))
    return TableFile(columns, read)


def _is_iso(form: str) -> bool:
    return form.startswith("%Y-%m-%d")


def _delimiter(file: str, *, packed: bool) -> str:
    try:
        with _opened(file, "rb", packed=packed) as content:
            line = content.readline(_HEAD_BYTES).decode("utf-8", "replace")
    except _DAMAGE:
        return ","
    bare = "".join(line.split('"')[::2])
    return max(_DELIMITERS, key=bare.count)
