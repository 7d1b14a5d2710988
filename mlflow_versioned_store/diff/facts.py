"""What there is to say of a comparison in a few words; the shell and the page say the same."""

from __future__ import annotations

from mlflow_versioned_store.content.sharing import Sharing
from mlflow_versioned_store.diff.arrays import ArrayDiff, ArraysDiff
from mlflow_versioned_store.diff.files import Detail, FileFindings
from mlflow_versioned_store.diff.images import ImageDiff, Picture
from mlflow_versioned_store.diff.json_values import JsonDiff
from mlflow_versioned_store.diff.tables import TableDiff
from mlflow_versioned_store.diff.texts import TextDiff
from mlflow_versioned_store.diff.trees import KINDS, TreeFindings
from mlflow_versioned_store.wording import counted, number, share, sized


def of_file(diff: FileFindings) -> list[str]:
    """Return what two files have in common and how they differ, a sentence each."""
    if diff.equal:
        return ["Both have the same bytes."]
    facts = [f"{sized(diff.a.size)} became {sized(diff.b.size)}."]
    if diff.sharing is not None:
        facts.append(of_sharing(diff.sharing, diff.b.size))
    if diff.detail is not None:
        facts += of_detail(diff.detail)
    return facts


def of_sharing(sharing: Sharing, size: int) -> str:
    """Return how much of a file of `size` bytes an older one has too."""
    return (
        f"{share(sharing.shared, size)} of it lie in chunks of the old version; "
        f"the store keeps {sized(sharing.added)} more for it."
    )


def of_detail(detail: Detail) -> list[str]:
    """Return how the contents differ, a sentence each."""
    match detail:
        case TextDiff(added, removed):
            return [f"{counted(added, 'line')} added, {removed:,} removed."]
        case JsonDiff(added, removed, changed):
            return [f"{counted(added, 'value')} added, {removed:,} removed, {changed:,} changed."]
        case ArraysDiff(same, added, removed, changed):
            return [f"{counted(added, 'array')} added, {removed:,} removed, {changed:,} changed, {same:,} the same."]
        case TableDiff():
            return list(_of_table(detail))
        case ImageDiff():
            return [_of_image(detail)]


def of_tree(diff: TreeFindings) -> str:
    """Return how two directories differ."""
    counts = diff.counts
    said = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)
    return f"{said}, {diff.unchanged:,} the same."


def of_picture(picture: Picture) -> str:
    """Return what a picture is."""
    frames = f", {picture.frames} frames" if picture.frames > 1 else ""
    return f"{picture.width:,} × {picture.height:,} pixels, {picture.mode}, {picture.format}{frames}"


def of_array(array: ArrayDiff) -> tuple[str, str, str]:
    """Return what an array was, what it is, and how its elements differ."""
    a, b = (
        "–" if type_ is None or shape is None else f"{type_} {'×'.join(map(str, shape)) or 'scalar'}"
        for type_, shape in ((array.a_type, array.a_shape), (array.b_type, array.b_shape))
    )
    if array.note:
        return a, b, f"not compared: {array.note}"
    if array.changed is None:
        return a, b, array.kind
    said = f"{counted(array.changed, 'element')} changed"
    if array.largest is not None:
        said = f"{array.changed:,} changed, by up to {number(array.largest)}, mean {number(array.mean)}"
    if array.unmeasured:
        said += f"; {array.unmeasured:,} from or to NaN or infinity"
    return a, b, said


def of_kind(kind: str) -> str:
    """Return what files were compared as."""
    return {"array": "arrays", "image": "pictures", "table": "tables", "json": "JSON", "text": "text"}.get(
        kind, "bytes"
    )


def _of_table(diff: TableDiff) -> list[str]:
    rows = diff.rows
    facts = [f"{counted(diff.a_rows, 'row')} became {diff.b_rows:,}."]
    if rows.added + rows.removed + rows.changed:
        said = f"{rows.added:,} added, {rows.removed:,} removed, {rows.changed:,} changed"
        facts.append(f"{said}; paired by {', '.join(rows.key) or 'position'}.")
    elif diff.reordered:
        facts.append("The rows are the same, in another order.")
    elif rows.names:
        only = any(None in (column.a_type, column.b_type) for column in diff.columns)
        facts.append("No value differs in the columns that both have." if only else "No value differs.")
    if not rows.names:
        facts.append("They have no column in common.")
    schema = [column for column in diff.columns if column.a_type != column.b_type or column.renamed_from]
    if schema:
        facts.append(f"{counted(len(schema), 'column')} added, removed, renamed or of another type.")
    if diff.moved:
        facts.append("The columns stand in another order.")
    return facts


def _of_image(diff: ImageDiff) -> str:
    if diff.changed is None:
        return "The sizes differ."
    pixels = diff.b.width * diff.b.height
    largest, mean = 100 * (diff.largest or 0), 100 * (diff.mean or 0)
    if not diff.changed:
        return "No pixel differs."
    return f"{share(diff.changed, pixels)} of the pixels differ, by up to {largest:.3g} %, mean {mean:.3g} %."
