"""The two sides of `mvs diff`: addresses in any stores, or local files and directories."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from mlflow_versioned_store.api.comparing import Operand
    from mlflow_versioned_store.artifact_root import ArtifactRoot, Folder
    from mlflow_versioned_store.history.versions import Version


def operands(old: str, new: str | None, folder: str) -> tuple[Operand, Operand]:
    """Return what `mvs diff OLD NEW` compares.

    Args:
        old: An address, or a local path.
        new: The same, or "@v3" for another version of the old one's path; None for what is current there, or, where
            the old one is current, for what was before it, which then is the old side.
        folder: A local folder for copies; the caller removes it.

    Raises:
        InvalidInput: There is nothing to compare with.
        NotFound: One of them leads nowhere; the message says what there is instead.
    """
    from mlflow_versioned_store.api.comparing import around, operand

    if os.path.exists(old):
        if new is None or new.startswith("@"):
            raise InvalidInput(f"{old} is a local path; name the address that it is to be compared with.")
        return _local(old), _operand(new, folder)
    root, found = _find(old)
    if new is None:
        before, after = around(root, found)
    elif new.startswith("@"):
        before, after = found, root.find(f"{found.path}@{new}")
    else:
        return operand(root, found, folder), _operand(new, folder)
    return operand(root, before, folder), operand(root, after, folder)


def _operand(where: str, folder: str) -> Operand:
    from mlflow_versioned_store.api.comparing import operand

    return _local(where) if os.path.exists(where) else operand(*_find(where), folder)


def _find(address: str) -> tuple[ArtifactRoot, Version | Folder]:
    if ":" not in address:
        raise NotFound(
            f"There is no local file or directory {address!r}, and it is no address: these begin with "
            "versioned-…://, runs:/ or models:/."
        )
    root, inside = locate(address)
    return root.engine, root.engine.find(inside)


def _local(path: str) -> Operand:
    from mlflow_versioned_store.api.comparing import Operand
    from mlflow_versioned_store.diff import FileSide

    if os.path.isfile(path):
        return Operand(path, FileSide(path))
    files = (file for file in Path(path).rglob("*") if file.is_file())
    return Operand(path, {file.relative_to(path).as_posix(): FileSide(file) for file in files})
