"""The native objects of one artifact root: what happens to them as it is uploaded to and deleted from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.errors import VersionedStoreError
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.settling import Settler
from mlflow_versioned_store.native.survey import Survey, survey
from mlflow_versioned_store.native.uploading import Committed, NativeUpload, NativeUploader
from mlflow_versioned_store.roots import joined

_log = logging.getLogger("mlflow_versioned_store")


class NativeRoot:
    """Native objects of one artifact root.

    Args:
        backend: The store.
        store_id: Its id.
        log: The root's log.
    """

    def __init__(self, backend: Backend, store_id: str, log: Log):
        self._backend = backend
        self._store_id = store_id
        self._log = log
        self._settler = Settler(backend, store_id, log)

    def upload(
        self, files: Mapping[str, Source], domain: Domain, change: str, count: Callable[[int], None], *, anew: bool
    ) -> NativeUpload:
        """Write files as plain objects, for the change that will record them. No request where there are none.

        With `anew`, also those whose content is current or is in another object.

        Raises:
            SourceChanged, LocalStorageFailed: A source cannot be read as it is.
            Unsupported: The bucket does not keep versions.
            VersionedStoreError: The store refused or failed.
        """
        if not files:
            return NativeUpload()
        uploader = NativeUploader(self._backend, self._store_id, self._log, domain, change, anew=anew)
        return uploader.upload(files, count)

    def committed(self, upload: NativeUpload, versions: Mapping[str, Committed], change: str, run: str) -> None:
        """See to what comes after the commit: tags, hints, and what plain readers get. Trouble there is a warning."""
        unsettled = upload.finish({path: versions[path] for path in upload.made}, run)
        self._try_to_settle(unsettled, change)

    def changed(self, versions: Iterable[Version], change: str) -> None:
        """Let plain readers of native versions that were made or ended see it. Trouble there is a warning."""
        self._try_to_settle(self._settler.native_paths(versions), change)

    def settle(self, versions: Iterable[Version], change: str) -> int:
        """Put right what plain readers get where any of `versions` was native; return how many keys were wrong."""
        return self._settler.settle(self._settler.unsettled(versions), change)

    def unsettled(self, versions: Iterable[Version]) -> list[str]:
        """Return the paths among those of `versions` that `settle` would put right."""
        return self._settler.unsettled(versions)

    def keys(self, versions: Iterable[Version]) -> list[str]:
        """Return the plain keys of those of `versions` that are native."""
        return [joined(self._log.root, path) for path in self._settler.native_paths(versions)]

    def survey(self) -> Survey:
        """Return the objects below the root that no commit names."""
        return survey(self._backend, self._store_id, self._log)

    def _try_to_settle(self, paths: list[str], change: str) -> None:
        try:
            self._settler.settle(paths, change)
        except VersionedStoreError as error:
            _log.warning("Plain readers of %s may get another version than the newest: %s", paths[0], error)
