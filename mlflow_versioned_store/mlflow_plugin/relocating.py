"""Where MLflow's tracking database says that artifacts are, written anew.

    experiments.artifact_location     where new runs of an experiment go
    runs.artifact_uri
    logged_models.artifact_location
    model_versions.source, .storage_location
    trace_tags.value                  of the key mlflow.artifactLocation

Nothing else is touched, and the artifacts themselves stay where they are. A database of a release that lacks a table,
or a column of it, has nothing to write there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mlflow_versioned_store.errors import InvalidInput, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Table

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)
_TRACE_KEY = "mlflow.artifactLocation"


class Rewritten(NamedTuple):
    """What one column holds of the old place.

    Args:
        table: The table.
        column: The column.
        rows: How many rows lie at or below the old place.
        example: One of them as it is, None where there are none.
        becomes: That one as it will be.
    """

    table: str
    column: str
    rows: int
    example: str | None
    becomes: str | None


def relocate(tracking_uri: str, old: str, new: str, *, write: bool) -> list[Rewritten]:
    """Let MLflow look for artifacts at or below `new` that it looked for at or below `old`, in one transaction.

    The same with `old` and `new` exchanged undoes it, unless something lay at `new` before.

    Args:
        tracking_uri: The database, such as "sqlite:///mlflow.db" or "postgresql://…".
        old: A URI, such as "s3://bucket/mlruns".
        new: A URI, such as "versioned-s3://bucket/mlruns".
        write: Write; otherwise only look.

    Raises:
        NotFound: The database is a file on this machine that does not exist; none is made.
        InvalidInput: It is no tracking database, or a location would be longer than its column.
        Unavailable: The database cannot be reached, or refused; nothing was written.
    """
    from sqlalchemy.exc import SQLAlchemyError

    move = _Move(_cleaned(old), _cleaned(new))
    if move.old == move.new:
        raise InvalidInput(f"{old} and {new} are the same place.")
    try:
        with _engine(tracking_uri).begin() as connection:
            columns = _columns(connection)
            found = [move.look(connection, column) for column in columns]
            if write:
                for column in columns:
                    connection.execute(move.update(column))
        return found
    except SQLAlchemyError as error:
        raise Unavailable(
            f"The tracking database could not be changed, and is as it was: {type(error).__name__}. Check its URI, "
            "that it is MLflow's, and your rights."
        ) from error


@dataclass(frozen=True, slots=True)
class _Move:
    """From one place to another; both without a slash at the end."""

    old: str
    new: str

    def look(self, connection: Connection, column: Column[Any]) -> Rewritten:
        """Return what a column holds of the old place.

        Raises:
            InvalidInput: The new locations do not fit into it.
        """
        from sqlalchemy import func, select

        table = column.table
        rows, longest, example = connection.execute(
            select(func.count(), func.max(func.length(column)), func.min(column)).where(self._matches(column))
        ).one()
        length = getattr(column.type, "length", None)
        needed = (longest or 0) + len(self.new) - len(self.old)
        if rows and length is not None and needed > length:
            raise InvalidInput(
                f"A location in {table.name}.{column.name} would have {needed} characters, and MLflow's database has "
                f"room for {length}. Choose a shorter place than {self.new}."
            )
        becomes = self.new + example[len(self.old) :] if example is not None else None
        return Rewritten(table.name, column.name, rows, example, becomes)

    def update(self, column: Column[Any]) -> Any:
        """Return the statement that moves what a column holds."""
        from sqlalchemy import literal, update

        table: Table = column.table
        rest = _part(column, len(self.old) + 1, None)
        return update(table).where(self._matches(column)).values({column: literal(self.new) + rest})

    def _matches(self, column: Column[Any]) -> ColumnElement[bool]:
        """Tell which rows are meant: LIKE would be blind to case in some databases."""
        from sqlalchemy import and_, or_

        below = _part(column, 1, len(self.old) + 1) == f"{self.old}/"
        meant = or_(column == self.old, below)
        if column.table.name == "trace_tags":
            return and_(column.table.c.key == _TRACE_KEY, meant)
        return meant


def _part(column: Column[Any], start: int, size: int | None) -> ColumnElement[Any]:
    from sqlalchemy import func

    # The one spelling that every database of MLflow's knows; with a length, since one of them demands it.
    return func.substring(column, start, 4000 if size is None else size)


def _columns(connection: Connection) -> list[Column[Any]]:
    """Return the columns that this database has.

    Raises:
        InvalidInput: It is not MLflow's.
    """
    from sqlalchemy import MetaData, Table, inspect

    tables = set(inspect(connection).get_table_names())
    if not {"experiments", "runs"} <= tables:
        raise InvalidInput("The database has no experiments and runs, so it is not MLflow's tracking database.")
    metadata = MetaData()
    loaded = {name: Table(name, metadata, autoload_with=connection) for name, _ in _PLACES if name in tables}
    return [loaded[table].c[column] for table, column in _PLACES if table in loaded and column in loaded[table].c]


def _engine(tracking_uri: str) -> Any:
    from mlflow.exceptions import MlflowException
    from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
    from mlflow.utils.uri import extract_db_type_from_uri

    from mlflow_versioned_store.mlflow_plugin.tracking import check_is_there

    try:
        extract_db_type_from_uri(tracking_uri)  # type: ignore[no-untyped-call]
        check_is_there(tracking_uri, "tracking")
        return create_sqlalchemy_engine_with_retry(tracking_uri)  # type: ignore[no-untyped-call]
    except MlflowException as error:
        # A message might repeat the URI, which may hold a password.
        raise InvalidInput(
            "Locations are changed in MLflow's tracking database itself, so name that, such as sqlite:///mlflow.db or "
            "postgresql://…; a tracking server and a folder of files cannot do it."
        ) from error


def _cleaned(uri: str) -> str:
    stripped = uri.rstrip("/")
    scheme, separator, rest = stripped.partition("://")
    if not (separator and scheme and rest) or any(mark in uri for mark in "?#"):
        raise InvalidInput(f"{uri!r} is not the URI of a place for artifacts, such as s3://bucket/mlruns.")
    return stripped
