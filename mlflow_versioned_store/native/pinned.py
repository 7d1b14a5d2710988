"""Reading packs in the object version that was written, after somebody else overwrote or deleted them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlflow_versioned_store.backends.contract import Backend, Fetched
from mlflow_versioned_store.backends.object_versions import ObjectVersions
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content.locations import Content
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import VersionedStoreError


class PinnedBackend(WrapperBackend):
    """Reads some objects in one of their versions.

    Args:
        inner: The store.
        versions: The version for each key.
    """

    def __init__(self, inner: Backend, versions: Mapping[str, str]):
        super().__init__(inner)
        self._versions = versions

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        return self.inner.get(key, start=start, stop=stop, s3_version_id=s3_version_id or self._versions.get(key))


def pinned(backend: Backend, contents: Iterable[Content]) -> Backend | None:
    """Return the store with the packs of some changes as they were written; None where its bucket keeps no versions.

    A pack has one key for ever and is created once, so its first version is the one; a change names those of the packs
    that it wrote. One request for each other pack.
    """
    versions = open_versions(backend)
    if versions is None:
        return None
    found: dict[str, str] = {}
    packs: set[PackName] = set()
    for content in contents:
        found |= {pack.key: version for pack, version in content.s3_version_ids.items()}
        packs.update(content.packs, content.leans)
    unknown = [pack for pack in packs if pack.key not in found]
    for pack, look in [(pack, looking_up.submit(_first_version, versions, pack)) for pack in unknown]:
        first = look.result()
        if first is not None:
            found[pack.key] = first
    return PinnedBackend(backend, found) if found else None


def _first_version(versions: ObjectVersions, pack: PackName) -> str | None:
    try:
        found = [one for one in versions.list(pack.key, exactly=True) if not one.deleted and one.size == pack.size]
    except VersionedStoreError:
        # Who may not list versions still reads those that changes name.
        return None
    return found[-1].s3_version_id or None if found else None
