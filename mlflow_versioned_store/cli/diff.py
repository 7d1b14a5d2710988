"""`mvs diff`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.sides import operands
from mlflow_versioned_store.errors import Conflict, LocalStorageFailed

if TYPE_CHECKING:
    from mlflow_versioned_store.diff import FileDiff, TreeDiff
    from mlflow_versioned_store.diff.kinds import Kind

_KINDS = ("table", "json", "image", "array", "text", "data")
_COLORS = {"-": "red", "+": "green", "~": "yellow", ">": "yellow", "@": "cyan"}
# As wide as no line is: what is not shown on a terminal is not cut.
_UNLIMITED = 1 << 20


@_command
@click.argument("old")
@click.argument("new", required=False)
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write it as a page of its own too.")
@click.option("--force", is_flag=True, help="Replace a FILE that is there with other content.")
@click.option("--key", metavar="COLUMNS", help="The columns that name a row of a table, with commas between.")
@click.option("--as", "kind", type=click.Choice(_KINDS), metavar="KIND", help=f"Compare them as {', '.join(_KINDS)}.")
def command(old: str, new: str | None, html: str | None, force: bool, key: str | None, kind: Kind | None) -> None:
    """Show what differs between two versions of a file, or between two folders.

    OLD and NEW are addresses, or local files or directories; "@v3" as NEW is another version of the same path. Without
    NEW, OLD is compared with what is current now, and what is current with what was there before it.
    """
    from mlflow_versioned_store.api.comparing import compare

    with tempfile.TemporaryDirectory(prefix="mvs-diff-") as folder:
        found = compare(*operands(old, new, folder), key=key.split(",") if key else None, kind=kind)
        if html is not None:
            _write(Path(html), found.html().encode(), force=force)
        output.show(found.json(), lambda: _print(found, html))


def _write(file: Path, page: bytes, *, force: bool) -> None:
    """Write a page as a whole or not at all."""
    file = Path(os.path.realpath(file))
    part = file.with_name(f".{file.name[:200]}.{os.getpid()}.part")
    try:
        if file.exists() and not file.is_file():
            raise Conflict(f"{file} is there already, and no file; name another one.")
        if file.exists() and not force and file.read_bytes() != page:
            raise Conflict(f"{file} is there already, with other content; name another, or replace it with --force.")
        try:
            part.write_bytes(page)
            part.replace(file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
    except OSError as error:
        raise LocalStorageFailed(f"{file} cannot be written: {error.strerror}.", key=str(file)) from error


def _print(found: FileDiff | TreeDiff, html: str | None) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNLIMITED
    for line in found.text(width).split("\n"):
        if line.startswith(("---", "+++")):
            click.echo(click.style(line, bold=True))
        else:
            color = _COLORS.get(line[:1])
            click.echo(click.style(line, fg=color) if color else line)
    if html is not None:
        output.note(f"Written as a page to {html}.")
