"""Making what a plain reader of a native key gets the newest committed version, or nothing once it is deleted.

A version is written before it is committed, so two writers may commit in another order than they wrote, a deletion may
hide what is committed after it, and who crashes leaves bytes that no commit names. So whoever changed a key or the log
looks at the key once more afterwards, and puts right what they find. Whoever looks last has seen everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.object_versions import Described
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.content.clock import GRACE_SECONDS
from mlflow_versioned_store.content.locations import Native, Packed, Reference, decode_location, is_native
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.objects import COPY_OF, STORE, Target, VersionedObjects
from mlflow_versioned_store.roots import joined

_ROUNDS = 8


class Settler:
    """Looks at the native keys of one artifact root, where its bucket keeps object versions.

    Args:
        backend: The store.
        store_id: Its id.
        log: The root's log.
    """

    def __init__(self, backend: Backend, store_id: str, log: Log):
        self._backend = backend
        self._store_id = store_id
        self._log = log

    def settle(self, paths: Iterable[str], change: str) -> int:
        """Put right what readers of the plain keys of `paths` get; return how many keys were wrong.

        What somebody else wrote there stays, and so does what a writer may yet commit. Costs a look at the state and
        one at each key; a copy by the server or a delete marker for each that is wrong, and then another look.

        Args:
            paths: Paths inside the root.
            change: The id that copies carry.
        """
        wrong, left = 0, list(dict.fromkeys(paths))
        versions = open_versions(self._backend) if left else None
        if versions is None or not versions.are_usable():
            # Where versions are not kept, what is written or deleted destroys the one before.
            return 0
        for _ in range(_ROUNDS):
            state = self._log.state()
            looks = [looking_up.submit(versions.describe, self._key(path)) for path in left]
            left = [
                path
                for path, look in zip(left, looks, strict=True)
                if self._put_right(state, path, look.result(), change)
            ]
            wrong += len(left)
            if not left:
                break
        return wrong

    def native_paths(self, versions: Iterable[Version]) -> list[str]:
        """Return the paths of those of `versions` that are native. One request a commit that is not known yet.

        There are none where the bucket has no object versions: there nothing is ever replaced.
        """
        if not self._backend.capabilities.object_versions:
            return []
        files = [version for version in versions if version.kind == "file"]
        located = zip(files, self._log.locate(files), strict=True)
        return list(dict.fromkeys(version.path for version, one in located if is_native(one.at)))

    def unsettled(self, versions: Iterable[Version]) -> list[str]:
        """Return the paths of native `versions` whose plain readers get something that `settle` would put right.

        Costs a request a thousand objects below the root, one a commit that is not known yet, and one for each key that
        has not got the newest version itself.
        """
        paths = self.native_paths(versions)
        bucket = open_versions(self._backend) if paths else None
        if bucket is None:
            return []
        visible = {one.key: one.s3_version_id for one in bucket.list(self._log.root) if one.current and not one.deleted}
        state = self._log.state()
        wanted = {path: self._wanted(state, path) for path in paths}
        suspects = [path for path in paths if visible.get(self._key(path)) != _version_id(wanted[path])]
        looks = [looking_up.submit(bucket.describe, self._key(path)) for path in suspects]
        return [
            path
            for path, look in zip(suspects, looks, strict=True)
            if self._is_wrong(state, path, look.result(), wanted[path])
        ]

    def _put_right(self, state: State, path: str, now: Described | None, change: str) -> bool:
        """Tell whether the key of a path was wrong."""
        versions, wanted = open_versions(self._backend), self._wanted(state, path)
        assert versions is not None, "only buckets with object versions need this"
        if not self._is_wrong(state, path, now, wanted):
            return False
        newest = state.get(path)
        if wanted is None or newest is None:
            versions.delete([(self._key(path), None)])
            return True
        objects = VersionedObjects(versions, self._store_id)
        target = Target(self._log.root, path, change)
        return objects.copy(wanted, target, newest.size, **{COPY_OF: wanted.s3_version_id or ""}) is not None

    def _wanted(self, state: State, path: str) -> Native | None:
        """Return the object version that plain readers of a path should get; None where they should get nothing."""
        newest = state.get(path)
        location = self._location(newest) if newest is not None and newest.kind == "file" else None
        return location if isinstance(location, Native) and location.s3_version_id is not None else None

    def _is_wrong(self, state: State, path: str, now: Described | None, wanted: Native | None) -> bool:
        if now is None:
            return wanted is not None
        return not self._is(now, wanted) and self._may_replace(state, path, now)

    def _is(self, now: Described, wanted: Native | None) -> bool:
        return wanted is not None and wanted.s3_version_id in (now.s3_version_id, now.metadata.get(COPY_OF))

    def _may_replace(self, state: State, path: str, now: Described) -> bool:
        """Tell whether what is at a key is ours, and nothing that a writer may yet commit."""
        if now.metadata.get(STORE) != self._store_id:
            return False
        if COPY_OF in now.metadata:
            return True
        known = (self._location(version) for version in state.versions(path) if version.kind == "file")
        if any(isinstance(one, Native) and one.s3_version_id == now.s3_version_id for one in known):
            return True
        return self._backend.now() - now.modified >= timedelta(seconds=GRACE_SECONDS)

    def _location(self, version: Version) -> Packed | Native | Reference:
        (located,) = self._log.locate([version])
        return decode_location(located.at, version.size)

    def _key(self, path: str) -> str:
        return joined(self._log.root, path)


def _version_id(native: Native | None) -> str | None:
    return native.s3_version_id if native is not None else None
