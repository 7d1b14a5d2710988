"""Which stored chunk a new one is compared with, and which old ones are leaned on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.digests import tail_fingerprint
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.planning import Decision, align, leaned_on, plan
from mlflow_versioned_store.content.scan import Scanner
from mlflow_versioned_store.content.segments import Chunk, Scanned, Segment
from tests.content.making import BLAKE3, MIB, content_of, domain_of, indexes_of, noise, store

DATA = noise("planning", 6 * MIB)


def segment_of(data: bytes) -> Segment:
    """Return the chunks of a file."""
    scanner = Scanner([data], Chunking(), BLAKE3)
    return Segment([item for segment in scanner.segments() for item in segment.items], len(data))


def known_with(data: bytes, *, dedup: bool = True) -> Known:
    """Return what is known after a file was stored."""
    backend = open_memory("planning")
    names = indexes_of(store(domain_of(backend), data))
    known = Known(domain_of(backend, dedup=dedup), names)
    known.learn(segment_of(data))
    return known


def decisions_on(data: bytes, known: Known, *, delta: bool = True) -> list[Decision]:
    """Return what is decided on a file; its bytes are all there, in order."""
    decided = plan(segment_of(data), known, BLAKE3, None, delta=delta, final=True).decisions
    decisions = [decision for decision in decided if isinstance(decision, Decision)]
    assert b"".join(decision.chunk.data for decision in decisions) == data
    for decision in decisions:
        assert decision.placed.digest == BLAKE3(decision.chunk.data)
        assert decision.placed.raw == len(decision.chunk.data)
    return decisions


def new(decisions: list[Decision]) -> list[Decision]:
    """Return those that must be stored."""
    return [decision for decision in decisions if decision.job is not None]


def test_a_known_file_needs_nothing() -> None:
    """Every chunk is leaned on where it is."""
    known = known_with(DATA)
    decisions = decisions_on(DATA, known)
    assert new(decisions) == []
    assert len(leaned_on(decisions, known)) == 1


def test_an_unknown_file_is_stored_once() -> None:
    """All is new but what repeats within the file, and nothing old is leaned on."""
    known = known_with(noise("other", MIB))
    data = noise("fresh", 2 * MIB)
    decisions = decisions_on(data + data, known)
    assert 0 < sum(len(decision.chunk.data) for decision in new(decisions)) < 2.6 * MIB
    assert leaned_on(decisions, known) == set()


def test_a_changed_chunk_has_the_old_one_as_its_predecessor() -> None:
    """One changed byte makes one or two new chunks, each compared with the one that sat there."""
    changed = bytearray(DATA)
    changed[3 * MIB] ^= 1
    known = known_with(DATA)
    found = new(decisions_on(bytes(changed), known))
    assert 1 <= len(found) <= 2
    old = {chunk.digest: at for at, chunk in enumerate(segment_of(DATA).chunks)}
    for decision in found:
        assert decision.job is not None
        assert decision.job.predecessor is not None
        assert decision.job.predecessor.digest in old


def test_changes_that_move_cuts_are_cut_like_the_old_chunks() -> None:
    """Where a change removes or moves a cut, what is stored still has the old chunks' lengths but for the change."""
    chunks = segment_of(DATA).chunks
    start = sum(len(chunk.data) for chunk in chunks[:10])
    changed = bytearray(DATA)
    for at in range(start - 64, start):  # the bytes that made the cut
        changed[at] ^= 0xFF
    found = new(decisions_on(bytes(changed), known_with(DATA)))
    assert found
    assert all(decision.job is not None and decision.job.predecessor is not None for decision in found)
    assert sum(len(decision.chunk.data) for decision in found) <= 600_000


def test_without_deltas_there_is_no_predecessor() -> None:
    """Chunks stay as they were cut, and stand alone."""
    changed = bytearray(DATA)
    changed[3 * MIB] ^= 1
    found = new(decisions_on(bytes(changed), known_with(DATA), delta=False))
    assert found
    assert all(decision.job is not None and decision.job.predecessor is None for decision in found)


@given(
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    old=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    files=st.booleans(),
)
@settings(deadline=None)
def test_aligned_pieces_are_the_same_bytes(lengths: list[int], old: list[int], files: bool) -> None:
    """However old chunks were cut, no byte is lost, moved or taken into another file, and names are right."""
    source = Scanned()
    chunks = []
    for at, length in enumerate(lengths):
        data = noise(at, length)
        owner = Scanned() if files and at % 2 else source
        chunks.append(Chunk(owner, data, BLAKE3(data), tail_fingerprint(data)))
    pieces = align(chunks, [Placed(bytes(32), 0, length) for length in old], BLAKE3)
    assert b"".join(piece.data for piece in pieces) == b"".join(chunk.data for chunk in chunks)
    assert all(len(piece.data) > 0 for piece in pieces)
    for piece in pieces:
        assert (piece.digest, piece.tail) == (BLAKE3(piece.data), tail_fingerprint(piece.data))
    owners = {id(chunk.source) for chunk in chunks}
    assert {id(piece.source) for piece in pieces} == owners
    if len(owners) > 1:
        assert pieces == chunks


def test_what_is_refused_is_planned_anew_without_it() -> None:
    """A refused pack is neither leaned on nor compared with."""
    known = known_with(DATA)
    decisions = decisions_on(DATA, known)
    packs = leaned_on(decisions, known)
    known.refuse(packs)
    again = decisions_on(DATA, known)
    assert len(new(again)) == len(again)
    assert leaned_on(again, known) == set()
    assert all(decision.job is not None and decision.job.predecessor is None for decision in again)


def test_files_of_one_upload_keep_their_chunks() -> None:
    """Files that change together are never cut across each other."""
    backend = open_memory("planning")
    files = [noise(at, 300_000) for at in range(8)]
    first = store(domain_of(backend), *files)
    changed = [data[:100_000] + b"!" + data[100_001:] for data in files]
    second = store(domain_of(backend), *changed, hints=indexes_of(first))
    assert content_of(second).leans
    assert second.bytes_sent < 8 * 3000
