"""A backend that hands every call to another: the base of retrying, counting, scoping and fault injection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mlflow_versioned_store.backends.contract import Backend, Buffer, Capabilities, Fetched, ObjectInfo


class WrapperBackend(Backend):
    """Passes every call on unchanged; subclasses override what they change.

    Args:
        inner: The backend that does the work.
    """

    def __init__(self, inner: Backend):
        self._inner = inner

    @property
    def inner(self) -> Backend:
        """The wrapped backend."""
        return self._inner

    @property
    def location(self) -> str:  # type: ignore[override]
        """As the inner backend."""
        return self.inner.location

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """As the inner backend."""
        return self.inner.capabilities

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        return self.inner.get(key, start=start, stop=stop, s3_version_id=s3_version_id)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        return self.inner.put(key, data, create=create)

    def head(self, key: str) -> ObjectInfo:
        return self.inner.head(key)

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        return self.inner.list(folder, after=after, limit=limit)

    def folders(self, folder: str) -> Sequence[str]:
        return self.inner.folders(folder)

    def delete(self, keys: Sequence[str]) -> None:
        self.inner.delete(keys)

    def now(self, folder: str = "") -> datetime:
        return self.inner.now(folder)

    def close(self) -> None:
        self.inner.close()
