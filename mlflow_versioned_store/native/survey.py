"""What lies among the native objects of an artifact root that no commit names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.object_versions import ObjectVersion
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.content.clock import GRACE_SECONDS
from mlflow_versioned_store.content.locations import is_native
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.native.objects import CHANGE, COPY_OF, STORE, target_of
from mlflow_versioned_store.roots import place


@dataclass(slots=True)
class Survey:
    """Objects that no commit names.

    Args:
        foreign: Somebody else wrote them.
        orphans: A writer of this store did, and crashed, more than the grace period ago; or they are copies that no
            plain reader gets any more.
        pending: A writer of this store did, and may yet commit them.
    """

    foreign: list[ObjectVersion] = field(default_factory=list)
    orphans: list[ObjectVersion] = field(default_factory=list)
    pending: list[ObjectVersion] = field(default_factory=list)


def survey(backend: Backend, store_id: str, log: Log) -> Survey:
    """Return what lies below an artifact root that no commit of it names.

    Costs a request a thousand objects, one a commit, and one for each object that no commit names.

    Raises:
        VersionedStoreError: The store could not be read.
    """
    # First the objects, then the log: what is committed in between is known.
    listed = list(_objects(backend, log.root))
    committed = set(_committed(backend, log))
    unknown = [one for one in listed if (one.key, _version(log.root, one)) not in committed]
    now = backend.now()
    looks = [looking_up.submit(_labels, backend, log.root, one) for one in unknown]
    found = Survey()
    for one, look in zip(unknown, looks, strict=True):
        labels = look.result()
        if labels is None:
            continue  # gone meanwhile
        if (STORE in labels and labels[STORE] not in (store_id, "")) or CHANGE not in labels:
            found.foreign.append(one)
        elif COPY_OF in labels:
            if not one.current:
                found.orphans.append(one)
        elif now - one.modified >= timedelta(seconds=GRACE_SECONDS):
            found.orphans.append(one)
        else:
            found.pending.append(one)
    return found


def remove(backend: Backend, orphans: Sequence[ObjectVersion]) -> None:
    """Remove orphans for good, each in exactly its version. One request a thousand.

    Raises:
        VersionedStoreError: At least one was not removed.
    """
    versions = open_versions(backend)
    if versions is None:
        backend.delete([one.key for one in orphans])
    else:
        versions.delete([(one.key, one.s3_version_id or None) for one in orphans])


def _objects(backend: Backend, root: str) -> Iterator[ObjectVersion]:
    versions = open_versions(backend)
    if versions is None:
        listed = (
            ObjectVersion(one.key, "", one.size, one.modified, current=True, deleted=False)
            for one in backend.list(root)
        )
    else:
        listed = (one for one in versions.list(root) if not one.deleted)
    return (one for one in listed if RESERVED not in one.key.split("/") and place(one.key).root == root)


def _committed(backend: Backend, log: Log) -> Iterator[tuple[str, str]]:
    """Yield key and version of every object of the store that a commit names: written by it, or adopted."""
    above = f"{backend.location}/"
    for commit in log.commits():
        for change in commit.changes:
            for entry in log.entries(change):
                if not isinstance(entry.at, dict):
                    continue
                version = entry.at.get("s3_version_id") or ""
                if is_native(entry.at):
                    yield entry.at["native"], version
                elif str(entry.at.get("reference", "")).startswith(above):
                    yield entry.at["reference"].removeprefix(above), version


def _version(root: str, one: ObjectVersion) -> str:
    """Return the version in which a commit names an object: none for a key of one version, which may yet have one."""
    return "" if target_of(root, one.key) else one.s3_version_id


def _labels(backend: Backend, root: str, one: ObjectVersion) -> dict[str, str] | None:
    """Return what an object says of its writer; None where it is gone."""
    target = target_of(root, one.key)
    if target is not None:
        return {CHANGE: target.change, STORE: ""}
    versions = open_versions(backend)
    if versions is None:
        return {}
    described = versions.describe(one.key, one.s3_version_id)
    return None if described is None else dict(described.metadata)
