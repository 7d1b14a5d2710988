"""Fetching frames: neighbouring ones become one ranged request, requests run in parallel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.content import cache, frames
from mlflow_versioned_store.content.digests import Digest
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import RESTORE, FramePlace, Holder, PackName
from mlflow_versioned_store.content.workers import fetching
from mlflow_versioned_store.errors import Damaged, InvalidInput, NotFound, ObjectMissing

# Reading this many unwanted bytes is cheaper than another request.
GAP_BYTES = 128 << 10
SPAN_BYTES_MAX = 16 << 20


class Span(NamedTuple):
    """A byte range of one pack or lender that is fetched by one request."""

    pack: Holder
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """Fetched spans, in which frames are found by their place."""

    spans: dict[Span, memoryview]
    by_place: dict[FramePlace, Span]

    def frame(self, place: FramePlace) -> memoryview:
        """Return the bytes of a frame that was asked for."""
        span = self.by_place[place]
        return self.spans[span][place.offset - span.start : place.offset - span.start + place.size]


def spans(places: Iterable[FramePlace]) -> dict[FramePlace, Span]:
    """Return for each place the span that covers it; neighbours share one, up to 16 MiB."""
    covered: dict[FramePlace, Span] = {}
    run: list[FramePlace] = []
    stop = 0
    for place in sorted(set(places), key=order):
        joins = run and place.pack == run[0].pack and place.offset <= stop + GAP_BYTES
        if run and not (joins and place.offset + place.size - run[0].offset <= SPAN_BYTES_MAX):
            covered.update(dict.fromkeys(run, Span(run[0].pack, run[0].offset, stop)))
            run = []
        stop = max(stop, place.offset + place.size) if run else place.offset + place.size
        run.append(place)
    if run:
        covered.update(dict.fromkeys(run, Span(run[0].pack, run[0].offset, stop)))
    return covered


def start(backend: Backend, wanted: Iterable[Span]) -> dict[Span, Future[memoryview]]:
    """Start reading each span: at most one ranged GET for each."""
    return {span: fetching.submit(read_span, backend, span) for span in dict.fromkeys(wanted)}


def read_span(backend: Backend, span: Span) -> memoryview:
    """Return the bytes of a span, from the local cache as far as they are there.

    At most one request, and another one before a pack is called missing or short.

    Raises:
        ObjectMissing: The pack or lender is gone.
        Damaged: It is shorter than its name says.
    """

    def get(start: int, stop: int) -> memoryview:
        wanted = Span(span.pack, start, stop)
        try:
            return _get_span(backend, wanted)
        except Damaged:
            return _get_span(backend, wanted)

    return cache.through(backend, span.pack.identity, span.start, span.stop, get)


def _get_span(backend: Backend, span: Span) -> memoryview:
    holder = span.pack
    try:
        version = holder.s3_version_id if isinstance(holder, Lender) else ""
        fetched = backend.get(holder.key, start=span.start, stop=span.stop, s3_version_id=version or None)
        data = memoryview(fetched.data)
    except InvalidInput:  # it ends before the span begins
        data = memoryview(b"")
    except NotFound as error:
        raise ObjectMissing(
            f"The {holder} in {backend.location} is missing, though versions need it. {RESTORE}",
            key=holder.key,
        ) from error
    if data.nbytes != span.stop - span.start:
        raise Damaged(
            f"The {holder} in {backend.location} gave {data.nbytes} bytes "
            f"where {span.stop - span.start} were asked for.",
            key=holder.key,
        )
    return data.cast("B")


def order(place: FramePlace) -> tuple[tuple[object, ...], int]:
    """Sort key of places: neighbours in one object are neighbours."""
    # Packs and lenders differ in the kind of their last item.
    return place.pack[:3], place.offset


def decode_chain(fetched: Fetched, places: Sequence[FramePlace], digest: Digest) -> tuple[frames.Header, memoryview]:
    """Return header and checked chunk of the first of `places`, each of which leans on the next.

    Raises:
        Damaged: A frame fails its check, or leans on another chunk than the one at its base's place.
    """
    # The digest of the last chunk covers all that it was made from.
    with contextlib.suppress(Damaged):
        if isinstance(places[-1].pack, PackName):
            decoded = frames.decode_chain([fetched.frame(place) for place in reversed(places)], digest)
            if decoded is not None:
                return decoded[0], memoryview(decoded[1])
        return _decode_chain(fetched, places, digest, bases=None)
    # Which frame is hurt shows when each is checked.
    return _decode_chain(fetched, places, digest, bases=digest)


def _decode_chain(
    fetched: Fetched, places: Sequence[FramePlace], digest: Digest, *, bases: Digest | None
) -> tuple[frames.Header, memoryview]:
    chunk: memoryview | None = None
    header: frames.Header | None = None
    lender: Lender | None = None
    for depth, place in reversed(list(enumerate(places))):
        if isinstance(place.pack, Lender):
            chunk, lender = fetched.frame(place), place.pack
            continue
        holder, below, lender = lender or place.pack, header, None
        try:
            header, data, _ = frames.decode(fetched.frame(place), 0, bases if depth else digest, chunk)
            if header.base != (below.digest if below else None):
                raise Damaged("A delta leans on another chunk than the one at its base's place.")
        except Damaged as error:
            raise Damaged(f"{error} It is in the {holder}.", key=holder.key) from error
        chunk = memoryview(data)
    assert header is not None, "a chain has at least one frame"
    assert chunk is not None, "a frame has a chunk"
    return header, chunk
