"""A DuckDB that reads two given files and nothing else, in bounded memory and a temporary folder of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_versioned_store.errors import Unsupported
from mlflow_versioned_store.pools import Pool

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# What DuckDB holds besides its buffers comes on top: the process stays below 1 GiB.
_MEMORY = "512MB"
_THREADS_MAX = 4
_INTERRUPTED_AGAIN_SECONDS = 0.05

T = TypeVar("T")
_querying = Pool("query", lambda: _THREADS_MAX)


class Sql:
    """A connection that sees two files.

    Args:
        connection: The connection.
        files: What it calls the files: paths that need no quoting and stand for no other file.
    """

    def __init__(self, connection: DuckDBPyConnection, files: tuple[str, str]):
        self._connection = connection
        self.files = files

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return self._run(lambda: self._connection.execute(query).fetchall())

    def row(self, query: str) -> tuple[Any, ...]:
        """Return the one row that a query finds."""
        (row,) = self.rows(query)
        return row

    def keep(self, name: str, query: str) -> None:
        """Keep what a query finds as a table, in the place of one of that name."""
        self._run(lambda: self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}"))

    def _run(self, work: Callable[[], T]) -> T:
        """Run a query in another thread, so that Ctrl-C ends it: DuckDB itself looks for one now and then at best."""
        running = _querying.submit(work)
        try:
            return running.result()
        except KeyboardInterrupt:
            while not running.done():
                # One that comes before the query does is lost.
                self._connection.interrupt()
                wait([running], timeout=_INTERRUPTED_AGAIN_SECONDS)
            raise


@contextmanager
def sql_over(a: str, b: str) -> Iterator[Sql]:
    """Lend a DuckDB that can read two local files, write its temporary folder, and do nothing else outside.

    Raises:
        Unsupported: DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise Unsupported("Tables need DuckDB: pip install 'mlflow-versioned-store[diff]'.") from error
    with TemporaryDirectory(prefix="mvs-diff-") as folder:
        # Names of our own: DuckDB would take a "*" in a name for a pattern.
        links = (os.path.join(folder, "a"), os.path.join(folder, "b"))
        for link, path in zip(links, (a, b), strict=True):
            os.symlink(os.path.abspath(path), link)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": _MEMORY,
            "threads": str(min(_THREADS_MAX, os.cpu_count() or 1)),
            "temp_directory": os.path.join(folder, "spilled"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(":memory:", config=config)
        try:
            connection.execute(f"SET allowed_paths = [{text(links[0])}, {text(links[1])}]")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield Sql(connection, links)
        finally:
            connection.close()


def text(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def name(value: str) -> str:
    """Return the name of a column as SQL writes it."""
    return '"' + value.replace('"', '""') + '"'
