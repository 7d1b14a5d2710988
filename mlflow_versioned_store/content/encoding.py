"""Encoding the new chunks of a segment, in parallel: plainly, or as deltas whose bases are fetched ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import groupby

import msgspec

from mlflow_versioned_store.content import codecs, deltas, fetch
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.fetch import Fetched, Span
from mlflow_versioned_store.content.frames import HEADER_BYTES
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import deadline
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packing import Encoded
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.content.segments import Chunk
from mlflow_versioned_store.content.workers import computing
from mlflow_versioned_store.errors import Damaged, VersionedStoreError

_BATCH_BYTES = 1 << 20
# A delta is kept where it saves at least half of what plain zstd needs.
_WORTH = 0.5
# One that saves less than three quarters begins a chain of its own: later changes are encoded against it, not against
# its ancestors, where the same difference would be stored again and again.
_GOOD = 0.25


class Job(msgspec.Struct, eq=False, gc=False):
    """A new chunk to encode: where it will be noted, and the stored chunk that sat there before.

    Args:
        chunk: The chunk.
        placed: Where its frame will be noted.
        predecessor: The stored chunk that sat there before.
        number: The number of its frame in the skip chain of that one.
        chain: The frames it leans on then.
    """

    chunk: Chunk
    placed: Placed
    predecessor: Placed | None
    number: int = 0
    chain: tuple[FramePlace, ...] = ()


@dataclass(frozen=True, slots=True)
class Bases:
    """What deltas lean on, on its way."""

    reads: dict[Span, Future[memoryview]]
    by_place: dict[FramePlace, Span]

    def fetched(self) -> Fetched:
        """Wait until all of it is there.

        Raises:
            VersionedStoreError: The bases cannot be had, or not in time; then store plainly.
        """
        size = sum(span.stop - span.start for span in self.reads)
        _, late = wait(self.reads.values(), timeout=deadline(size))
        if late:
            raise VersionedStoreError(f"reading {size} bytes of earlier versions took too long")
        return Fetched({span: read.result() for span, read in self.reads.items()}, self.by_place)


def fetch_bases(domain: Domain, jobs: Sequence[Job]) -> Bases | None:
    """Start to fetch in one plan what the deltas among `jobs` lean on; nothing where that is more than `jobs` hold.

    What is borrowed is not compressed, so as long as what it is the base of: it counts half.
    """
    changed = [(job, job.predecessor) for job in jobs if job.predecessor is not None]
    for _, of_file in groupby(changed, key=lambda pair: id(pair[0].chunk.source)):
        _link(list(of_file))
    wanted = [job for job in jobs if job.chain]
    by_place = fetch.spans(place for job in wanted for place in job.chain)
    to_read = sum(span.stop - span.start for span in set(by_place.values()))
    borrowed = sum(job.chain[-1].size for job in wanted if isinstance(job.chain[-1].pack, Lender))
    if not wanted or to_read > borrowed + sum(HEADER_BYTES + job.placed.raw for job in wanted):
        for job in wanted:
            job.chain = ()
        return None
    return Bases(fetch.start(domain.backend, by_place.values()), by_place)


def _link(changed: Sequence[tuple[Job, Placed]]) -> None:
    links = deltas.links([predecessor for _, predecessor in changed])
    for (job, _), link in zip(changed, links, strict=True):
        if link is not None:
            job.number, job.chain = link.number, link.chain


def encode(
    domain: Domain, jobs: Sequence[Job], bases: Fetched | None, on_damage: Callable[[Damaged], None]
) -> Iterator[Encoded]:
    """Yield the encoded chunks of `jobs` in order, computed in parallel about a mebibyte at a time.

    A base that turns out to be damaged is told to `on_damage`, and its chunk is stored plainly.
    """
    futures = deque(computing.submit(_encode_batch, domain, batch, bases, on_damage) for batch in _batches(jobs))
    while futures:
        yield from futures.popleft().result()


def _batches(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    batch: list[Job] = []
    size = 0
    for job in jobs:
        batch.append(job)
        size += job.placed.raw
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode_batch(
    domain: Domain, jobs: Sequence[Job], bases: Fetched | None, on_damage: Callable[[Damaged], None]
) -> list[Encoded]:
    compressor = codecs.Compressor()
    return [_encode(domain, job, bases, on_damage, compressor) for job in jobs]


def _encode(
    domain: Domain,
    job: Job,
    bases: Fetched | None,
    on_damage: Callable[[Damaged], None],
    compressor: codecs.Compressor,
) -> Encoded:
    data = job.chunk.data
    if bases is None or not job.chain:
        return Encoded(*compressor.compress(data))
    try:
        header, base = fetch.decode_chain(bases, job.chain, domain.digest)
    except Damaged as damage:
        on_damage(damage)
        return Encoded(*compressor.compress(data))
    delta = codecs.compress_delta(data, base)
    number = job.number
    # What the ancestor needed plainly is a good guess at what this one would; only doubt costs a second encoding.
    if len(delta) > _GOOD / 2 * (job.chain[-1].size - HEADER_BYTES):
        plain = compressor.compress(data)
        if len(delta) > _WORTH * len(plain[1]):
            return Encoded(*plain)
        if len(delta) > _GOOD * len(plain[1]):
            number = 0
    job.placed.chain, job.placed.ancestors = number, job.chain
    return Encoded(codecs.DELTA, delta, header.digest)
