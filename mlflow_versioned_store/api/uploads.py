"""What can be uploaded, as items of one change."""

from __future__ import annotations

import os

from mlflow_versioned_store.changes import Item
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.mlflow_plugin import sources
from mlflow_versioned_store.roots import clean_path, joined


def items(source: Source, path: str) -> list[Item]:
    """Return what an upload of `source` to `path` stores; see `ArtifactRoot.upload`.

    Raises:
        InvalidInput: There is no such file or directory, or a name is missing or not valid.
        LocalStorageFailed: A directory cannot be read.
    """
    clean = clean_path(path)
    if not isinstance(source, str | os.PathLike):
        if not clean or path.endswith("/"):
            raise InvalidInput(f"Bytes and streams have no name of their own; add one to the path {path!r}.")
        return [Item(clean, source)]
    local = os.fspath(source)
    if os.path.isdir(local):
        return sources.directory(local, clean)
    into_folder = not clean or path.endswith("/")
    target = joined(clean, os.path.basename(local)) if into_folder else clean
    return [Item(target, sources.file(local, "").source)]
