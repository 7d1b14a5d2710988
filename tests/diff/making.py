"""Files to compare."""

from __future__ import annotations

from pathlib import Path

from mlflow_versioned_store.diff import FileDiff, FileSide, compare


def sides(folder: Path, name: str, a: bytes | str, b: bytes | str) -> tuple[FileSide, FileSide]:
    """Return two files of one name with some content."""
    made = []
    for label, content in (("old", a), ("new", b)):
        path = folder / label / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        made.append(FileSide(path, f"{name}@@{label}"))
    return made[0], made[1]


def compared(folder: Path, name: str, a: bytes | str, b: bytes | str, key: list[str] | None = None) -> FileDiff:
    """Compare two files of one name with some content, and show the comparison in every form."""
    diff = compare(*sides(folder, name, a, b), key=key)
    assert diff.text(80)
    assert diff.json()["kind"] == diff.kind
    assert diff.html().startswith("<!doctype html>")
    return diff
