"""Counts of requests and bytes, by the classes that providers put a price on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched, ObjectInfo, size_of
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.wrapper import WrapperBackend

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests sent and bytes moved; the difference of two is what happened between.

    Args:
        put: Writes.
        list: Listings, one a thousand names.
        get: Reads.
        delete: Deletions, one a thousand names.
        head: Look-ups.
        bytes_up: Bytes of objects written.
        bytes_down: Bytes of objects read.
    """

    put: int = 0
    list: int = 0
    get: int = 0
    delete: int = 0
    head: int = 0
    bytes_up: int = 0
    bytes_down: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(Counts)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, item.name) - getattr(other, item.name) for item in fields(Counts)))

    @property
    def requests(self) -> int:
        """All requests together."""
        return self.put + self.list + self.get + self.delete + self.head


class CountingBackend(WrapperBackend):
    """Counts what is asked of the inner backend, whether it succeeds or not.

    A call counts as the requests that the contract says it costs; `now` counts as one look-up.
    """

    def __init__(self, inner: Backend):
        super().__init__(inner)
        self._lock = fork_safe_lock()
        self._counts = dict.fromkeys((item.name for item in fields(Counts)), 0)

    def snapshot(self) -> Counts:
        """Return the counts so far."""
        with self._lock:
            return Counts(**self._counts)

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        self._add("get", 1)
        fetched = self.inner.get(key, start=start, stop=stop, s3_version_id=s3_version_id)
        self._add("bytes_down", size_of(fetched.data))
        return fetched

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        self._add("put", 1)
        written = self.inner.put(key, data, create=create)
        self._add("bytes_up", written.size)
        return written

    def head(self, key: str) -> ObjectInfo:
        self._add("head", 1)
        return self.inner.head(key)

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        self._add("list", 1)
        for number, info in enumerate(self.inner.list(folder, after=after, limit=limit)):
            if number and number % _PAGE == 0:
                self._add("list", 1)
            yield info

    def folders(self, folder: str) -> Sequence[str]:
        self._add("list", 1)
        found = self.inner.folders(folder)
        self._add("list", max(0, len(found) - 1) // _PAGE)
        return found

    def delete(self, keys: Sequence[str]) -> None:
        self._add("delete", -(-len(keys) // _PAGE))
        self.inner.delete(keys)

    def now(self, folder: str = "") -> datetime:
        self._add("head", 1)
        return self.inner.now(folder)

    def _add(self, name: str, amount: int) -> None:
        with self._lock:
            self._counts[name] += amount


def counts_of(backend: Backend) -> Counts:
    """Return what was counted below `backend`; all zero where nothing counts."""
    while not isinstance(backend, CountingBackend):
        if not isinstance(backend, WrapperBackend):
            return Counts()
        backend = backend.inner
    return backend.snapshot()
