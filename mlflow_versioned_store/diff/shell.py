"""A comparison as lines for the shell: "-" before what was, "+" before what is, "~" before what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlflow_versioned_store.diff import facts
from mlflow_versioned_store.diff.arrays import ArraysDiff
from mlflow_versioned_store.diff.files import Detail, FileFindings
from mlflow_versioned_store.diff.images import ImageDiff
from mlflow_versioned_store.diff.json_values import JsonDiff
from mlflow_versioned_store.diff.tables import ColumnDiff, TableDiff
from mlflow_versioned_store.diff.texts import TextDiff
from mlflow_versioned_store.diff.trees import TreeFindings
from mlflow_versioned_store.wording import number, printable, sized

_LINE_MARKS = {"same": " ", "removed": "-", "added": "+"}
_MARKS = {"added": "+", "removed": "-", "changed": "~", "renamed": ">"}


def file_lines(diff: FileFindings, width: int) -> Iterator[str]:
    """Yield the lines for two files, cut to `width` characters; unprintable characters are shown as codes."""
    yield from _cut([f"--- {diff.a.label}", f"+++ {diff.b.label}"], width)
    yield from map(printable, facts.of_file(diff))
    for warning in diff.warnings:
        yield from (f"Note: {printable(warning)}",)
    if diff.detail is not None:
        yield from _cut(_detail_lines(diff.detail), width)


def tree_lines(diff: TreeFindings, width: int) -> Iterator[str]:
    """Yield the lines for two directories, cut to `width` characters; unprintable characters are shown as codes."""
    yield from _cut([f"--- {diff.a}", f"+++ {diff.b}"], width)
    yield facts.of_tree(diff)
    rows = []
    for change in diff.changes:
        path = f"{change.old_path} → {change.path}" if change.old_path else change.path
        a, b = ("" if size is None else sized(size) for size in (change.a_size, change.b_size))
        sizes = f"{a} → {b}" if change.kind == "changed" else b or a
        added = f"{sized(change.sharing.added)} more stored" if change.sharing else ""
        rows.append((_MARKS[change.kind], path, sizes, added))
    yield from _cut(_table(rows), width)


def _detail_lines(detail: Detail) -> Iterator[str]:
    match detail:
        case TextDiff():
            yield from _text_lines(detail)
        case JsonDiff(shown=changes):
            for change in changes:
                values = " → ".join(value for value in (change.a, change.b) if value is not None)
                yield f"{_MARKS[change.kind]} {change.path}: {values}"
            yield from _more(detail.added + detail.removed + detail.changed - len(changes))
        case ArraysDiff(shown=arrays):
            yield from _table([(_MARKS[array.kind], array.name, *facts.of_array(array)) for array in arrays])
            yield from _more(detail.added + detail.removed + detail.changed - len(arrays))
        case ImageDiff():
            yield f"- {facts.of_picture(detail.a)}"
            yield f"+ {facts.of_picture(detail.b)}"
        case TableDiff():
            yield from _table_lines(detail)


def _text_lines(diff: TextDiff) -> Iterator[str]:
    for hunk in diff.hunks:
        a_count, b_count = hunk.count("same", "removed"), hunk.count("same", "added")
        yield f"@@ -{hunk.a_start},{a_count} +{hunk.b_start},{b_count} @@"
        for line in hunk.lines:
            yield _LINE_MARKS[line.kind] + line.text
    if diff.cut:
        yield "… and more."


def _table_lines(diff: TableDiff) -> Iterator[str]:
    yield ""
    yield from _table(
        [("", "column", "type", "changed", "nulls", "minimum", "maximum", "mean"), *map(_column, diff.columns)]
    )
    if not diff.rows.names:
        return
    if diff.rows.shown:
        yield ""
    for row in diff.rows.shown:
        place = "" if row.position is None else f"row {row.position + 1}: "
        named = list(zip(diff.rows.names, row.a or row.b or (), row.b or row.a or (), strict=True))
        named = [one for one in named if row.kind != "changed" or one[1] != one[2] or one[0] in diff.rows.key]
        values = (f"{name}={_value(a)}" + (f" → {_value(b)}" if a != b else "") for name, a, b in named)
        yield f"{_MARKS[row.kind]} {place}{', '.join(values)}"
    yield from _more(diff.rows.added + diff.rows.removed + diff.rows.changed - len(diff.rows.shown))


def _column(column: ColumnDiff) -> tuple[str, ...]:
    def both(a: str | None, b: str | None) -> str:
        found = list(dict.fromkeys(one for one in (a, b) if one is not None))
        return " → ".join(found)

    mark = "+" if column.a_type is None else "-" if column.b_type is None else "~" if column.changed else ""
    a, b = column.a, column.b
    return (
        mark,
        both(column.renamed_from, column.name),
        both(column.a_type, column.b_type),
        f"{column.changed:,}" if column.a and column.b else "",
        both(f"{a.nulls:,}" if a else None, f"{b.nulls:,}" if b else None),
        both(a.minimum if a else None, b.minimum if b else None),
        both(a.maximum if a else None, b.maximum if b else None),
        both(
            number(a.mean) if a and a.mean is not None else None, number(b.mean) if b and b.mean is not None else None
        ),
    )


def _value(value: str | None) -> str:
    return "NULL" if value is None else f"{value!r}" if value == "" or value != value.strip() else value


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"… and {count:,} more."


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    plain = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for row in plain:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cut(lines: Iterator[str] | Sequence[str], width: int) -> Iterator[str]:
    for line in lines:
        plain = printable(line)
        yield plain if len(plain) <= width else f"{plain[: width - 1]}…"
