"""What can be uploaded, as items of one change."""

from __future__ import annotations

import io
import os
from typing import TypeAlias

from mlflow_versioned_store.changes import Item
from mlflow_versioned_store.content.blocks import Stream
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.mlflow_plugin import sources
from mlflow_versioned_store.roots import clean_path, joined

Uploadable: TypeAlias = Source | bytearray | memoryview


def items(source: Uploadable, path: str) -> list[Item]:
    """Return what an upload of `source` to `path` stores; see `ArtifactRoot.upload`.

    Raises:
        InvalidInput: There is no such file or directory, a name is not valid, or `source` is none of these.
        LocalStorageFailed: A directory cannot be read.
    """
    clean = clean_path(path)
    if not isinstance(source, str | os.PathLike):
        return [_unnamed(source, clean, path)]
    local = os.fspath(source)
    if os.path.isdir(local):
        return sources.directory(local, clean)
    into_folder = not clean or path.endswith("/")
    target = joined(clean, os.path.basename(local)) if into_folder else clean
    return [Item(target, sources.file(local, "").source)]


def _unnamed(source: bytes | bytearray | memoryview | Stream, clean: str, path: str) -> Item:
    if isinstance(source, bytearray | memoryview):
        # What may change until it is read is taken as it is now.
        source = bytes(source)
    if isinstance(source, io.TextIOBase):
        raise InvalidInput("A text stream cannot be uploaded; open it in binary mode.")
    if not isinstance(source, bytes) and not callable(getattr(source, "read", None)):
        raise InvalidInput(
            f"A value of type {type(source).__name__} cannot be uploaded; give a path, bytes, or an object with read()."
        )
    if not clean or path.endswith("/"):
        raise InvalidInput(f"Bytes and streams have no name of their own; add one to the path {path!r}.")
    return Item(clean, source)
