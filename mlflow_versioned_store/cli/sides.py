"""The two sides of `mvs diff`: addresses in any stores, or local files and directories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.errors import InvalidInput

if TYPE_CHECKING:
    from mlflow_versioned_store.artifact_root import ArtifactRoot, Folder
    from mlflow_versioned_store.diff import Side
    from mlflow_versioned_store.history.versions import Version


class Operand(NamedTuple):
    """One side: a file, or a folder as its files by their paths below it.

    Args:
        label: What it is called.
        side: The file, or the files.
    """

    label: str
    side: Side | dict[str, Side]


def operands(old: str, new: str | None, folder: str) -> tuple[Operand, Operand]:
    """Return what `mvs diff OLD NEW` compares.

    Args:
        old: An address, or a local path.
        new: The same, or "@v3" for another version of the old one's path; None for what is current there, or, where
            the old one is current, for the version before it, which then is the old side.
        folder: A local folder for copies; the caller removes it.

    Raises:
        InvalidInput: There is nothing to compare with.
        NotFound: One of them leads nowhere; the message says what there is instead.
    """
    if os.path.exists(old):
        if new is None or new.startswith("@"):
            raise InvalidInput(f"{old} is a local path; name the address that it is to be compared with.")
        return _local(old), _operand(new, folder)
    root, found = _find(old)
    if new is None:
        before, after = _around(root, found)
    elif new.startswith("@"):
        before, after = found, root.find(f"{found.path}@{new}")
    else:
        return _remote(root, found, folder), _operand(new, folder)
    return _remote(root, before, folder), _remote(root, after, folder)


def _around(root: ArtifactRoot, found: Version | Folder) -> tuple[Version | Folder, Version | Folder]:
    """Return what was found and what is current there; or, where that is the same, what was before it and it."""
    current = root.find(found.path)
    mark, number = _number(current)
    if _number(found)[1] < number:
        return found, current
    if number == 1:
        raise InvalidInput(f"Nothing was there before {found.path}@@{mark}1; name what to compare it with.")
    return root.find(f"{found.path}@@{mark}{number - 1}"), current


def _operand(where: str, folder: str) -> Operand:
    return _local(where) if os.path.exists(where) else _remote(*_find(where), folder)


def _find(address: str) -> tuple[ArtifactRoot, Version | Folder]:
    root, inside = locate(address)
    return root.engine, root.engine.find(inside)


def _local(path: str) -> Operand:
    from mlflow_versioned_store.diff import FileSide

    if os.path.isfile(path):
        return Operand(path, FileSide(path))
    files = (file for file in Path(path).rglob("*") if file.is_file())
    return Operand(path, {file.relative_to(path).as_posix(): FileSide(file) for file in files})


def _remote(root: ArtifactRoot, found: Version | Folder, folder: str) -> Operand:
    from mlflow_versioned_store.artifact_root import Folder
    from mlflow_versioned_store.diff import VersionSide

    mark, number = _number(found)
    label = f"{found.path}@@{mark}{number}"
    if not isinstance(found, Folder):
        return Operand(label, VersionSide(root, found, folder))
    below = len(found.path) + 1 if found.path else 0
    files = (version for version in found.state.walk(found.path) if version.kind == "file")
    return Operand(label, {version.path[below:]: VersionSide(root, version, folder) for version in files})


def _number(found: Version | Folder) -> tuple[str, int]:
    """Return what an address says after "@" to name what was found: ("v", 2) or ("c", 5)."""
    from mlflow_versioned_store.artifact_root import Folder

    return ("c", found.state.number) if isinstance(found, Folder) else ("v", found.number)
