"""What a comparison compares: versions, or folders as their files by path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlflow_versioned_store import diff
from mlflow_versioned_store.artifact_root import ArtifactRoot, Folder
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.versions import Version

if TYPE_CHECKING:
    from mlflow_versioned_store.diff.kinds import Kind


class Operand(NamedTuple):
    """One side: a file, or a folder as its files by their paths below it.

    Args:
        label: What it is called.
        side: The file, or the files.
    """

    label: str
    side: diff.Side | dict[str, diff.Side]


def operand(root: ArtifactRoot, found: Version | Folder, folder: str) -> Operand:
    """Return what was found at an address as one side.

    Args:
        root: The artifact root.
        found: What was found in it.
        folder: A local folder for copies; the caller removes it.
    """
    mark, number = _number(found)
    label = f"{found.path}@@{mark}{number}"
    if isinstance(found, Version):
        return Operand(label, diff.VersionSide(root, found, folder))
    below = len(found.path) + 1 if found.path else 0
    files = (version for version in found.state.walk(found.path) if version.kind == "file")
    return Operand(label, {version.path[below:]: diff.VersionSide(root, version, folder) for version in files})


def around(root: ArtifactRoot, found: Version | Folder) -> tuple[Version | Folder, Version | Folder]:
    """Return what was found and what is current there; or, where that is the same, what was before it and it.

    Raises:
        InvalidInput: There was nothing before it.
    """
    current = root.find(found.path)
    mark, number = _number(current)
    if _number(found)[1] < number:
        return found, current
    if number == 1:
        raise InvalidInput(f"Nothing was there before {found.path}@@{mark}1; name what to compare it with.")
    return root.find(f"{found.path}@@{mark}{number - 1}"), current


def compare(
    old: Operand, new: Operand, *, key: Sequence[str] | None = None, kind: Kind | None = None
) -> diff.FileDiff | diff.TreeDiff:
    """Compare two files, or two folders.

    Args:
        old: The old side.
        new: The new side.
        key: The columns that name a row of a table; None looks for one, () goes by position.
        kind: What to compare files as; None goes by their names and first bytes.

    Raises:
        InvalidInput: One is a file and the other a folder.
    """
    if isinstance(old.side, dict) and isinstance(new.side, dict):
        return diff.compare_trees(old.side, new.side, labels=(old.label, new.label))
    if isinstance(old.side, dict) or isinstance(new.side, dict):
        raise InvalidInput(f"A file and a folder cannot be compared: {old.label} and {new.label}. Name two of a kind.")
    return diff.compare(old.side, new.side, key=key, kind=kind)


def _number(found: Version | Folder) -> tuple[str, int]:
    """Return what an address says after "@" to name what was found: ("v", 2) or ("c", 5)."""
    return ("c", found.state.number) if isinstance(found, Folder) else ("v", found.number)
