"""Deciding for each chunk of a segment: lean on a stored one, or store it, and against which predecessor.

Where chunks are new, the old ones that sat there are known by the cuts around them: a chunk that ends with the same 64
bytes as an old one, or a stored chunk that follows. New bytes between two such places are cut as the old ones were,
since a change may have moved or removed cuts; so each piece has its own predecessor, and the next version finds the
same pieces again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeAlias

import msgspec

from mlflow_versioned_store.content.digests import Digest, tail_fingerprint
from mlflow_versioned_store.content.encoding import Job
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import Known, Spot
from mlflow_versioned_store.content.packs import Holder
from mlflow_versioned_store.content.segments import Chunk, Item, Segment, Stretch

# A run of old chunks shorter than this, alone between new ones, would cost every reader a request of its own.
_RUN_BYTES_MIN = 256 << 10
_ALIGNED_MAX = 64
_PIECE_BYTES_MAX = 512 << 10


class Decision(msgspec.Struct, eq=False, gc=False):
    """What becomes of one chunk: `placed` is where it is or will be; `job` is set where it must be stored."""

    chunk: Chunk
    placed: Placed
    job: Job | None = None


Decided: TypeAlias = Decision | Stretch


class Plan(NamedTuple):
    """What becomes of a segment.

    Args:
        decisions: In order; a stretch is leaned on as it is.
        place: The place among the stored chunks where they end.
        carried: New chunks at the end that belong before the next segment: what follows tells where they sit.
    """

    decisions: list[Decided]
    place: Spot | None
    carried: list[Chunk]


def plan(
    segment: Segment, known: Known, digest: Digest, before: Spot | None, *, delta: bool, final: bool = False
) -> Plan:
    """Decide on the chunks of a segment, in order; those to be stored become known at once.

    Args:
        segment: The chunks. Changed ones may be cut anew.
        known: What is stored already.
        digest: The store's digest function, for chunks that are cut anew.
        before: The place among the stored chunks where the segment before ended.
        delta: Look for predecessors.
        final: No segment follows, so nothing is carried.
    """
    items = list(_usable_items(segment, known))
    found = [None if isinstance(item, Stretch) else known.find(item.digest) for item in items]
    _drop_scattered(items, found)
    planner = _Planner(known, digest, before, delta=delta)
    for item, match in zip(items, found, strict=True):
        if isinstance(item, Stretch):
            planner.lean_on(item)
        else:
            planner.add(item, match)
    return planner.finish(final=final)


def jobs_of(decisions: Sequence[Decided]) -> list[Job]:
    """Return what these decisions store, in order."""
    return [decision.job for decision in decisions if isinstance(decision, Decision) and decision.job is not None]


def leaned_bytes(decisions: Sequence[Decided]) -> int:
    """Return how many bytes these decisions do not store, since they are stored already or will be."""
    return sum(
        len(decision.data) if isinstance(decision, Stretch) else decision.placed.raw
        for decision in decisions
        if isinstance(decision, Stretch) or decision.job is None
    )


def leaned_on(decisions: Sequence[Decided], known: Known) -> set[Holder]:
    """Return what was there before that these decisions need, also as bases; not the packs that this upload writes."""
    packs: set[Holder] = set()
    for decision in decisions:
        if isinstance(decision, Stretch):
            # They share few packs, so each is asked for its name but once.
            packs.update(pack.sealed() for pack in {row.pack for row in decision.rows} if pack is not None)
            packs.update({place.pack for row in decision.rows for place in row.ancestors})
            continue
        job = decision.job
        row = decision.placed if job is None else job.predecessor
        if row is not None and row.pack is not None and known.own_chunk(row.digest) is not row:
            packs.add(row.pack.sealed())
            packs.update(place.pack for place in row.ancestors)
    return packs


def align(chunks: Sequence[Chunk], old: Sequence[Placed], digest: Digest) -> list[Chunk]:
    """Return the bytes of `chunks` cut as the `old` chunks were, or as they are where that makes no sense."""
    if len(chunks) == len(old) == 1:
        return list(chunks)
    sizes = [row.raw for row in old]
    total = sum(len(chunk.data) for chunk in chunks)
    if [len(chunk.data) for chunk in chunks] == sizes or any(chunk.source is not chunks[0].source for chunk in chunks):
        return list(chunks)
    cuts = [0, *(cut for cut in accumulate(sizes[:-1]) if cut < total), total]
    if any(end - start > _PIECE_BYTES_MAX for start, end in pairwise(cuts)):
        return list(chunks)
    data = memoryview(b"".join(chunk.data for chunk in chunks))
    pieces = [data[start:end] for start, end in pairwise(cuts)]
    return [Chunk(chunks[0].source, piece, digest(piece), tail_fingerprint(piece)) for piece in pieces]


class _Planner:
    """Gathers new chunks until their place among the old ones is known."""

    def __init__(self, known: Known, digest: Digest, before: Spot | None, *, delta: bool):
        self._known = known
        self._digest = digest
        self._delta = delta
        self._decisions: list[Decided] = []
        self._new: list[Chunk] = []
        self._before = before
        self._far: Spot | None = None

    def add(self, chunk: Chunk, match: Spot | None) -> None:
        """Take the next chunk and the stored one that it equals."""
        if match is not None:
            self._settle(Spot(match.rows, match.at - 1))
            self._decisions.append(Decision(chunk, match.row))
            self._before = match
            return
        if own := self._known.own_chunk(chunk.digest):
            self._settle(None)
            self._decisions.append(Decision(chunk, own))
            return
        self._new.append(chunk)
        if not self._delta:
            self._settle(None)
        elif ending := self._sync(chunk):
            self._settle(ending)

    def lean_on(self, stretch: Stretch) -> None:
        """Take the next chunks, which are stored ones."""
        rows = stretch.index.rows
        self._settle(Spot(rows, stretch.start - 1))
        self._decisions.append(stretch)
        self._before = Spot(rows, stretch.stop - 1)

    def _sync(self, chunk: Chunk) -> Spot | None:
        """Return the old chunk that ends where the last new one does, if that is certain enough."""
        if self._before is not None:
            distance = sum(len(new.data) for new in self._new)
            if near := self._known.ending_alike_near(chunk.tail, self._before, distance):
                return near
        # Far away, bytes may repeat by chance. Two old chunks in a row are no chance.
        far = self._known.ending_alike(chunk.tail)
        last, self._far = self._far, far
        follows = far is not None and last is not None and far.rows is last.rows and far.at == last.at + 1
        return far if follows or self._before is None else None

    def finish(self, *, final: bool) -> Plan:
        """Return all decisions, the place where they end, and what is left to decide with the next segment."""
        if not final and self._delta and self._before is not None and len(self._new) <= _ALIGNED_MAX:
            return Plan(self._decisions, self._before, self._new)
        if self._new:
            self._settle(None)
        return Plan(self._decisions, self._before, [])

    def _settle(self, end: Spot | None) -> None:
        """Decide on the new chunks; the last of them sits where the old one at `end` did, if there is one."""
        if self._new:
            for chunk, predecessor in self._with_predecessors(end):
                self._store(chunk, predecessor)
            self._new = []
        self._before = end

    def _with_predecessors(self, end: Spot | None) -> Iterator[tuple[Chunk, Placed | None]]:
        before, new = self._before, self._new
        if not self._delta:
            yield from ((chunk, None) for chunk in new)
        elif old := _between(before, end):
            pieces = align(new, old, self._digest)
            # Pieces that could not be aligned still end alike.
            shift = max(0, len(old) - len(pieces)) if pieces == new else 0
            for at, piece in enumerate(pieces):
                yield piece, old[min(at + shift, len(old) - 1)]
        else:
            for at, chunk in enumerate(new, 1):
                if end is not None and at == len(new):
                    yield chunk, end.row if end.at >= 0 else None
                elif before is not None and before.at + at < len(before.rows):
                    yield chunk, before.rows[before.at + at]
                else:
                    yield chunk, None

    def _store(self, chunk: Chunk, predecessor: Placed | None) -> None:
        if own := self._known.own_chunk(chunk.digest):
            self._decisions.append(Decision(chunk, own))
            return
        # Cut as the old ones were, it may be one of them: a delta against itself would be one more frame to read.
        same = predecessor is not None and predecessor.digest == chunk.digest
        if same and (match := self._known.find(chunk.digest)):
            self._decisions.append(Decision(chunk, match.row))
            return
        placed = Placed(chunk.digest, chunk.tail, len(chunk.data))
        self._known.own(placed)
        usable = predecessor if predecessor is not None and self._known.is_usable(predecessor) else None
        self._decisions.append(Decision(chunk, placed, Job(chunk, placed, usable)))


def _between(before: Spot | None, end: Spot | None) -> Sequence[Placed]:
    """Return the old chunks behind `before` up to `end`, where both are places of one index and near each other."""
    if before is None or end is None or before.rows is not end.rows or end.at - before.at > _ALIGNED_MAX:
        return ()
    return before.rows[before.at + 1 : end.at + 1]


def _usable_items(segment: Segment, known: Known) -> Iterator[Item]:
    """Yield the items of a segment; a stretch that is short, or not to be leaned on as it is, chunk by chunk."""
    for item in segment.items:
        if isinstance(item, Chunk) or (len(item.data) >= _RUN_BYTES_MIN and known.may_lean_on(item)):
            yield item
        else:
            yield from item.chunks()


def _drop_scattered(items: Sequence[Item], found: list[Spot | None]) -> None:
    """Forget matches in short runs that lie between new chunks within the segment."""
    is_known = [match is not None or isinstance(item, Stretch) for item, match in zip(items, found, strict=True)]
    start = 0
    while start < len(found):
        stop = start + 1
        if is_known[start]:
            size = len(items[start].data)
            while stop < len(found) and is_known[stop]:
                size += len(items[stop].data)
                stop += 1
            # A stretch alone is longer than that, so that none is in a short run.
            if start > 0 and stop < len(found) and size < _RUN_BYTES_MIN:
                found[start:stop] = [None] * (stop - start)
        start = stop
