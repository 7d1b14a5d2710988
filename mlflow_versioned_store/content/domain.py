"""A deduplication domain as uploads and downloads of one process see it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.digests import Digest, digest_function
from mlflow_versioned_store.content.indexes import Index
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.sightings import Sightings

_NAMES_REMEMBERED = 16
_ROWS_REMEMBERED = 50_000


class Recent:
    """Indexes of what this process wrote or read lately: the first guess at where a new file comes from."""

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._indexes: OrderedDict[IndexName, Index | None] = OrderedDict()

    def note(self, names: Iterable[IndexName], index: Index | None = None) -> None:
        """Remember index names, newest last; and the decoded index, where there is one and it is not too large."""
        with self._lock:
            for name in names:
                known = self._indexes.pop(name, None)
                self._indexes[name] = index or known
            while len(self._indexes) > _NAMES_REMEMBERED:
                self._indexes.popitem(last=False)
            self._shed_rows()

    def newest(self) -> list[tuple[IndexName, Index | None]]:
        """Return what is remembered, newest first."""
        with self._lock:
            return list(reversed(self._indexes.items()))

    def _shed_rows(self) -> None:
        rows = 0
        for name, index in reversed(self._indexes.items()):
            rows += len(index.rows) if index else 0
            if index and rows > _ROWS_REMEMBERED:
                self._indexes[name] = None


@dataclass(frozen=True)
class Domain:
    """Where uploads put packs, and what they may share with what is there.

    Args:
        backend: The store.
        name: The domain's name: who may read one pack of it may read all, and all lie under one encryption key.
        chunking: The store's way of cutting files.
        digest_name: The store's digest algorithm.
        sightings: Which packs may be leaned on.
        recent: Indexes that this process used lately.
        dedup: Look for chunks that are stored already.
        delta: Encode chunks against what sat there before.
        own_key: Whether uploads ask for an encryption key of their own.
    """

    backend: Backend
    name: str
    chunking: Chunking
    digest_name: str
    sightings: Sightings
    recent: Recent = field(default_factory=Recent)
    dedup: bool = True
    delta: bool = True
    own_key: bool = False

    @cached_property
    def digest(self) -> Digest:
        """The store's digest function."""
        return digest_function(self.digest_name)
