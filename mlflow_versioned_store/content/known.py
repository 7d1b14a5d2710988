"""What an upload can know of chunks that are stored already, cheapest first.

The indexes of the current versions of the same paths; what this process wrote or read; then hooks. All of it is only a
help: whatever is forbidden, slow or damaged is passed over with one warning, and the bytes are stored plainly.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple, TypeVar

from mlflow_versioned_store.content import hooks, indexes
from mlflow_versioned_store.content.clock import HELP_SECONDS
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.foreseen import Cursor, next_place
from mlflow_versioned_store.content.indexes import FileRows, Index, Placed
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.packs import Holder
from mlflow_versioned_store.content.segments import Chunk, Segment, Stretch
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import NotFound, VersionedStoreError

T = TypeVar("T")

_ENOUGH = 0.5
_RECENT_TRIED = 2
_AGREED_TRIED = 2
_INDEXES_MAX = 8
_log = logging.getLogger("mlflow_versioned_store")


class Spot(NamedTuple):
    """A row of an index."""

    rows: Sequence[Placed]
    at: int

    @property
    def row(self) -> Placed:
        """The chunk there."""
        return self.rows[self.at]


class Known:
    """The chunks that one upload knows of.

    Args:
        domain: Where it uploads to.
        hints: Indexes of the current versions of what it uploads; they are fetched at once.
        anew: Look for nothing, so that only chunks are known that it stores itself.
    """

    def __init__(self, domain: Domain, hints: Iterable[IndexName] = (), *, anew: bool = False):
        self._domain = domain
        self._own: dict[bytes, Placed] = {}
        self._indexes: dict[IndexName, Index] = {}
        self._refused: set[Holder] = set()
        self._hints = self._fetch(hints) if domain.dedup else {}
        self._recent_tried = False
        self._segments = 0
        self._useful: dict[IndexName, int] = {}
        self._anew = anew
        self._helping = domain.dedup
        self.samples: list[int] = []
        self.used: dict[IndexName, None] = {}

    def learn(self, segment: Segment) -> None:
        """Look for indexes that know the chunks of `segment`, until enough of them are known."""
        if not self._helping:
            return
        if self._anew:
            # Later uploads shall find what is stored now before what may be damaged.
            self.samples.extend(hooks.sample(segment))
            return
        try:
            self.take_hints()
            if not self._enough(segment):
                self._try_recent()
            if not self._enough(segment):
                self._try_hooks(segment)
        except VersionedStoreError as error:
            self._stop_looking(error)

    def take_hints(self) -> None:
        """Wait for the indexes that were hinted at, so that reading can follow them from the first byte on."""
        hints, self._hints = self._hints, {}
        try:
            self._take(hints)
        except VersionedStoreError as error:
            self._stop_looking(error)

    def own(self, placed: Placed) -> None:
        """Note a chunk that this upload stores itself."""
        if self._domain.dedup:
            self._own[placed.digest] = placed

    def own_chunk(self, digest: bytes) -> Placed | None:
        """Return the chunk with this digest that this upload stores itself."""
        return self._own.get(digest)

    def disown(self, chunks: Iterable[Placed]) -> None:
        """Take back `own` for chunks that are planned anew."""
        for placed in chunks:
            self._own.pop(placed.digest, None)

    def forget_own(self) -> None:
        """Forget what this upload stored; it is published and can be found again like anything else."""
        self._own.clear()

    def find(self, digest: bytes) -> Spot | None:
        """Return the chunk with this digest that an earlier upload stored."""
        for name, index in self._indexes.items():
            at = index.by_digest(digest)
            if at is not None and self.is_usable(index.rows[at]):
                self.used[name] = None
                return Spot(index.rows, at)
        return None

    def may_lean_on(self, stretch: Stretch) -> bool:
        """Tell whether all chunks of a stretch may be leaned on as they are, which is noted as `find` does."""
        if self._refused:
            return False
        for name, index in self._indexes.items():
            if index is stretch.index:
                self.used[name] = None
                return True
        return False

    def place_after(self, digest: bytes, tail: int) -> Cursor | None:
        """Return the place behind the stored chunk with this digest or, if there is but one, with this tail."""
        for index in tuple(self._indexes.values()):
            at = index.by_digest(digest)
            if at is None:
                at = index.by_tail(tail)
            if at is not None and (place := next_place(index, at)):
                return place
        return None

    def files_from(self, digest: bytes) -> list[tuple[FileRows, Sequence[Placed]]]:
        """Return the large files that start with the chunk with this digest, and their rows."""
        return [
            (file, index.rows[file.first : file.first + file.length])
            for index in tuple(self._indexes.values())
            for file in index.by_start(digest)
        ]

    def ending_alike(self, tail: int) -> Spot | None:
        """Return the only stored chunk that ends with the same 64 bytes, of the best index that has one."""
        for index in self._indexes.values():
            if index.has_tail(tail):
                # The other indexes know older states: a place there would lead away from the newest one.
                at = index.by_tail(tail)
                return Spot(index.rows, at) if at is not None and self.is_usable(index.rows[at]) else None
        return None

    def ending_alike_near(self, tail: int, before: Spot, distance: int) -> Spot | None:
        """Return a stored chunk that ends with the same 64 bytes about `distance` bytes behind `before`."""
        for index in self._indexes.values():
            if index.rows is before.rows:
                at = index.by_tail_near(tail, before.at, distance)
                return Spot(index.rows, at) if at is not None and self.is_usable(index.rows[at]) else None
        return None

    def is_usable(self, row: Placed) -> bool:
        """Tell whether a stored chunk may be leaned on: nothing it needs was refused, and help was not given up."""
        if not self._refused or not self._indexes:
            return bool(self._indexes)
        packs = {row.pack.sealed() if row.pack else None, *(place.pack for place in row.ancestors)}
        return self._refused.isdisjoint(packs)

    def refuse(self, holders: Iterable[Holder]) -> None:
        """Never lean on these packs and lenders again."""
        self._refused.update(holders)

    def give_up(self, reason: object) -> None:
        """Forget what was found and store plainly from here on; warns once."""
        self._stop_looking(reason)
        self._indexes = {}

    def _stop_looking(self, reason: object) -> None:
        if self._helping:
            _log.warning("Bytes are stored plainly where they could have been shared: %s", reason)
        self._helping = False

    def _enough(self, segment: Segment) -> bool:
        """Tell whether at least half of the chunks are known; and note which indexes know some."""
        self._segments += 1
        unknown = [item for item in segment.items if isinstance(item, Chunk) and item.digest not in self._own]
        followed = {id(item.index) for item in segment.items if isinstance(item, Stretch)}
        for name, index in self._indexes.items():
            left = [chunk for chunk in unknown if not index.has(chunk.digest, chunk.tail)]
            if len(left) < len(unknown) or id(index) in followed:
                self._useful[name] = self._segments
            unknown = left
        return len(unknown) <= (1 - _ENOUGH) * segment.count

    def _try_recent(self) -> None:
        if self._recent_tried:
            return
        self._recent_tried = True
        unknown: list[IndexName] = []
        tried = 0
        for name, index in self._domain.recent.newest():
            if name.domain != self._domain.name or name in self._indexes:
                continue
            if index is not None:
                self._indexes[name] = index
            else:
                unknown.append(name)
            tried += 1
            if tried == _RECENT_TRIED:
                break
        self._take(self._fetch(unknown))

    def _try_hooks(self, segment: Segment) -> None:
        sampled = hooks.sample(segment)
        self.samples.extend(sampled)
        found = self._results(hooks.look_up(self._domain, sampled))
        names = [name for name in hooks.agreed(found) if name not in self._indexes]
        self._take(self._fetch(names[:_AGREED_TRIED]))

    def _fetch(self, names: Iterable[IndexName]) -> dict[IndexName, Future[Index]]:
        return {
            name: looking_up.submit(_load, self._domain, name) for name in names if name.domain == self._domain.name
        }

    def _take(self, fetched: dict[IndexName, Future[Index]]) -> None:
        results = self._results(fetched.values())
        self._indexes.update((name, index) for name, index in zip(fetched, results, strict=True) if index is not None)
        while len(self._indexes) > _INDEXES_MAX:
            # The one that was of no use for longest; of several such the newest: the first ones are the best guess.
            idle = min(reversed(self._indexes), key=lambda name: self._useful.get(name, 0))
            del self._indexes[idle]

    def _results(self, futures: Iterable[Future[T]]) -> list[T | None]:
        asked = list(futures)
        _, late = wait(asked, timeout=HELP_SECONDS)
        if late:
            raise VersionedStoreError(f"looking for known content took longer than {HELP_SECONDS:g} s")
        return [_unless_gone(future) for future in asked]


def deadline(transferred: int) -> float:
    """Return how many seconds help that moves `transferred` bytes may take."""
    return HELP_SECONDS + transferred / (2 << 20)


def _unless_gone(future: Future[T]) -> T | None:
    try:
        return future.result()
    except NotFound:  # collected since the commit that names it
        return None


def _load(domain: Domain, name: IndexName) -> Index:
    data = domain.backend.get(name.key, stop=indexes.INDEX_BYTES_MAX).data
    if domain.digest(data).hex() != name.digest:
        raise VersionedStoreError(f"the index {name.digest} is damaged")
    return indexes.decode(data)
