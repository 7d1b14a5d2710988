"""Undoing deletions and overwrites by others: what a bucket that keeps versions still has.

The store itself writes each object of its own folder once, so any other version is not ours, and a delete marker there
hides what commits need. What the collector removed is gone for good, or comes back at the price of its space.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.object_versions import ObjectVersion, ObjectVersions
from mlflow_versioned_store.backends.opening import open_container, open_versions
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import NotFound, Unsupported
from mlflow_versioned_store.native.objects import COPY_OF

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
        Unsupported: The bucket keeps no object versions, or does not tell when something was deleted.
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
    if since is not None and not versions.dates_deletions:
        raise Unsupported(f"{backend.location} does not tell when something was deleted; leave the time out.")
    by_key: dict[str, list[ObjectVersion]] = defaultdict(list)
    for one in versions.list(folder):
        # What a probe wrote was meant to go.
        if one.key in wanted if wanted is not None else keys.PROBES not in one.key:
            by_key[one.key].append(one)
    hidden = [_look_below(found, since, once=wanted is None) for found in by_key.values()]
    if not dry_run:
        _uncover(versions, [one for one in hidden if one.markers or one.others])
    return Undeleted(sum(bool(one.markers) for one in hidden), sum(bool(one.others) for one in hidden))


class _Hidden(NamedTuple):
    """What hides the right version of a key.

    Args:
        found: All versions, newest first.
        markers: Delete markers.
        others: What somebody else wrote.
    """

    found: Sequence[ObjectVersion]
    markers: Sequence[ObjectVersion]
    others: Sequence[ObjectVersion]

    @property
    def below(self) -> ObjectVersion:
        """The version that readers are to get."""
        return next(one for one in self.found if not one.deleted and one not in self.others)


def _look_below(found: Sequence[ObjectVersion], since: datetime | None, *, once: bool) -> _Hidden:
    """Find what hides a key; what is written `once` is right in its first version, other keys in their newest."""
    # Listed newest first; times are too coarse to tell.
    written = [one for one in found if not one.deleted]
    markers = [one for one in found if one.deleted and _is_since(one, since)]
    if not written or not any(one.current and one.deleted for one in found):
        markers = []
    others = []
    if once and written and keys.kind(written[0].key) in _CREATED_ONCE:
        others = [one for one in written[:-1] if _is_since(one, since) and not _is_alike(one, written[-1])]
    return _Hidden(found, markers, others)


def _uncover(versions: ObjectVersions, hidden: Sequence[_Hidden]) -> None:
    """Remove what hides the right versions, and see to it that readers get these."""

    def bring_back(some: Sequence[_Hidden]) -> None:
        markers = [marker for one in some for marker in one.markers] if versions.uncovers else []
        others = [other for one in some for other in one.others]
        versions.delete([(one.key, one.s3_version_id) for one in (*markers, *others)])
        if not versions.uncovers:
            for one in some:
                if not one.below.current:
                    _copy_to_top(versions, one.below)

    batches = [hidden[at : at + versions.at_once] for at in range(0, len(hidden), versions.at_once)]
    work: list[Future[None]] = [sending.submit(bring_back, batch) for batch in batches]
    for done in work:
        done.result()


def _copy_to_top(versions: ObjectVersions, one: ObjectVersion) -> None:
    described = versions.describe(one.key, one.s3_version_id)
    if described is None:
        raise NotFound(f"{one.key} in version {one.s3_version_id} is gone meanwhile.", key=one.key)
    # A copy that says so is what plain readers are to get, and none that a crashed upload left.
    labels = replace(described.labels, metadata={**described.metadata, COPY_OF: one.s3_version_id})
    versions.copy(one.key, one.s3_version_id, one.key, one.size, labels, sending)


def _is_alike(one: ObjectVersion, other: ObjectVersion) -> bool:
    return one.e_tag is not None and (one.size, one.e_tag) == (other.size, other.e_tag)


def _is_since(one: ObjectVersion, since: datetime | None) -> bool:
    return since is None or one.modified >= since
