"""How tables are written in JSON: a column each, so that they compress to little more than their digests.

A column is one of

    [1, 2, 3]               a value a row
    7 or "file"             the same value in every row
    {"delta": [9, 1, 1]}    integers: the first, then the differences
    {"hex": "0a1b…"}        256-bit digests, 64 digits a row
    {"widths": […], "ints": [column, …], "other": […]}      any JSON, mostly short lists of integers

and a column that is not there holds the default in every row. Small tables stay as readable as rows.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, TypeAlias, TypeVar

Table: TypeAlias = dict[str, Any]
T = TypeVar("T")

ROWS_MAX = 1 << 20
CHUNK_ROWS_MAX = 16_384
CHUNK_BYTES_MAX = 4 << 20
INTEGER_MAX = (1 << 62) - 1
_PLAIN_ROWS_MAX = 8
_WIDTH_MAX = 16
_DIGITS = 64


def rows_of(table: Table) -> int:
    """Return how many rows `table` has: its column `path` always lists them all.

    Raises:
        ValueError: It has no such list, or too many rows.
    """
    paths = table.get("path")
    if not isinstance(paths, list) or len(paths) > ROWS_MAX:
        raise ValueError("a table has no list of paths, or too many")
    return len(paths)


def constant(values: Sequence[Any]) -> Any:
    """Return `values` as a column: the one value where all are the same text or integer, else the list."""
    first = values[0] if values else None
    if isinstance(first, (str, int)) and values.count(first) == len(values):
        return first
    return list(values)


def pack_ints(values: Sequence[int]) -> Any:
    """Return a column of integers, as differences where that is shorter."""
    column = constant(values)
    if not isinstance(column, list) or len(values) <= _PLAIN_ROWS_MAX:
        return column
    delta = [column[0], *(after - before for before, after in pairwise(column))]
    return {"delta": delta} if _digits(delta) < _digits(column) else column


def unpack_ints(column: Any, rows: int, default: int = 0) -> array[int]:
    """Return a column of integers that are not negative.

    Raises:
        ValueError, TypeError, OverflowError: It is no such column of that many rows.
    """
    values = _signed(column, rows, default)
    if rows and min(values) < 0:
        raise ValueError("a table holds a negative number")
    return values


def pack_digests(values: Sequence[str]) -> Any:
    """Return a column of digests in hex, "" where a row has none."""
    column = constant(values)
    if isinstance(column, list) and len(column) > _PLAIN_ROWS_MAX and all(column):
        return {"hex": "".join(column)}
    return column


def unpack_digests(column: Any, rows: int) -> tuple[bytes, bytes]:
    """Return all digests end to end, 32 bytes a row, and a byte a row that says whether it has one.

    Raises:
        ValueError, TypeError: It is no such column of that many rows.
    """
    if isinstance(column, dict):
        digits = column["hex"]
        present = b"\x01" * rows
    else:
        texts = _listed(column, rows, "")
        present = bytes(map(bool, texts))
        if {len(text) for text in texts} - {0, _DIGITS}:
            raise ValueError("a digest has not 64 digits")
        digits = "".join(text or "0" * _DIGITS for text in texts)
    if not isinstance(digits, str) or len(digits) != _DIGITS * rows or digits.lower() != digits or not digits.isascii():
        raise ValueError("a column of digests is not 64 lower-case hex digits a row")
    raw = bytes.fromhex(digits)
    if len(raw) * 2 != len(digits):
        raise ValueError("a column of digests has blanks")
    return raw, present


def unpack_texts(column: Any, rows: int, default: str, allowed: frozenset[str]) -> list[str]:
    """Return a column of words out of `allowed`.

    Raises:
        ValueError, TypeError: It is no such column of that many rows.
    """
    words = _listed(column, rows, default)
    unknown = set(words) - allowed
    if unknown:
        raise ValueError(f"a table says {min(unknown)!r}, which means nothing here")
    return words


def pack_json(values: Sequence[Any]) -> Any:
    """Return a column of any JSON values; None where all are null."""
    if all(value is None for value in values):
        return None
    if len(values) <= _PLAIN_ROWS_MAX:
        return list(values)
    widths = [_width(value) for value in values]
    ints = [
        pack_ints([value[place] for value, width in zip(values, widths, strict=True) if width > place])
        for place in range(max(widths))
    ]
    other = [value for value, width in zip(values, widths, strict=True) if width < 0]
    return {"widths": constant(widths), "ints": ints, "other": other}


def unpack_json(column: Any, rows: int) -> list[Any]:
    """Return a column of any JSON values.

    Raises:
        ValueError, TypeError, LookupError: It is no such column of that many rows.
    """
    if column is None:
        return [None] * rows
    if isinstance(column, list):
        return _listed(column, rows, None)
    widths = _signed(column["widths"], rows, 0)
    if rows and not -1 <= min(widths) <= max(widths) <= _WIDTH_MAX:
        raise ValueError("a table has rows that are too wide")
    columns = column["ints"]
    if len(columns) != max(0, max(widths, default=0)):
        raise ValueError("a table has not as many columns as its rows are wide")
    cells = [iter(_signed(cell, sum(width > place for width in widths), 0)) for place, cell in enumerate(columns)]
    other = iter(_listed(column["other"], sum(width < 0 for width in widths), None))
    return [next(other) if width < 0 else [next(cell) for cell in cells[:width]] for width in widths]


def _signed(column: Any, rows: int, default: int) -> array[int]:
    if column is None:
        column = default
    if type(column) is int:
        return array("q", [column]) * rows
    if isinstance(column, dict):
        values = array("q", accumulate(_integers(column["delta"])))
    else:
        values = array("q", _integers(column))
    if len(values) != rows:
        raise ValueError(f"a column has {len(values)} values for {rows} rows")
    return values


def _integers(values: Any) -> list[int]:
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise ValueError("a column of integers holds something else")
    return values


def _listed(column: Any, rows: int, default: Any) -> list[Any]:
    if column is None:
        column = default
    if not isinstance(column, list):
        return [column] * rows
    if len(column) != rows:
        raise ValueError(f"a column has {len(column)} values for {rows} rows")
    return column


def _width(value: Any) -> int:
    """Return the length of a short list of integers, -1 for any other value."""
    if type(value) is not list or len(value) > _WIDTH_MAX:
        return -1
    return len(value) if all(type(cell) is int and -INTEGER_MAX <= cell <= INTEGER_MAX for cell in value) else -1


def _digits(values: Sequence[int]) -> int:
    return sum(len(str(value)) for value in values)


def chunks(rows: Sequence[T], weigh: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield `rows` in pieces of at most 16,384 rows and about 4 MiB of text.

    Args:
        rows: The rows, in order.
        weigh: About how many bytes of text a row takes.
    """
    start = weight = 0
    for at, row in enumerate(rows):
        weight += weigh(row)
        if at > start and (at - start == CHUNK_ROWS_MAX or weight > CHUNK_BYTES_MAX):
            yield rows[start:at]
            start, weight = at, weigh(row)
    if start < len(rows):
        yield rows[start:]
