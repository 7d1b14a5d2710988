"""Storing sources: scan, plan, encode, pack and send, each step overlapping the next.

An upload takes a lane of the process's memory; its packs share the budget for transfers. Nothing it writes is visible
before the commit that its caller makes from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import msgspec

from mlflow_versioned_store.content import encoding, planning, publishing
from mlflow_versioned_store.content.ahead import ahead
from mlflow_versioned_store.content.clock import elapsed
from mlflow_versioned_store.content.codecs import Compressor
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.encoding import Bases, Job
from mlflow_versioned_store.content.fetch import Fetched
from mlflow_versioned_store.content.files import FileChunks
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import Known, Spot
from mlflow_versioned_store.content.locations import IndexName, content_of, encode_content, encode_location
from mlflow_versioned_store.content.packing import Encoded, PackWriter, header_of
from mlflow_versioned_store.content.packs import Holder, PackName
from mlflow_versioned_store.content.planning import Decided, Decision
from mlflow_versioned_store.content.publishing import Document
from mlflow_versioned_store.content.scan import SEGMENT_BYTES, Scanner, Source, size_up_to
from mlflow_versioned_store.content.segments import Chunk, Scanned, Segment, Stretch
from mlflow_versioned_store.content.wanted import ignore
from mlflow_versioned_store.content.workers import memory
from mlflow_versioned_store.errors import AccessDenied, Unavailable, VersionedStoreError
from mlflow_versioned_store.wording import counted

INLINE_RAW_MAX = 256 << 10
INLINE_STORED_MAX = 64 << 10
# An index of more rows would be larger than readers accept.
_STAGED_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class Staging:
    """When a long upload publishes what it has finished, so that a run again finds it.

    Args:
        seconds: At least this often.
        size: At least after this many bytes.
        commit: Called with the content to record in a `stage` commit.
    """

    commit: Callable[[dict[str, Any]], None]
    seconds: float = 60.0
    size: int = 4 << 30


class FileContent(msgspec.Struct, frozen=True, gc=False):
    """What a commit records of one source: bytes, SHA-256 (hex) and where they are."""

    size: int
    sha256: str
    at: Any


@dataclass(slots=True)
class Uploaded:
    """Everything a commit needs of an upload. Its packs are durable; its index and hooks are on their way.

    Args:
        files: One item a source, in order.
        content: The change's content (`locations`).
        frames: The inline frames.
        bytes_sent: Bytes of the packs.
    """

    files: list[FileContent]
    content: dict[str, Any]
    frames: bytes
    bytes_sent: int
    _beside: list[Future[object]]

    def settle(self) -> None:
        """Wait for index and hooks, after the commit; a failure there is a warning."""
        publishing.settle(self._beside, self.bytes_sent)


def upload(
    domain: Domain,
    sources: Sequence[Source],
    *,
    hints: Sequence[IndexName] = (),
    on_stored: Callable[[int], None] = ignore,
    staging: Staging | None = None,
    anew: bool = False,
) -> Uploaded:
    """Store sources in a domain.

    Args:
        domain: Where to.
        sources: Paths, bytes or readable binary streams.
        hints: Indexes of the current versions of the same paths.
        on_stored: Called with the bytes of the sources that are durable, or were stored before; from any thread.
        staging: How to publish a long upload's progress.
        anew: Lean on nothing that was stored before.

    Raises:
        SourceChanged, LocalStorageFailed: A source cannot be read as it is.
        VersionedStoreError: The store refused or failed.
    """
    known = Known(domain, hints, anew=anew)
    if hints:
        known.take_hints()
    scanner = Scanner(sources, domain.chunking, domain.digest, known if domain.dedup else None)
    size = size_up_to(sources, SEGMENT_BYTES + 1)
    with memory().lane(size):
        segments = scanner.segments() if size <= SEGMENT_BYTES else ahead(scanner.segments())
        # A first segment this short is the only one.
        first = list(islice(segments, 1))
        if sum(segment.size for segment in first) <= INLINE_RAW_MAX:
            inline = _inline(domain, scanner.scanned, first)
            if inline is not None:
                on_stored(sum(segment.size for segment in first))
                return inline
        packed = _PackedUpload(domain, known, staging, on_stored)
        try:
            for segment in chain(first, segments):
                packed.store(segment)
            return packed.finish(scanner.scanned)
        except (Unavailable, AccessDenied):
            raise
        except BaseException:
            packed.leave_behind()
            raise


def _inline(domain: Domain, scanned: list[Scanned], segments: Sequence[Segment]) -> Uploaded | None:
    """Return an upload whose frames fit into its commit, or None where they do not."""
    files = {source: FileChunks(domain.digest_name) for source in scanned}
    frames = bytearray()
    compressor = Compressor()
    stored: dict[bytes, Placed] = {}
    for chunk in chain.from_iterable(segment.chunks for segment in segments):
        placed = stored.get(chunk.digest)
        if placed is None:
            placed = stored[chunk.digest] = Placed(chunk.digest, chunk.tail, len(chunk.data))
            encoded = Encoded(*compressor.compress(chunk.data))
            frame = b"".join((header_of(placed, encoded), encoded.data))
            placed.offset, placed.size = len(frames), len(frame)
            frames += frame
        if chunk.source in files:
            files[chunk.source].add(placed)
    if len(frames) > INLINE_STORED_MAX:
        return None
    return Uploaded(_contents(scanned, files, {}), {}, bytes(frames), 0, [])


@dataclass(frozen=True, slots=True, eq=False)
class _Planned:
    """What becomes of `size` bytes; the chunks to store, and what they lean on, on its way."""

    size: int
    decisions: list[Decided]
    jobs: list[Job]
    bases: Bases | None


class _PackedUpload:
    """An upload whose frames go into packs."""

    def __init__(self, domain: Domain, known: Known, staging: Staging | None, on_stored: Callable[[int], None]):
        self._domain = domain
        self._known = known
        self._staging = staging
        self._on_stored = on_stored
        self._writer = PackWriter(domain, on_stored)
        self._files: dict[Scanned, FileChunks] = {}
        self._bases: dict[Holder, None] = {}
        self._old: set[Holder] = set()
        self._document = Document()
        self._place: Spot | None = None
        self._carried: list[Chunk] = []
        self._size = 0
        self._planned: _Planned | None = None
        self._bases_failed = False
        self._staged_indexes: list[IndexName] = []
        self._staged_at = elapsed()

    def store(self, segment: Segment, *, final: bool = False) -> None:
        """Store the chunks of a segment and note where each file's went; the last few may wait for the next one."""
        if segment.items:
            self._known.learn(segment)
        segment.items[:0] = self._carried
        if not segment.items:
            return
        decisions = self._plan(segment, final=final)
        jobs = planning.jobs_of(decisions)
        planned = _Planned(segment.size, decisions, jobs, encoding.fetch_bases(self._domain, jobs))
        # While the bases of these are on their way, the ones before are encoded.
        self._write_planned()
        self._planned = planned
        if planned.bases is None:
            self._write_planned()

    def finish(self, scanned: list[Scanned]) -> Uploaded:
        """Wait for the packs, start index and hooks, and return what the commit needs."""
        self.store(Segment(), final=True)
        self._write_planned()
        self._writer.finish()
        if lost := self._domain.sightings.unusable(self._old):
            raise Unavailable(f"{counted(len(lost), 'object')} that this upload leans on went meanwhile; log it again.")
        names, beside = publishing.publish(self._domain, self._document, self._known, self._size)
        files = {source: self._files.get(source) or FileChunks(self._domain.digest_name) for source in scanned}
        packs = sorted({pack for file in files.values() for pack in file.packs()})
        written = self._writer.s3_version_ids()
        content = content_of(packs, self._bases, (*self._staged_indexes, *names), written)
        numbers = {pack: number for number, pack in enumerate(packs)}
        return Uploaded(
            _contents(scanned, files, numbers), encode_content(content), b"", self._writer.bytes_sent, beside
        )

    def leave_behind(self) -> None:
        """Let a run again find what is durable, since this one ends by an error or an interruption."""
        publishing.leave_behind(self._domain, self._document, self._known, self._size)

    def _plan(self, segment: Segment, *, final: bool) -> list[Decided]:
        while True:
            decisions, place, carried = planning.plan(
                segment, self._known, self._domain.digest, self._place, delta=self._domain.delta, final=final
            )
            packs = planning.leaned_on(decisions, self._known)
            try:
                refused = self._domain.sightings.unusable(packs) if packs else set()
            except VersionedStoreError as error:
                self._known.give_up(error)
                refused = packs
            if not refused:
                self._old |= packs
                self._place, self._carried = place, carried
                return decisions
            self._known.refuse(refused)
            self._known.disown(job.placed for job in planning.jobs_of(decisions))

    def _write_planned(self) -> None:
        """Encode and write what was planned last, if it was not written yet."""
        planned, self._planned = self._planned, None
        if planned is None:
            return
        encoded = encoding.encode(self._domain, planned.jobs, self._fetched(planned.bases), self._known.give_up)
        for decision in planned.decisions:
            if isinstance(decision, Decision) and decision.job is not None:
                self._writer.append(decision.placed, next(encoded))
            self._note(decision)
        self._on_stored(planning.leaned_bytes(planned.decisions))
        self._size += planned.size
        if self._staging is not None and self._stage_is_due(self._staging):
            self._stage(self._staging)

    def _fetched(self, bases: Bases | None) -> Fetched | None:
        # Who waited too long once waits no second time for what was asked for meanwhile.
        if bases is None or self._bases_failed:
            return None
        try:
            return bases.fetched()
        except VersionedStoreError as error:
            self._bases_failed = True
            self._known.give_up(error)
            return None

    def _note(self, decided: Decided) -> None:
        if isinstance(decided, Stretch):
            rows, source = decided.rows, decided.source
            self._file(source).extend(rows)
            self._document.extend(rows, source)
            self._bases.update(dict.fromkeys(place.pack for row in rows for place in row.ancestors))
            return
        placed, source = decided.placed, decided.chunk.source
        self._file(source).add(placed)
        self._document.add(placed, source, new=decided.job is not None)
        for place in placed.ancestors:
            self._bases[place.pack] = None

    def _file(self, source: Scanned) -> FileChunks:
        file = self._files.get(source)
        if file is None:
            file = self._files[source] = FileChunks(self._domain.digest_name)
        return file

    def _stage_is_due(self, staging: Staging) -> bool:
        long_ago = elapsed() - self._staged_at >= staging.seconds
        return long_ago or self._document.raw >= staging.size or len(self._document) >= _STAGED_ROWS

    def _stage(self, staging: Staging) -> None:
        packs = self._writer.finish()
        names, beside = publishing.publish(self._domain, self._document, self._known, self._size)
        publishing.settle(beside, self._writer.bytes_sent)
        self._staged_indexes += [name for name in names if name not in self._staged_indexes]
        staging.commit(encode_content(content_of(packs, self._bases, self._staged_indexes)))
        self._known.forget_own()
        self._known.samples.clear()
        self._document = Document()
        self._staged_at = elapsed()


def _contents(
    scanned: list[Scanned], files: dict[Scanned, FileChunks], numbers: dict[PackName, int]
) -> list[FileContent]:
    return [
        FileContent(source.size, source.sha256, encode_location(files[source].location(numbers))) for source in scanned
    ]
