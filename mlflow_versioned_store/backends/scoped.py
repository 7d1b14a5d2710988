"""A folder of a backend as a backend of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched, ObjectInfo, check_folder
from mlflow_versioned_store.backends.wrapper import WrapperBackend


class ScopedBackend(WrapperBackend):
    """Keys relative to a folder; nothing outside of it can be named.

    Closing it leaves the inner backend open: others may share that.

    Args:
        inner: The backend that holds the folder.
        folder: The folder's key; "" is all of the inner backend.
    """

    def __init__(self, inner: Backend, folder: str):
        super().__init__(inner)
        self._prefix = f"{check_folder(folder)}/" if folder else ""

    @property
    def location(self) -> str:  # type: ignore[override]
        """The inner location and the folder."""
        return f"{self.inner.location}/{self._prefix}".rstrip("/") if self._prefix else self.inner.location

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        fetched = self.inner.get(self._prefix + key, start=start, stop=stop, s3_version_id=s3_version_id)
        return Fetched(fetched.data, self._relative(fetched.info))

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        return self._relative(self.inner.put(self._prefix + key, data, create=create))

    def put_named(self, key: str, data: Buffer | Sequence[Buffer]) -> ObjectInfo:
        return self._relative(self.inner.put_named(self._prefix + key, data))

    def head(self, key: str) -> ObjectInfo:
        return self._relative(self.inner.head(self._prefix + key))

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        after = None if after is None else self._prefix + after
        return map(self._relative, self.inner.list(self._inner_folder(folder), after=after, limit=limit))

    def folders(self, folder: str) -> Sequence[str]:
        return [found[len(self._prefix) :] for found in self.inner.folders(self._inner_folder(folder))]

    def delete(self, keys: Sequence[str]) -> None:
        self.inner.delete([self._prefix + key for key in keys])

    def now(self, folder: str = "") -> datetime:
        return self.inner.now(self._inner_folder(folder))

    def close(self) -> None:
        pass

    def _inner_folder(self, folder: str) -> str:
        return (self._prefix + folder).rstrip("/")

    def _relative(self, info: ObjectInfo) -> ObjectInfo:
        if not self._prefix:
            return info
        return ObjectInfo(info.key[len(self._prefix) :], info.size, info.modified, info.e_tag, info.s3_version_id)
