"""Reading versions back: one plan for all files of a call, few ranged requests, every byte checked.

Frames that stand alone describe themselves, so whole extents are read as they are. Where deltas take part, the
directories of the packs say what each frame leans on, and frames and ancestors are fetched together.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import chain

from mlflow_versioned_store.backends.contract import Backend, Buffer
from mlflow_versioned_store.content import cache, fetch, frames
from mlflow_versioned_store.content.digests import Digest, digest_function
from mlflow_versioned_store.content.directories import Directories
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.content.parts import Parts
from mlflow_versioned_store.content.pieces import Piece, batches, split
from mlflow_versioned_store.content.wanted import Wanted, ignore, inline_chunks
from mlflow_versioned_store.content.workers import cpu_limit, give_back_freed_memory, memory
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.pools import Pool

# Freeing less than this leaves nothing worth giving back.
_MUCH_BYTES = 4 << 20


@functools.cache
def _readers() -> int:
    return max(4, 2 * cpu_limit())


_reading = Pool("read", _readers)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads packed versions of one store.

    Args:
        backend: The store.
        digest_name: The store's digest algorithm.
        directories: The pack directories known to this process.
    """

    backend: Backend
    digest_name: str
    directories: Directories

    def read(self, files: Sequence[Wanted], on_bytes: Callable[[int], None] | None = None) -> None:
        """Read all files into their sinks; each becomes visible when it is complete and checked.

        Args:
            files: What to read.
            on_bytes: Called with the bytes of a file that came, from any thread.

        Raises:
            Damaged, ObjectMissing: Stored bytes fail their check, also on a second reading.
            VersionedStoreError: The store could not be read; nothing half-done is left behind.
        """
        progress = on_bytes or ignore
        try:
            pieces = []
            for wanted in files:
                with wanted.named():
                    if wanted.is_inline:
                        self._read_inline(wanted)
                        progress(wanted.size)
                    else:
                        pieces += split(wanted, self.directories)
            self._read_batches(batches(pieces), progress)
        except BaseException:
            for wanted in files:
                wanted.sink.abandon()
            raise

    def read_parts(self, wanted: Wanted, parts: Parts) -> None:
        """Read parts of a version into their buffers, in one plan; only the frames that they need are fetched.

        Raises:
            Damaged, ObjectMissing: Stored bytes fail their check, also on a second reading.
            VersionedStoreError: The store could not be read; what the buffers hold means nothing.
        """
        file = replace(wanted, sink=parts)
        with file.named():
            if file.is_inline:
                self._write_inline(file)
            else:
                self._read_batches(batches(split(file, self.directories, parts), parts.at_once), ignore)

    @property
    def _digest(self) -> Digest:
        return digest_function(self.digest_name)

    def _read_batches(self, batches_: Iterator[list[Piece]], progress: Callable[[int], None]) -> None:
        with memory().downloads:
            self._read_each(batches_, progress)

    def _read_each(self, batches_: Iterator[list[Piece]], progress: Callable[[int], None]) -> None:
        first, second = next(batches_, None), next(batches_, None)
        if first is None or second is None:
            # A single one needs no other thread.
            if first is not None:
                self._read_batch(first, progress)
            return
        running: set[Future[None]] = set()
        try:
            for batch in chain((first, second), batches_):
                running.add(_reading.submit(self._read_batch, batch, progress))
                if len(running) >= 2 * _readers():
                    running = _collect(running)
            while running:
                running = _collect(running)
        except BaseException:
            # The sinks are abandoned next; nobody may write to them any more.
            wait(running)
            raise

    def _read_batch(self, batch: list[Piece], progress: Callable[[int], None]) -> None:
        by_place = fetch.spans(place for piece in batch for place in piece.places())
        size = sum(span.stop - span.start for span in set(by_place.values()))
        with memory().transfers.held(size):
            self._read_into_sinks(batch, by_place, progress)
        if size > _MUCH_BYTES and memory().downloads.count > 1:
            # Several at once free blocks in many threads, each of which would keep some.
            give_back_freed_memory()

    def _read_into_sinks(
        self, batch: list[Piece], by_place: dict[FramePlace, fetch.Span], progress: Callable[[int], None]
    ) -> None:
        try:
            fetched = self._fetch(by_place)
        except Damaged:
            fetched = None  # each piece tries for itself, and says which version needs what is gone
        for piece in batch:
            with piece.file.wanted.named():
                digests, last_chunk = self._decode_twice(piece, fetched)
                if piece.file.piece_done(piece.number, digests):
                    piece.file.finish(self.digest_name, last_chunk)
            progress(piece.raw)

    def _fetch(self, by_place: dict[FramePlace, fetch.Span]) -> fetch.Fetched:
        read = {span: self.directories.bytes_of(span) for span in by_place.values()}
        there = {span: data for span, data in read.items() if data is not None}
        missing = [span for span in read if span not in there]
        futures = fetch.start(self.backend, missing[1:])
        there.update((span, fetch.read_span(self.backend, span)) for span in missing[:1])
        there.update((span, future.result()) for span, future in futures.items())
        return fetch.Fetched(there, by_place)

    def _decode_twice(self, piece: Piece, fetched: fetch.Fetched | None) -> tuple[list[bytes], Buffer]:
        if fetched is not None:
            # The bytes may have been hurt on their way; a second reading decides.
            with contextlib.suppress(Damaged):
                return self._decode(piece, fetched)
        by_place = fetch.spans(piece.places())
        for holder in {span.pack for span in by_place.values()}:
            cache.forget(self.backend, holder.identity)
            self.directories.forget_bytes(holder)
        return self._decode(piece, self._fetch(by_place))

    def _decode(self, piece: Piece, fetched: fetch.Fetched) -> tuple[list[bytes], Buffer]:
        """Write the chunks of a piece into its sink; return their digests, and the last one."""
        digests: list[bytes] = []
        offset, stop = piece.offset, piece.offset + piece.raw
        chunk: Buffer = b""
        try:
            for header, chunk in self._chunks(piece, fetched):
                if offset + len(chunk) > stop:
                    raise Damaged("A run of frames holds more bytes than its commit says.")
                piece.file.wanted.sink.write(offset, chunk)
                offset += len(chunk)
                digests.append(header.digest)
            if offset != stop:
                raise Damaged("A run of frames holds fewer bytes than its commit says.")
        except Damaged as error:
            key = piece.run.pack.key
            raise Damaged(f"{error} It is read from the pack {key}.", key=error.key or key) from error
        return digests, chunk

    def _chunks(self, piece: Piece, fetched: fetch.Fetched) -> Iterator[tuple[frames.Header, Buffer]]:
        if piece.chains is not None:
            for chain in piece.chains:
                yield fetch.decode_chain(fetched, chain, self._digest)
            return
        run = fetched.frame(piece.run)
        at = 0
        while at < len(run):
            header, chunk, at = frames.decode(run, at, self._digest)
            yield header, chunk

    def _read_inline(self, wanted: Wanted) -> None:
        digests, chunk = self._write_inline(wanted)
        wanted.check(self.digest_name, digests, chunk)
        wanted.sink.finish(empty=not wanted.size)

    def _write_inline(self, wanted: Wanted) -> tuple[list[bytes], Buffer]:
        """Write the inline chunks of a version into its sink; return their digests, and the last one."""
        digests = []
        offset = 0
        chunk: Buffer = b""
        for header, chunk in inline_chunks(wanted, self._digest):
            wanted.sink.write(offset, chunk)
            offset += len(chunk)
            digests.append(header.digest)
        if offset != wanted.size:
            raise Damaged(f"Its inline frames hold {offset} bytes where its commit says {wanted.size}.")
        return digests, chunk


def _collect(running: set[Future[None]]) -> set[Future[None]]:
    done, waiting = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    return waiting
