"""What differs between two tables. Stock is what any comparison needs at least: DuckDB scanning every value of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Work = Callable[[], None]


def compare_tables(order: dict[str, Any]) -> Work:
    """The two tables in the order's folder, compared; on the stock side scanned."""
    import duckdb

    from mlflow_versioned_store.diff import FileSide, compare
    from mlflow_versioned_store.diff.tables import TableDiff

    files = [Path(order["path"]) / name for name in ("old.csv", "new.csv")]

    def scan() -> None:
        for file in files:
            with duckdb.connect() as connection:
                connection.execute("SELECT max(COLUMNS(*)) FROM read_csv(?)", [str(file)]).fetchall()

    def diff() -> None:
        found = compare(*map(FileSide, files)).detail
        if not isinstance(found, TableDiff) or found.rows.changed != order["changed"]:
            raise RuntimeError(f"{order['changed']:,} rows were changed; found was something else")

    return scan if order["scheme"] == "s3" else diff


OPERATIONS = {"compare_tables": compare_tables}
