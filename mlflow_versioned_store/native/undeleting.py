"""Undoing deletions and overwrites by others: what a bucket that keeps versions still has.

The store itself writes each object of its own folder once, so any other version is not ours, and a delete marker there
hides what commits need. What the collector removed is gone for good, or comes back at the price of its space.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_versions import ObjectVersion, open_versions
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import Unsupported

_BATCH = 1000
# Written once, and read by exactly that content.
_CREATED_ONCE = ("marker", "commits", "packs", "parts", "checkpoints")


@dataclass(frozen=True, slots=True)
class Undeleted:
    """How many objects were hidden by delete markers, and how many by bytes of somebody else."""

    deleted: int
    overwritten: int

    def __add__(self, other: Undeleted) -> Undeleted:
        return Undeleted(self.deleted + other.deleted, self.overwritten + other.overwritten)


def undelete(
    backend: Backend,
    artifacts: Callable[[], Collection[str]],
    *,
    since: datetime | None = None,
    dry_run: bool = False,
) -> Undeleted:
    """Bring back what somebody deleted or overwrote in a store. One request a thousand object versions, twice.

    Args:
        backend: The store.
        artifacts: Called once the store's own folder is whole: the keys of the native objects that are current.
        since: Leaves older deletions and overwrites as they are.
        dry_run: Only counts; native objects only where the store's own folder is whole.

    Raises:
        Unsupported: The bucket keeps no object versions.
        AccessDenied: Versions may not be listed or removed.
    """
    own = _undelete(backend, keys.RESERVED, None, since, dry_run)
    if dry_run and own != Undeleted(0, 0):
        # Which native objects are current cannot be read before.
        return own
    rest = _undelete(backend, "", frozenset(artifacts()), since, dry_run)
    return own + rest


def undelete_store(uri: str, since: datetime | None = None, *, dry_run: bool = False) -> Undeleted:
    """Bring back the own folder of a store at exactly `uri`, whose marker may be gone too; see `undelete`."""
    container, path = open_container(uri)
    return _undelete(ScopedBackend(container, path), keys.RESERVED, None, since, dry_run)


def _undelete(
    backend: Backend, folder: str, wanted: Collection[str] | None, since: datetime | None, dry_run: bool
) -> Undeleted:
    versions = open_versions(backend)
    if versions is None:
        raise Unsupported(f"{backend.location} keeps no object versions, so nothing that was deleted can come back.")
    by_key: dict[str, list[ObjectVersion]] = defaultdict(list)
    for one in versions.list(folder):
        # What a probe wrote was meant to go.
        if one.key in wanted if wanted is not None else keys.PROBES not in one.key:
            by_key[one.key].append(one)
    markers: list[ObjectVersion] = []
    others: list[ObjectVersion] = []
    hidden = 0
    for key, found in by_key.items():
        if any(one.current and one.deleted for one in found) and not all(one.deleted for one in found):
            over = [one for one in found if one.deleted and _is_since(one, since)]
            markers += over
            hidden += bool(over)
        if wanted is None and keys.kind(key) in _CREATED_ONCE:
            # Listed newest first; times are too coarse to tell.
            written = [one for one in found if not one.deleted]
            others += [one for one in written[:-1] if _is_since(one, since)]
    if not dry_run:
        removed = [(one.key, one.s3_version_id) for one in (*markers, *others)]
        batches = [removed[at : at + _BATCH] for at in range(0, len(removed), _BATCH)]
        work: list[Future[None]] = [sending.submit(versions.delete, batch) for batch in batches]
        for done in work:
            done.result()
    return Undeleted(hidden, len({one.key for one in others}))


def _is_since(one: ObjectVersion, since: datetime | None) -> bool:
    return since is None or one.modified >= since
