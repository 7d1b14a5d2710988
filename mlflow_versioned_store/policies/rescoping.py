"""Moving versions into the deduplication domains that a store's settings give their experiments.

The bytes of a version are read, checked, and stored anew in the domain of its artifact root, where they share chunks
with the root's other versions again; then one `relocate` commit says where they are. Versions, numbers and history stay
what they were. Writers and readers go on meanwhile: a reader who was led to the old place finds the bytes there, until
they are collected.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.locations import Packed, decode_content, decode_location
from mlflow_versioned_store.content.upload import upload
from mlflow_versioned_store.context import here
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.records import Draft, DraftEntry
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.settings import Settings
from mlflow_versioned_store.store import Store

_LOCATED_AT_ONCE = 256
# A commit for about so many bytes: what was moved before an interruption need not be moved again.
_MOVED_AT_ONCE_BYTES = 256 << 20
_MOVED_AT_ONCE = 1000


class Rescoped(NamedTuple):
    """What was moved, or would be.

    Args:
        roots: Artifact roots with versions outside of their domain.
        versions: Such versions.
        size: Their bytes.
    """

    roots: int
    versions: int
    size: int


def rescope(
    store: Store, roots: Sequence[str], settings: Settings, *, move: bool, on_bytes: Callable[[int], None]
) -> Rescoped:
    """Move what lies outside of the domain of its artifact root.

    Whoever opened the store before the settings changed goes on writing where they did; run it again when these are
    done. What is moved already is passed over, so it may also be interrupted.

    Args:
        store: The store.
        roots: Its artifact roots.
        settings: They say which domain an artifact root has.
        move: Move; otherwise only count.
        on_bytes: Is told of the bytes of each version that was moved or counted.

    Raises:
        Damaged: A version is not what was committed; those before it were moved.
        VersionedStoreError: The store could not be read or written.
    """
    touched = versions = size = 0
    for name in roots:
        root, domain = store.root(name), store.domain(name, settings)
        moved = 0
        for batch in _batches(_outside(root, domain.name)):
            if move:
                _move(root, domain, batch)
            moved += len(batch)
            for version in batch:
                size += version.size
                on_bytes(version.size)
        versions += moved
        touched += moved > 0
    return Rescoped(touched, versions, size)


def _outside(root: ArtifactRoot, domain: str) -> Iterator[Version]:
    """Yield the versions whose packs, or those that their deltas lean on, are in another domain; oldest first."""
    readable = (version for version in root.log.state().all_versions() if version.readable and version.kind == "file")
    # In the order in which they were made: later ones are stored as deltas against those before, as at first.
    ordered = sorted(readable, key=lambda version: version.place)
    for at in range(0, len(ordered), _LOCATED_AT_ONCE):
        for located in root.log.locate(ordered[at : at + _LOCATED_AT_ONCE]):
            location = decode_location(located.at, located.version.size)
            content = decode_content(located.content)
            if isinstance(location, Packed):
                used = {content.packs[extent.pack].domain for extent in location.extents if extent.pack >= 0}
                if used and (used | {pack.domain for pack in content.leans}) != {domain}:
                    yield located.version


def _batches(versions: Iterator[Version]) -> Iterator[list[Version]]:
    batch: list[Version] = []
    size = 0
    for version in versions:
        batch.append(version)
        size += version.size
        if size >= _MOVED_AT_ONCE_BYTES or len(batch) >= _MOVED_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _move(root: ArtifactRoot, domain: Domain, versions: Sequence[Version]) -> None:
    files = [root.open(version) for version in versions]
    try:
        uploaded = upload(domain, files)
    finally:
        for file in files:
            file.close()
    entries = []
    for version, content in zip(versions, uploaded.files, strict=True):
        if (content.size, content.sha256) != (version.size, version.sha256):
            address = format_address(version.path, version.number)
            raise Damaged(
                f"{address} of {root.name!r} is not what was committed, and stays where it is. Verify the log."
            )
        entries.append(DraftEntry(version.path, version=version.number, at=content.at))
    context = here(root.name)
    draft = Draft(
        uuid.uuid4().hex,
        "relocate",
        tuple(entries),
        uploaded.content,
        uploaded.frames,
        who=context.who(),
        context=context.mlflow(),
    )
    try:
        root.log.append([draft])
    finally:
        uploaded.settle()
