"""Deciding for each chunk of a segment: lean on a stored one, or store it, and against which predecessor."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mlflow_versioned_store.content.encoding import Job
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import Known, Spot
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.scan import Chunk, Segment

# A run of old chunks shorter than this, alone between new ones, would cost every reader a request of its own.
_RUN_BYTES_MIN = 256 << 10


class Decision(msgspec.Struct, eq=False, gc=False):
    """What becomes of one chunk: `placed` is where it is or will be; `job` is set where it must be stored."""

    chunk: Chunk
    placed: Placed
    job: Job | None = None


def plan(segment: Segment, known: Known, *, delta: bool) -> list[Decision]:
    """Return one decision a chunk, in order; chunks to be stored become known at once."""
    found = _matches(segment, known)
    _drop_scattered(segment, found)
    decisions = []
    before: Spot | None = None
    chunks = segment.chunks
    for at, chunk in enumerate(chunks):
        match = found[at] or known.own_chunk(chunk.digest)
        if match is None:
            after = chunks[at + 1] if at + 1 < len(chunks) else None
            spot = known.predecessor(chunk, before, after) if delta else None
            placed = Placed(chunk.digest, chunk.tail, len(chunk.data))
            known.own(placed)
            decisions.append(Decision(chunk, placed, Job(chunk, placed, spot.row if spot else None)))
            before = spot
        elif isinstance(match, Spot):
            decisions.append(Decision(chunk, match.row))
            before = match
        else:
            decisions.append(Decision(chunk, match))
            before = None
    return decisions


def leaned_on(decisions: Sequence[Decision]) -> set[PackName]:
    """Return the packs of earlier uploads that these decisions need, also as bases."""
    packs: set[PackName] = set()
    for decision in decisions:
        job = decision.job
        row = decision.placed if job is None else job.predecessor
        if row is not None and row.pack is not None and row.pack.name is not None:
            packs.add(row.pack.name)
            packs.update(place.pack for place in row.ancestors)
    return packs


def _matches(segment: Segment, known: Known) -> list[Spot | None]:
    return [known.find(chunk.digest) for chunk in segment.chunks]


def _drop_scattered(segment: Segment, found: list[Spot | None]) -> None:
    """Forget matches in short runs that lie between new chunks within the segment."""
    start = 0
    while start < len(found):
        stop = start + 1
        if found[start] is not None:
            size = len(segment.chunks[start].data)
            while stop < len(found) and found[stop] is not None:
                size += len(segment.chunks[stop].data)
                stop += 1
            if start > 0 and stop < len(found) and size < _RUN_BYTES_MIN:
                found[start:stop] = [None] * (stop - start)
        start = stop
