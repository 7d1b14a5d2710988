"""Which requests are made for frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import fetch
from mlflow_versioned_store.content.fetch import GAP_BYTES, SPAN_BYTES_MAX, Fetched, Span, spans
from mlflow_versioned_store.content.packs import FramePlace, PackName
from mlflow_versioned_store.errors import Damaged, ObjectMissing
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import BLAKE3, edited, frame, noise, place, rows, text

PACKS = [PackName("all", f"{number:064x}", 64 << 20, 100) for number in range(3)]
PLACES = st.lists(
    st.builds(
        FramePlace,
        st.sampled_from(PACKS),
        st.integers(24, 1 << 20) | st.integers(24, 60 << 20),
        st.integers(54, 1 << 20),
    ),
    max_size=60,
)


@given(places=PLACES)
def test_every_frame_lies_in_its_span(places: list[FramePlace]) -> None:
    """Each span covers its frames, is at most 16 MiB long, and bridges no wide gap."""
    covered = spans(places)
    assert set(covered) == set(places)
    for frame_, span in covered.items():
        assert span.pack == frame_.pack
        assert span.start <= frame_.offset < frame_.offset + frame_.size <= span.stop
    for span in set(covered.values()):
        inside = sorted(frame_ for frame_, other in covered.items() if other == span)
        assert span.start == inside[0].offset
        assert span.stop == max(frame_.offset + frame_.size for frame_ in inside)
        assert span.stop - span.start <= SPAN_BYTES_MAX
        reached = inside[0].offset + inside[0].size
        for frame_ in inside[1:]:
            assert frame_.offset <= reached + GAP_BYTES
            reached = max(reached, frame_.offset + frame_.size)


def test_neighbours_share_a_request() -> None:
    """Frames in a row, and those with little between them, come in one."""
    near = [place(24, 100), place(124, 100), place(224 + GAP_BYTES, 100)]
    assert set(spans(near).values()) == {Span(near[0].pack, 24, 324 + GAP_BYTES)}
    far = [place(24, 100), place(125 + GAP_BYTES, 100)]
    assert len(set(spans(far).values())) == 2
    assert spans([]) == {}


def test_what_is_short_or_missing_is_asked_for_once_more() -> None:
    """Two requests, then an error that names the pack."""
    for fault, error in ((Fault.TRUNCATE, Damaged), (Fault.MISSING, ObjectMissing)):
        faulty = FaultyBackend(open_memory("fetch"))
        faulty.put(PACKS[0].key, bytes(1000))
        faulty.calls.clear()
        faulty.when(lambda call: call.verb == "get", fault)
        with pytest.raises(error) as caught:
            fetch.read_span(faulty, Span(PACKS[0], 10, 20))
        assert caught.value.key == PACKS[0].key
        assert len(faulty.calls) == 2


def test_a_pack_that_ends_before_the_span_is_damage() -> None:
    """A pack that lost its end gives an error of ours, wherever the span begins."""
    backend = open_memory("fetch")
    backend.put(PACKS[0].key, bytes(100))
    for start in (50, 100, 5000):
        with pytest.raises(Damaged):
            fetch.read_span(backend, Span(PACKS[0], start, start + 100))
    assert bytes(fetch.read_span(backend, Span(PACKS[0], 90, 100))) == bytes(10)


def chain_of(*frames: bytes) -> tuple[Fetched, list[FramePlace]]:
    """Return fetched frames and their places, the first of which leans on the next."""
    places, data = [], b""
    for one in frames:
        places.append(place(len(data), len(one)))
        data += one
    span = Span(places[0].pack, 0, len(data))
    return Fetched({span: memoryview(data)}, dict.fromkeys(places, span)), places


LINES = rows(1, 300)
VERSIONS = [text(LINES), text(edited(LINES, 1)), text(edited(LINES, 2))]


def test_a_chain_is_decoded_from_its_end() -> None:
    """Each frame is decoded with the one below it."""
    fetched, places = chain_of(frame(VERSIONS[2], VERSIONS[1]), frame(VERSIONS[1], VERSIONS[0]), frame(VERSIONS[0]))
    header, chunk = fetch.decode_chain(fetched, places, BLAKE3)
    assert bytes(chunk) == VERSIONS[2]
    assert header.digest == BLAKE3(VERSIONS[2])


def test_a_chain_of_frames_that_do_not_belong_together_is_damage() -> None:
    """A good frame at the place of a base does not do where it is another chunk, or where there is none."""
    above = frame(VERSIONS[2], VERSIONS[1])
    for frames in ((above, frame(VERSIONS[0])), (above,), (frame(VERSIONS[0]), frame(VERSIONS[1]))):
        fetched, places = chain_of(*frames)
        with pytest.raises(Damaged, match=places[0].pack.key):
            fetch.decode_chain(fetched, places, BLAKE3)


def test_a_frame_with_more_behind_it_is_read_as_itself() -> None:
    """Spans hold more than one frame; each is cut out by its place."""
    one, two = frame(noise("one", 100)), frame(noise("two", 200))
    fetched, places = chain_of(one, two)
    assert bytes(fetched.frame(places[0])) == one
    assert bytes(fetched.frame(places[1])) == two
