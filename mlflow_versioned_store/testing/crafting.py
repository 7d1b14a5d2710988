"""Writing what no release writes: commits with any content, as a later release or somebody hostile would."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from mlflow_versioned_store import keys
from mlflow_versioned_store.history import records, sealed
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import Change, Commit, Draft, DraftEntry, Entry, Operation
from mlflow_versioned_store.store import Store


def commit_entry(
    store: Store,
    root: str,
    path: str,
    data: bytes,
    at: Any,
    *,
    content: dict[str, Any] | None = None,
    frames: bytes = b"",
) -> None:
    """Commit a version of `path` whose bytes are `data`, wherever `at` says that they are; nothing checks that."""
    entry = DraftEntry(path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), at=at)
    append(store, root, "upload", entry, content=content, frames=frames)


def append(
    store: Store,
    root: str,
    operation: Operation,
    *entries: DraftEntry,
    content: dict[str, Any] | None = None,
    frames: bytes = b"",
) -> None:
    """Append a change with any entries to the log of an artifact root."""
    log = Log(store.backend, keys.log(root), root=root, digest=store.marker.digest)
    log.append([Draft(uuid.uuid4().hex, operation, entries, content or {}, frames)])


def plant_commit(store: Store, root: str, number: int, *entries: Entry, **fields: Any) -> None:
    """Put a soundly sealed commit under a number, whatever its entries say; `fields` are those of `Commit`."""
    digest = sealed.digest_named(store.marker.digest)
    change = Change(uuid.uuid4().hex, "upload", entries)
    described: dict[str, Any] = {"root": root, "number": number, "parent": "", "time": 0, "changes": (change,)} | fields
    store.backend.put(keys.commit(keys.log(root), number), records.encode_commit(Commit(**described), digest))
