"""What commands print: tables and lines for people, one JSON document for programs.

Names come from others. They are printed with control characters escaped, and never interpreted.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import click

from mlflow_versioned_store.wording import printable

_JSON = "mlflow_versioned_store.json"
_VERBOSE = "mlflow_versioned_store.verbose"
_GAP = "  "
_LINES_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        title: What stands above it.
        align: On which side its cells are flush.
        dim: Whether it steps back behind the others.
        spare: Whether it is left out where the terminal is too narrow for all.
    """

    title: str
    align: Literal["left", "right"] = "left"
    dim: bool = False
    spare: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, header: bool = True) -> None:
    """Print a table, columns as wide as they must be; the last one is not padded, and a narrow terminal wraps it.

    Args:
        columns: What the cells of each row are.
        rows: The cells; they are escaped here.
        header: Whether the titles are printed.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    titles = [column.title for column in columns] if header else [""] * len(columns)
    widths = [max(map(_width, column)) for column in zip(titles, *cells, strict=True)]
    shown = _that_fit(columns, widths)
    if header:
        click.echo(_line(columns, titles, widths, shown, dim=True))
    if not _is_colored():
        columns = [Column(column.title, column.align) for column in columns]
    for start in range(0, len(cells), _LINES_AT_ONCE):
        lines = (_line(columns, row, widths, shown) for row in cells[start : start + _LINES_AT_ONCE])
        click.echo("\n".join(lines))


def show(document: Any, print_text: Callable[[], None]) -> None:
    """Print what a command found: as JSON where that is asked for, else as text.

    Args:
        document: What programs get; datetimes become ISO 8601.
        print_text: Prints it for people.
    """
    if wants_json():
        write_json(document)
    else:
        print_text()


def line(*parts: str) -> None:
    """Print parts of a line with spaces between; they are escaped here."""
    click.echo(" ".join(map(printable, parts)))


def note(text: str) -> None:
    """Tell people something about the output, on stderr; programs read the output."""
    click.echo(click.style(printable(text), dim=True), err=True)


def write_json(document: Any) -> None:
    """Print a JSON document, on one line of ASCII."""
    click.echo(json.dumps(document, default=_plain, separators=(", ", ": "), allow_nan=False))


def wants_json(context: click.Context | None = None) -> bool:
    """Tell whether the command was asked for JSON."""
    return bool((context or click.get_current_context()).meta.get(_JSON))


def ask_json(context: click.Context, *, wanted: bool) -> None:
    """Note whether JSON is asked for."""
    context.meta[_JSON] = wanted


def is_verbose(context: click.Context | None = None) -> bool:
    """Tell whether the command was asked to say more."""
    return bool((context or click.get_current_context()).meta.get(_VERBOSE))


def ask_verbose(context: click.Context, *, wanted: bool) -> None:
    """Note whether more shall be said."""
    context.meta[_VERBOSE] = wanted


def moment(time: datetime | int) -> str:
    """Return a time as people read it, in UTC, to the second."""
    return _datetime(time).strftime("%Y-%m-%d %H:%M:%S")


def iso(time: datetime | int) -> str:
    """Return a time as programs read it: ISO 8601, UTC, in milliseconds."""
    return _datetime(time).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _datetime(time: datetime | int) -> datetime:
    """Return a time, or milliseconds since 1970, in UTC."""
    return time.astimezone(UTC) if isinstance(time, datetime) else datetime.fromtimestamp(time / 1000, UTC)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _is_colored() -> bool:
    color = click.get_current_context().color
    return sys.stdout.isatty() if color is None else color


def _that_fit(columns: Sequence[Column], widths: Sequence[int]) -> list[int]:
    """Return which columns are shown: on a narrow terminal, as many of the spare ones as there is room for."""
    shown = list(range(len(columns)))
    if not sys.stdout.isatty():
        return shown
    room = shutil.get_terminal_size().columns
    for at in reversed(range(len(columns))):
        if sum(widths[one] + len(_GAP) for one in shown) - len(_GAP) <= room:
            break
        if columns[at].spare:
            shown.remove(at)
    return shown


def _line(
    columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int], shown: Sequence[int], *, dim: bool = False
) -> str:
    parts = []
    for at in shown:
        padding = " " * (widths[at] - _width(cells[at]))
        text = click.style(cells[at], dim=True) if dim or columns[at].dim else cells[at]
        parts.append(padding + text if columns[at].align == "right" else text + padding)
    return _GAP.join(parts).rstrip()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
