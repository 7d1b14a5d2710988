"""What plain objects of a store are not as its history says, and putting that right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mlflow_versioned_store.catalog.inventory import ROOTS_AT_ONCE
from mlflow_versioned_store.content.clock import elapsed
from mlflow_versioned_store.native import survey
from mlflow_versioned_store.pools import in_order
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.store import Store

ROOTS_MAX = 1000
SECONDS_MAX = 60.0


@dataclass(slots=True)
class Natives:
    """What was found in some artifact roots.

    Args:
        roots: How many there are.
        looked_at: How many of them were looked at.
        foreign: Keys of objects that somebody else wrote.
        orphans: Keys of objects that crashed uploads left.
        pending: Keys of objects that an upload may yet commit.
        unsettled: Keys whose plain readers get something else than the newest version.
        removed: How many orphans were removed.
        settled: How many keys were put right.
    """

    roots: int = 0
    looked_at: int = 0
    foreign: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    removed: int = 0
    settled: int = 0

    def add(self, other: Natives) -> None:
        """Take in what was found in one more root."""
        self.looked_at += 1
        self.foreign += other.foreign
        self.orphans += other.orphans
        self.pending += other.pending
        self.unsettled += other.unsettled
        self.removed += other.removed
        self.settled += other.settled


def look(store: Store, path: str, *, fix: bool = False) -> Natives:
    """Look at the plain objects of the artifact roots at or below a path of a store.

    For each root one request a commit, two a thousand objects, and one or two for each object that is not as it should
    be. After a minute or 1,000 roots no other root is begun.

    Args:
        store: The store.
        path: The path; inside a root it stands for the root.
        fix: Remove what crashed uploads left, and let plain readers get the newest versions.

    Raises:
        VersionedStoreError: The store could not be read, or what is to be put right could not be.
    """
    place = store.place(path)
    roots = [place.root] if place.root else store.roots_below(place.path)
    found = Natives(len(roots))
    with ThreadPoolExecutor(ROOTS_AT_ONCE, thread_name_prefix="mvs-natives") as pool:
        for one in in_order(lambda root: pool.submit(_look_at, store, root, fix), _until_late(roots)):
            found.add(one)
    return found


def _until_late(roots: Sequence[str]) -> Iterator[str]:
    late = elapsed() + SECONDS_MAX
    for root in roots[:ROOTS_MAX]:
        if elapsed() >= late:
            return
        yield root


def _look_at(store: Store, name: str, fix: bool) -> Natives:
    root = store.root(name)
    surveyed = root.survey()
    if fix and surveyed.orphans:
        survey.remove(store.backend, surveyed.orphans)
    return Natives(
        foreign=[one.key for one in surveyed.foreign],
        orphans=[] if fix else [one.key for one in surveyed.orphans],
        pending=[one.key for one in surveyed.pending],
        # Orphans first: with them gone, most keys are right again by themselves.
        unsettled=[] if fix else [joined(name, path) for path in root.unsettled()],
        removed=len(surveyed.orphans) if fix else 0,
        settled=root.settle() if fix else 0,
    )
