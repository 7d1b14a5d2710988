"""Encoding new chunks: which become deltas, against what, and at what cost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import codecs, encoding
from mlflow_versioned_store.content.digests import tail_fingerprint
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.encoding import Job
from mlflow_versioned_store.content.fetch import Fetched
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packing import Encoded, PackWriter
from mlflow_versioned_store.content.segments import Chunk, Scanned
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.testing.faults import FaultyBackend
from tests.content.making import BLAKE3, KIB, domain_of, edited, noise, rows, text

LINES = rows(9, 1300)


def job_of(data: bytes, predecessor: Placed | None = None) -> Job:
    """Return the job to encode a chunk."""
    chunk = Chunk(Scanned(), data, BLAKE3(data), tail_fingerprint(data))
    return Job(chunk, Placed(chunk.digest, chunk.tail, len(data)), predecessor)


def fetched(domain: Domain, jobs: Sequence[Job]) -> Fetched | None:
    """Return what the deltas among jobs lean on."""
    bases = encoding.fetch_bases(domain, jobs)
    return bases.fetched() if bases else None


def stored(domain: Domain, *jobs: Job) -> list[Encoded]:
    """Encode and store jobs, and return how they were encoded."""
    damage: list[Damaged] = []
    encoded = list(encoding.encode(domain, jobs, fetched(domain, jobs), damage.append))
    writer = PackWriter(domain)
    for job, one in zip(jobs, encoded, strict=True):
        writer.append(job.placed, one)
    writer.finish()
    assert damage == []
    return encoded


@pytest.fixture
def domain() -> Domain:
    """An empty domain."""
    return domain_of(open_memory("encoding"))


def test_an_edited_chunk_is_a_delta_of_what_sat_there(domain: Domain) -> None:
    """It leans on its predecessor, has the next number, and names the digest of its base."""
    first = job_of(text(LINES))
    stored(domain, first)
    second = job_of(text(edited(LINES, 1)), first.placed)
    (encoded,) = stored(domain, second)
    assert encoded.codec == codecs.DELTA
    assert encoded.base == first.placed.digest
    assert (second.placed.chain, second.placed.ancestors) == (1, (first.placed.place(),))
    assert second.placed.size < first.placed.size / 10


def test_changes_upon_changes_follow_the_skip_chain(domain: Domain) -> None:
    """The nth change leans on the ancestor numbered n & (n − 1), and on all that one leans on."""
    lines = LINES
    placed = [job_of(text(lines))]
    stored(domain, placed[0])
    for number in range(1, 20):
        lines = edited(lines, number, 0.002)
        placed.append(job_of(text(lines), placed[-1].placed))
        stored(domain, placed[-1])
    for number, job in enumerate(placed):
        expected = []
        at = number
        while at:
            at &= at - 1
            expected.append(placed[at].placed.place())
        assert (job.placed.chain, list(job.placed.ancestors)) == (number, expected)


def test_a_delta_that_saves_little_is_not_written(domain: Domain) -> None:
    """A chunk that has nothing in common with what sat there is stored plainly."""
    first = job_of(text(LINES))
    stored(domain, first)
    for data in (text(rows(55, 1300)), noise("random", 64 * KIB)):
        other = job_of(data, first.placed)
        (encoded,) = stored(domain, other)
        assert encoded.codec != codecs.DELTA
        assert (other.placed.chain, other.placed.ancestors) == (0, ())


def test_a_poor_delta_begins_a_chain(domain: Domain) -> None:
    """Where a third is new, the chunk leans on the old one, but later changes are numbered from it."""
    first = job_of(text(LINES))
    stored(domain, first)
    second = job_of(text(LINES[:850]) + text(rows(77, 450)), first.placed)
    (encoded,) = stored(domain, second)
    assert encoded.codec == codecs.DELTA
    assert (second.placed.chain, second.placed.ancestors) == (0, (first.placed.place(),))
    third = job_of(bytes(second.chunk.data) + b"!", second.placed)
    stored(domain, third)
    assert (third.placed.chain, third.placed.ancestors) == (1, (second.placed.place(), first.placed.place()))


def test_bases_are_fetched_in_one_plan() -> None:
    """Neighbouring bases of many chunks come in one request."""
    faulty = FaultyBackend(open_memory("encoding"))
    domain = domain_of(faulty)
    first = [job_of(text(rows(seed, 1300))) for seed in range(12)]
    stored(domain, *first)
    faulty.calls.clear()
    second = [job_of(text(edited(rows(seed, 1300), 1)), job.placed) for seed, job in enumerate(first)]
    encoded = stored(domain, *second)
    assert {one.codec for one in encoded} == {codecs.DELTA}
    assert [call.verb for call in faulty.calls] == ["get", "put"]


def test_no_base_is_fetched_for_nothing() -> None:
    """Chunks without a predecessor make no request."""
    faulty = FaultyBackend(open_memory("encoding"))
    domain = domain_of(faulty)
    assert encoding.fetch_bases(domain, []) is None
    assert encoding.fetch_bases(domain, [job_of(b"new")]) is None
    assert faulty.calls == []


def test_more_is_never_read_than_would_be_stored() -> None:
    """A short chunk in the place of a long one is not worth the reading."""
    faulty = FaultyBackend(open_memory("encoding"))
    domain = domain_of(faulty)
    first = job_of(noise("long", 200 * KIB))
    stored(domain, first)
    faulty.calls.clear()
    short = job_of(noise("long", 20 * KIB), first.placed)
    assert encoding.fetch_bases(domain, [short]) is None
    assert short.chain == ()
    assert faulty.calls == []


def test_a_damaged_base_is_told_and_does_without(domain: Domain) -> None:
    """Its chunk is stored plainly, the others as deltas, all in order."""
    first = [job_of(text(rows(seed, 1300))) for seed in range(3)]
    stored(domain, *first)
    key = first[0].placed.place().pack.key
    data = bytearray(domain.backend.get(key).data)
    data[first[1].placed.offset + 1000] ^= 1
    domain.backend.put(key, bytes(data))
    second = [job_of(text(edited(rows(seed, 1300), 1)), job.placed) for seed, job in enumerate(first)]
    damage: list[Damaged] = []
    encoded = list(encoding.encode(domain, second, fetched(domain, second), damage.append))
    assert [one.codec == codecs.DELTA for one in encoded] == [True, False, True]
    assert [error.key for error in damage] == [key]
    assert second[1].placed.ancestors == ()
