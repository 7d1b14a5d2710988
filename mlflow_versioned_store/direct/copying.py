"""One version becomes one plain object."""

from __future__ import annotations

from mlflow_versioned_store.artifact_root import ArtifactRoot, Progress
from mlflow_versioned_store.content.locations import Location, Native, Reference
from mlflow_versioned_store.direct.destinations import Destination
from mlflow_versioned_store.history.versions import Version


def copy_version(root: ArtifactRoot, version: Version, to: Destination, key: str, progress: Progress | None) -> bool:
    """Write a version as an object, and return whether the server did it by itself.

    Args:
        root: The version's artifact root.
        version: The version.
        to: Where to.
        key: The object's name there.
        progress: Is told of the bytes written.

    Raises:
        VersionedStoreError: The version could not be read, or the object not written; it is there whole or not at all.
    """
    store = root.store_location
    native = _in_store(store, root.location(version))
    by_server = native is not None and to.copy(key, store, native, version.size, version.sha256)
    if not by_server:
        with root.open(version) as file:
            to.write(key, file, version.sha256)
    if progress is not None:
        progress.add(version.size)
    return by_server


def _in_store(store: str, location: Location) -> Native | None:
    """Return a location as that of an object of the store, which its server can copy; None where it is none."""
    if isinstance(location, Reference) and location.uri.startswith(f"{store}/"):
        return Native(location.uri[len(store) + 1 :], location.s3_version_id)
    return location if isinstance(location, Native) else None
