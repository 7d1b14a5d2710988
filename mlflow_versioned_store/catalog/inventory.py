"""The objects of a store as they are: how many of each kind, which artifact roots, and what was logged into them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from mlflow_versioned_store import keys
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.pools import in_order
from mlflow_versioned_store.store import Store

ROOTS_AT_ONCE = 8


@dataclass(slots=True)
class Kind:
    """The objects of one kind: how many, and their bytes."""

    objects: int = 0
    size: int = 0


@dataclass(slots=True)
class Inventory:
    """What a store consists of.

    Args:
        kinds: Its objects, by what they are for (`keys.kind`). Older object versions that a bucket keeps are not told.
        roots: The artifact roots that have a history, sorted.
        newest: When something was committed last, by the store's clock.
        newest_root: Where.
        files: Paths that are current now.
        versions: Versions that can be read.
        logged: The bytes of those, as they were logged.
    """

    kinds: dict[str, Kind]
    roots: list[str]
    newest: datetime | None = None
    newest_root: str | None = None
    files: int = 0
    versions: int = 0
    logged: int = 0

    @property
    def stored(self) -> int:
        """The bytes of all objects."""
        return sum(kind.size for kind in self.kinds.values())

    @property
    def savings(self) -> float | None:
        """How many bytes were logged for each that is stored; None where nothing is."""
        return self.logged / self.stored if self.logged and self.stored else None


def take_inventory(store: Store) -> Inventory:
    """Return what a store consists of.

    One request a thousand objects, and then two for each artifact root (more for one of more than 16,384 versions).

    Raises:
        Damaged: A log cannot be read.
        VersionedStoreError: The store could not be read.
    """
    found = _list_objects(store)
    with ThreadPoolExecutor(ROOTS_AT_ONCE, thread_name_prefix="mvs-inventory") as pool:
        for files, versions, logged in in_order(lambda root: pool.submit(_logged, store, root), found.roots):
            found.files += files
            found.versions += versions
            found.logged += logged
    return found


def open_log(store: Store, root: str) -> Log:
    """Return the log of an artifact root, which is forgotten with everything read of it when it is let go of."""
    return Log(store.backend, keys.log(root), root=root, digest=store.marker.digest)


def _list_objects(store: Store) -> Inventory:
    kinds: dict[str, Kind] = {}
    logs: set[str] = set()
    newest: tuple[datetime, str] | None = None
    for info in store.backend.list(""):
        kind = kinds.setdefault(keys.kind(info.key), Kind())
        kind.objects += 1
        kind.size += info.size
        if (log := keys.log_of_commit(info.key)) is not None:
            logs.add(log)
            newest = max(newest or (info.modified, log), (info.modified, log))
    time, where = newest or (None, None)
    return Inventory(kinds, sorted(map(store.root_of_log, logs)), time, where and store.root_of_log(where))


def _logged(store: Store, root: str) -> tuple[int, int, int]:
    files = versions = logged = 0
    for _, numbered in groupby(open_log(store, root).state().all_versions(), lambda version: version.path):
        every = list(numbered)
        sizes = [version.size for version in every if version.kind == "file" and version.readable]
        files += every[-1].kind == "file" and every[-1].status == "live"
        versions += len(sizes)
        logged += sum(sizes)
    return files, versions, logged
