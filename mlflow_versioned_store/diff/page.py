"""A comparison as one HTML page: complete in itself, without scripts, in the light or the dark as the reader has it.

It names a content security policy that lets it load and run nothing; all that comes from outside is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources

from mlflow_versioned_store.diff import facts
from mlflow_versioned_store.diff.arrays import ArraysDiff
from mlflow_versioned_store.diff.files import Detail, End, FileFindings
from mlflow_versioned_store.diff.images import ImageDiff
from mlflow_versioned_store.diff.json_values import JsonDiff
from mlflow_versioned_store.diff.markup import Content, Markup, joined, tag
from mlflow_versioned_store.diff.table_rows import RowChange
from mlflow_versioned_store.diff.tables import ColumnDiff, TableDiff
from mlflow_versioned_store.diff.texts import Hunk, TextDiff
from mlflow_versioned_store.diff.trees import TreeChange, TreeFindings
from mlflow_versioned_store.wording import number, share, sized

_FILES_SHOWN_MAX = 5000
_BAR_PIXELS = 72


def file_page(diff: FileFindings) -> str:
    """Return the page of two files."""
    body: list[Content] = [
        tag("h1", f"{diff.a.label} → {diff.b.label}"),
        tag("section", _end(diff.a), _end(diff.b), class_="ends"),
        _facts(facts.of_file(diff)),
        (tag("p", warning, class_="note") for warning in diff.warnings),
        _detail(diff.detail) if diff.detail is not None else "",
        tag("footer", f"Compared as {facts.of_kind(diff.kind)}."),
    ]
    return _page(f"{diff.a.label} → {diff.b.label}", body)


def tree_page(diff: TreeFindings) -> str:
    """Return the page of two directories."""
    rows = [_tree_row(change) for change in diff.changes[:_FILES_SHOWN_MAX]]
    body: list[Content] = [
        tag("h1", f"{diff.a} → {diff.b}"),
        _facts([facts.of_tree(diff)]),
        tag("h2", "Files") if rows else "",
        _table(("", "path", "#size", "#in common", "#more stored"), rows) if rows else "",
        _more(len(diff.changes) - len(rows)),
    ]
    return _page(f"{diff.a} → {diff.b}", body)


def _page(title: str, body: Sequence[Content]) -> str:
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:"
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', tag('main', *body)), lang='en')}\n"


def _end(end: End) -> Markup:
    about = f"{sized(end.size)} · SHA-256 {end.sha256[:16]}…" if end.sha256 else sized(end.size)
    return tag("div", tag("strong", end.label), tag("span", about, class_="soft", title=end.sha256), class_="end")


def _facts(said: Sequence[str]) -> Markup:
    return tag("ul", (tag("li", one) for one in said), class_="facts")


def _detail(detail: Detail) -> Markup:
    match detail:
        case TextDiff():
            return _text(detail)
        case JsonDiff():
            return _json(detail)
        case ArraysDiff():
            return _arrays(detail)
        case ImageDiff():
            return _image(detail)
        case TableDiff():
            return _table_detail(detail)


def _text(diff: TextDiff) -> Markup:
    rows = [row for hunk in diff.hunks for row in _hunk(hunk)]
    return joined(tag("h2", "Lines"), _scroll(tag("table", rows, class_="lines code")), _more(1 if diff.cut else 0, ""))


def _hunk(hunk: Hunk) -> Iterable[Markup]:
    a, b = hunk.a_start, hunk.b_start
    yield tag("tr", tag("td", f"@@ −{a} +{b} @@", colspan=3), class_="hunk")
    for line in hunk.lines:
        a_text, b_text = ("" if line.kind == "added" else f"{a}"), ("" if line.kind == "removed" else f"{b}")
        a, b = a + (line.kind != "added"), b + (line.kind != "removed")
        cells = tag("td", a_text, class_="at"), tag("td", b_text, class_="at"), tag("td", line.text, class_="text")
        yield tag("tr", cells, class_="" if line.kind == "same" else line.kind)


def _json(diff: JsonDiff) -> Markup:
    rows = [
        tag("tr", _kind(one.kind), tag("td", tag("code", one.path)), _value(one.a, "del"), _value(one.b, "ins"))
        for one in diff.shown
    ]
    left = diff.added + diff.removed + diff.changed - len(rows)
    return joined(tag("h2", "Values"), _table(("", "path", "old", "new"), rows), _more(left))


def _arrays(diff: ArraysDiff) -> Markup:
    rows = []
    for array in diff.shown:
        a, b, how = facts.of_array(array)
        rows.append(
            tag("tr", _kind(array.kind), tag("td", tag("code", array.name)), _value(a), _value(b), tag("td", how))
        )
    left = diff.added + diff.removed + diff.changed - len(rows)
    return joined(tag("h2", "Arrays"), _table(("", "array", "old", "new", "elements"), rows), _more(left))


def _image(diff: ImageDiff) -> Markup:
    figures = [("Old", facts.of_picture(diff.a), diff.a.preview), ("New", facts.of_picture(diff.b), diff.b.preview)]
    if diff.picture is not None:
        figures.append(("Difference", "red where pixels differ", diff.picture))
    shown = [
        tag(
            "figure",
            tag("img", src=f"data:image/png;base64,{base64.b64encode(png).decode()}", alt=name),
            tag("figcaption", tag("strong", name), f" · {about}"),
        )
        for name, about, png in figures
    ]
    return joined(tag("h2", "Pictures"), tag("div", shown, class_="pictures"))


def _table_detail(diff: TableDiff) -> Markup:
    heads = ("", "column", "type", "#changed", "#nulls", "minimum", "maximum", "#mean")
    rows = diff.rows
    columns = _table(heads, [_column(column, rows.changed) for column in diff.columns])
    parts = [tag("h2", "Columns"), columns]
    changed = [row for row in rows.shown if row.kind == "changed"]
    if changed:
        at = [n for n, name in enumerate(rows.names) if name in rows.key or any(_differs(row, n) for row in changed)]
        parts += [tag("h2", "Changed rows"), _rows(diff, changed, at), _more(rows.changed - len(changed))]
    for kind, total in (("removed", rows.removed), ("added", rows.added)):
        shown = [row for row in rows.shown if row.kind == kind]
        if shown:
            at = list(range(len(rows.names)))
            parts += [tag("h2", f"{kind.title()} rows"), _rows(diff, shown, at), _more(total - len(shown))]
    return joined(*parts)


def _column(column: ColumnDiff, rows_changed: int) -> Markup:
    kind = "added" if column.a_type is None else "removed" if column.b_type is None else ""
    if not kind:
        kind = "renamed" if column.renamed_from else "changed" if column.changed else ""
    a, b = column.a, column.b
    width = round(_BAR_PIXELS * column.changed / max(1, rows_changed), 1)
    track = tag("rect", width=_BAR_PIXELS, height=4, rx=2, class_="track")
    bar = tag("svg", track, tag("rect", width=width, height=4, rx=2, class_="bar"), width=_BAR_PIXELS, height=4)
    return tag(
        "tr",
        _kind(kind),
        tag("td", tag("strong", _both(column.renamed_from, column.name))),
        tag("td", _both(column.a_type, column.b_type), class_="code"),
        tag("td", f"{column.changed:,}" if a and b else "–", bar if column.changed else "", class_="count"),
        tag("td", _both(f"{a.nulls:,}" if a else None, f"{b.nulls:,}" if b else None), class_="count"),
        tag("td", _both(a.minimum if a else None, b.minimum if b else None), class_="value"),
        tag("td", _both(a.maximum if a else None, b.maximum if b else None), class_="value"),
        tag("td", _both(number(a.mean) if a else None, number(b.mean) if b else None), class_="count"),
    )


def _rows(diff: TableDiff, rows: Sequence[RowChange], at: Sequence[int]) -> Markup:
    heads = (*([] if diff.rows.key else ["#row"]), *(diff.rows.names[n] for n in at))
    written = []
    for row in rows:
        place = [] if row.position is None else [tag("td", f"{row.position + 1:,}", class_="count")]
        cells = (tag("td", _cell(row, n), class_="value") for n in at)
        written.append(tag("tr", place, cells))
    return _table(heads, written)


def _cell(row: RowChange, n: int) -> str | Markup:
    if row.a is not None and row.b is not None and row.a[n] != row.b[n]:
        return joined(tag("del", _text_of(row.a[n])), " ", tag("ins", _text_of(row.b[n])))
    return _text_of((row.a or row.b or ())[n])


def _differs(row: RowChange, n: int) -> bool:
    return row.a is not None and row.b is not None and row.a[n] != row.b[n]


def _tree_row(change: TreeChange) -> Markup:
    path = joined(tag("del", change.old_path), " ", tag("ins", change.path)) if change.old_path else change.path
    a, b = ("" if size is None else sized(size) for size in (change.a_size, change.b_size))
    sharing = change.sharing
    return tag(
        "tr",
        _kind(change.kind),
        tag("td", path, class_="value"),
        tag("td", f"{a} → {b}" if change.kind == "changed" and a != b else b or a, class_="count"),
        tag("td", share(sharing.shared, change.b_size or 0) if sharing else "", class_="count"),
        tag("td", sized(sharing.added) if sharing else "", class_="count"),
    )


def _both(a: str | None, b: str | None) -> str | Markup:
    if a is None or b is None or a == b:
        return (a if b is None else b) or "–"
    return joined(tag("del", a), " ", tag("ins", b))


def _text_of(value: str | None) -> str | Markup:
    return tag("span", "NULL", class_="soft") if value is None else value


def _kind(kind: str) -> Markup:
    return tag("td", tag("span", kind, class_=f"kind {kind}") if kind else "")


def _value(value: str | None, name: str = "span") -> Markup:
    return tag("td", tag(name, value) if value is not None else "", class_="value code")


def _table(heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    """Return a table; a head that begins with "#" stands above numbers."""
    head = (tag("th", one.removeprefix("#"), class_="count" if one.startswith("#") else "") for one in heads)
    return _scroll(tag("table", tag("thead", tag("tr", head)), tag("tbody", rows)))


def _scroll(content: Markup) -> Markup:
    return tag("div", content, class_="scroll", tabindex="0")


def _more(count: int, number: str | None = None) -> Markup:
    said = f"… and {count:,} more." if number is None else "… and more."
    return tag("p", said, class_="soft") if count > 0 else Markup()
