"""How a command fails: one line on stderr, and an exit code that scripts can rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    Damaged,
    InvalidInput,
    LocalStorageFailed,
    NotFound,
    Unavailable,
    Unsupported,
    VersionedStoreError,
)
from mlflow_versioned_store.wording import printable

INTERRUPTED = 130
EXIT_CODES: Mapping[int, str] = {
    0: "done",
    1: "any other failure, such as a full disk",
    2: "the command can never work as it is written",
    3: "no permission, or no credentials",
    4: "the store cannot be reached",
    5: "the store or its server does not fit this release, or an extra is not installed",
    6: "there is no such store, path, version or alias",
    7: "stored bytes are damaged or gone",
    8: "something else is there already",
    INTERRUPTED: "interrupted",
}
_CODES: tuple[tuple[type[VersionedStoreError], int], ...] = (
    (InvalidInput, 2),
    (AccessDenied, 3),
    (Unavailable, 4),
    (Unsupported, 5),
    (NotFound, 6),
    (Damaged, 7),
    (Conflict, 8),
    (VersionedStoreError, 1),
)


class Failure(click.ClickException):
    """An error of the package as the end of a command.

    Args:
        error: The error.
        context: The command's; it says what is printed.
    """

    def __init__(self, error: VersionedStoreError, context: click.Context):
        super().__init__(str(error))
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        self.exit_code = code  # type: ignore[misc]  # click reads it from the instance
        self._error = error
        self._as_json = output.wants_json(context)
        self._verbose = output.is_verbose(context)
        self._color = context.color

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error: one line on stderr, with -v what is known of its request, with --json a document too."""
        line = printable(" ".join(str(self._error).split()))
        click.echo(f"{click.style('Error:', fg='red')} {line}", file=file, err=True, color=self._color)
        facts = _facts(self._error)
        for name, value in facts.items():
            if self._verbose and value is not None:
                click.echo(f"  {name}: {printable(str(value))}", file=file, err=True)
        if self._as_json:
            output.write_json({"error": {"message": str(self._error)} | facts})


def of_system(error: OSError) -> LocalStorageFailed:
    """Return what the operating system refused as an error of the package."""
    what = "The output cannot be written" if error.filename is None else f"{error.filename} cannot be used"
    return LocalStorageFailed(f"{what}: {error.strerror or error}. Check the disk and the name.", key=error.filename)


def _facts(error: VersionedStoreError) -> dict[str, Any]:
    return {
        "kind": error.kind,
        "key": error.key,
        "request_id": error.request_id,
        "attempts": error.attempts,
    }
