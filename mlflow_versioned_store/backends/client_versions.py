"""Object versions through the client libraries of providers that have no delete markers."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mlflow_versioned_store.backends.contract import check_key
from mlflow_versioned_store.backends.fsspec_objects import answer_of
from mlflow_versioned_store.backends.object_versions import Listed, ObjectVersion, ObjectVersions, with_markers
from mlflow_versioned_store.backends.provider_errors import Request, error_for
from mlflow_versioned_store.errors import NotFound, VersionedStoreError

# As many as threads send at once, and some more; the clients' default is ten.
CONNECTIONS = 32


class ClientVersions(ObjectVersions):
    """A store in a bucket where an older version stays below when a newer one is deleted.

    Args:
        location: The bucket's name in messages.
        folder: The store's folder in it; "" is all of the bucket.
    """

    uncovers = False
    # Each is a request of its own.
    at_once = 16

    def __init__(self, location: str, folder: str):
        self._location = location
        self._prefix = f"{folder}/" if folder else ""

    def list(self, folder: str, *, exactly: bool = False) -> Iterator[ObjectVersion]:
        prefix = self._prefix + folder + ("/" if folder and not exactly else "")
        found = (blob for blob in self._found(folder, prefix) if not exactly or blob.name == prefix)
        return with_markers(map(self._listed, found))

    def delete(self, versions: Sequence[tuple[str, str | None]]) -> None:
        for key, version in versions:
            with contextlib.suppress(NotFound):
                self._delete(key, version)

    @abc.abstractmethod
    def _pages(self, prefix: str) -> Iterator[Any]:
        """Return the pages of a listing of all versions; they are requested one by one."""

    @abc.abstractmethod
    def _listed(self, blob: Any) -> Listed:
        """Return what a listing tells of a version."""

    @abc.abstractmethod
    def _delete(self, key: str, version: str | None) -> None:
        """Delete one version for good, or leave a key without a current one."""

    def _name(self, key: str) -> str:
        return check_key(self._prefix + key)

    def _found(self, folder: str, prefix: str) -> Iterator[Any]:
        pages = self._pages(prefix)
        while (page := self._send("list", folder, next, pages, None)) is not None:
            yield from page

    def _send(self, action: str, key: str, send: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return send(*arguments, **options)
        except VersionedStoreError:
            # From what is sent.
            raise
        except Exception as error:
            raise error_for(answer_of(error), Request(action, self._location, key and self._prefix + key)) from error
