"""How many bytes the versions of a store take: for all of it, per experiment, artifact root and path.

Counted are the versions that can be read, deleted ones too, since their bytes are kept. What they need of the store
follows from commits alone: extents in packs, frames inside commits, native objects, and the frames that deltas lean on.
Not counted is what no version needs: heads and directories of packs, indexes, hooks, the commits' own text, and what is
left of versions that have expired (`catalog.inventory` counts objects as they are).
"""

from __future__ import annotations

import itertools
from array import array
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, TypeAlias

from mlflow_versioned_store.catalog.inventory import ROOTS_AT_ONCE, open_log
from mlflow_versioned_store.catalog.ledger import Group, Ledger, Run
from mlflow_versioned_store.content.directories import Directories
from mlflow_versioned_store.content.locations import (
    INLINE,
    Content,
    Location,
    Native,
    Packed,
    Reference,
    decode_content,
    decode_location,
)
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.versions import Place, Version
from mlflow_versioned_store.pools import in_order
from mlflow_versioned_store.roots import experiment
from mlflow_versioned_store.store import Store

Level: TypeAlias = Literal["experiment", "run", "path"]
LEVELS: tuple[Level, ...] = ("experiment", "run", "path")

_COMMITS_AHEAD = 16
_PACKS_AT_ONCE = 64


def measure(store: Store, *, by: Level = "run", below: str = "") -> Group:
    """Return what the versions of a store take, in a tree of groups: experiment, artifact root, path.

    Costs one request a thousand objects of the logs, two a root, one a commit that made a version that can be read, and
    one a pack that holds deltas.
    Takes the memory of the extents of the roots being read (24 bytes each), of the deltas (32 bytes each) and of the
    ledger. What is uploaded meanwhile may or may not be counted.

    Args:
        store: The store.
        by: The innermost groups that are told apart.
        below: Count only the artifact roots at or below this path of the store; what others outside share with them
            is then not known, and `exclusive` means only: among these.

    Raises:
        Damaged, ObjectMissing: A commit or a pack that is needed is damaged or gone.
        VersionedStoreError: The store could not be read.
    """
    spaces = _Spaces()
    leanings = _Leanings(store.reader.directories, spaces)
    ledger = Ledger(leanings.bases)
    depth = LEVELS.index(by) + 1
    roots = sorted(store.roots_below(below), key=lambda root: (experiment(root), root))
    with ThreadPoolExecutor(ROOTS_AT_ONCE, thread_name_prefix="mvs-usage") as pool:
        read = in_order(lambda root: pool.submit(_Holdings, store, spaces, root), roots)
        for root, holdings in zip(roots, read, strict=True):
            leanings.learn(holdings.leaning)
            for holding in holdings.by_path():
                ledger.add(
                    (experiment(root), root, holding.path)[:depth],
                    logged=holding.size,
                    runs=holding.runs(),
                    elsewhere=holding.elsewhere,
                )
    return ledger.settle()


def usage_at(store: Store, path: str) -> Group:
    """Return what the file, artifact root or experiment takes that a path of the store is, or else is in; "" is all.

    Costs what `measure` costs, for what is exclusive depends on all of the store.
    """
    place = store.place(path)
    group = measure(store, by="path" if place.path else "run")
    if not path:
        return group
    names = [path] if path in group.groups else [experiment(place.root), place.root, place.path]
    for name in names:
        if name not in group.groups:
            break
        group = group.groups[name]
    return group


class _Spaces:
    """Numbers for what bytes may lie in; safe from many threads."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._next = itertools.count()

    def number(self, space: Hashable) -> int:
        # One call decides whose number counts; a number that lost is never used.
        return self._numbers.setdefault(space, next(self._next))


class _Holding(NamedTuple):
    """A version: its runs as (space, start, stop) in a row."""

    path: str
    size: int
    elsewhere: int
    extents: array[int]

    def runs(self) -> Iterator[Run]:
        return (Run(*self.extents[at : at + 3]) for at in range(0, len(self.extents), 3))


class _Holdings:
    """The versions of an artifact root that can be read, and the packs whose frames may be deltas."""

    def __init__(self, store: Store, spaces: _Spaces, root: str):
        self.leaning: set[PackName] = set()
        self._root = root
        self._spaces = spaces
        self._holdings = [self._holding(*located) for located in _located(open_log(store, root))]

    def by_path(self) -> list[_Holding]:
        """Return the versions, those of a path together."""
        return sorted(self._holdings, key=lambda holding: holding.path)

    def _holding(self, version: Version, location: Location, content: Content, place: Place) -> _Holding:
        extents = array("q")
        match location:
            case Packed():
                inline = self._spaces.number((self._root, place.commit, place.change))
                for extent in location.extents:
                    space = inline if extent.pack == INLINE else self._spaces.number(content.packs[extent.pack])
                    extents.extend((space, extent.offset, extent.offset + extent.stored))
                if content.bases:
                    self.leaning.update(content.packs, content.leans)
            case Native(key, s3_version_id):
                extents.extend((self._spaces.number((key, s3_version_id)), 0, version.size))
            case Reference():
                return _Holding(version.path, version.size, version.size, extents)
        return _Holding(version.path, version.size, 0, extents)


class _Leanings:
    """The deltas of packs, and the frames that they lean on."""

    def __init__(self, directories: Directories, spaces: _Spaces):
        self._directories = directories
        self._spaces = spaces
        # Of each delta of a pack its offset; and in other columns of its base the space, the start and the stop.
        self._columns: dict[int, tuple[array[int], array[int], array[int], array[int]]] = {}

    def learn(self, packs: Iterable[PackName]) -> None:
        """Read the directories of packs not read before. One request each, in parallel."""
        missing = sorted(pack for pack in packs if self._spaces.number(pack) not in self._columns)
        for at in range(0, len(missing), _PACKS_AT_ONCE):
            for pack, directory in self._directories.load(missing[at : at + _PACKS_AT_ONCE]).items():
                # What is borrowed is none of the store's own bytes.
                deltas = sorted(at for at, base in directory.bases.items() if isinstance(base.pack, PackName))
                bases = [directory.bases[delta] for delta in deltas]
                self._columns[self._spaces.number(pack)] = (
                    array("q", (directory.offsets[delta] for delta in deltas)),
                    array("q", (self._spaces.number(base.pack) for base in bases)),
                    array("q", (base.offset for base in bases)),
                    array("q", (base.offset + base.size for base in bases)),
                )

    def bases(self, run: Run) -> Iterator[Run]:
        """Yield the frames that the deltas of a run lean on directly."""
        if (columns := self._columns.get(run.space)) is None:
            return
        offsets, spaces, starts, stops = columns
        for at in range(bisect_left(offsets, run.start), bisect_left(offsets, run.stop)):
            yield Run(spaces[at], starts[at], stops[at])


def _located(log: Log) -> Iterator[tuple[Version, Location, Content, Place]]:
    """Yield the readable files of a log in the order of the commits that say where they are."""
    readable = [version for version in log.state().all_versions() if version.readable and version.kind == "file"]
    readable.sort(key=lambda version: version.place)
    by_commit = [list(versions) for _, versions in itertools.groupby(readable, lambda version: version.place.commit)]
    # The log keeps what it read last, so that it is there when it is asked where the versions are.
    numbers = [versions[0].place.commit for versions in by_commit]
    read = in_order(lambda number: looking_up.submit(log.commit, number), numbers, at_once=_COMMITS_AHEAD)
    for versions, _ in zip(by_commit, read, strict=True):
        contents: dict[int, Content] = {}
        for version, at, content, place in log.locate(versions):
            try:
                if place.change not in contents:
                    contents[place.change] = decode_content(content)
                location = decode_location(at, version.size)
                _check_packs(location, contents[place.change])
            except Damaged as error:
                name = f"{log.root}/{format_address(version.path, version.number)}".lstrip("/")
                raise Damaged(f"{name}: {error}") from error
            yield version, location, contents[place.change], place


def _check_packs(location: Location, content: Content) -> None:
    if isinstance(location, Packed) and any(extent.pack >= len(content.packs) for extent in location.extents):
        raise Damaged("An extent lies in a pack that its commit does not name.")
