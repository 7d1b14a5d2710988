"""Reading what is to be stored: large buffers in, chunks with their two names out.

Files are never memory-mapped: one that is truncated under a mapping kills the process. Size and modification time are
compared after reading, and a file that changed meanwhile is read again, then refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from typing import TypeAlias

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.blocks import BLOCK_BYTES, Blocks, Stream, blocks_of_file, blocks_of_stream
from mlflow_versioned_store.content.chunking import Chunking, Cutter
from mlflow_versioned_store.content.digests import Digest, tail_fingerprint
from mlflow_versioned_store.content.foreseen import Follower, Foresight
from mlflow_versioned_store.content.hashing import FileChangedError, Hashing, PutOffHashing
from mlflow_versioned_store.content.segments import Chunk, Item, Scanned, Segment, Stretch
from mlflow_versioned_store.errors import LocalStorageFailed, SourceChanged

Source: TypeAlias = str | os.PathLike[str] | bytes | Stream

SEGMENT_BYTES = 16 << 20
# What is stored already gains nothing from company, and its buffers are read into again while they are warm.
_STRETCH_BYTES = 1 << 20
_READS_OF_A_CHANGING_FILE = 3
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def size_up_to(sources: Iterable[Source], limit: int) -> int:
    """Return the bytes of all sources, or `limit` once they reach it; a stream counts as that many."""
    total = 0
    for source in sources:
        if isinstance(source, bytes):
            total += len(source)
        elif isinstance(source, (str, os.PathLike)):
            # A file that cannot be read is reported when it is its turn.
            with contextlib.suppress(OSError):
                total += os.stat(source).st_size
        else:
            return limit
        if total >= limit:
            return limit
    return total


class Scanner:
    """Cuts sources into segments of chunks.

    Args:
        sources: What to read, in order.
        chunking: The store's way of cutting.
        digest: The store's digest function.
        foresight: What is known of stored chunks, so that they are read at less cost.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        chunking: Chunking,
        digest: Digest,
        foresight: Foresight | None = None,
    ):
        self._sources = list(sources)
        self._cutter: Cutter = chunking.cutter()
        self._smallest = chunking.smallest
        self._digest = digest
        self._foresight = foresight
        self.scanned: list[Scanned] = []

    def segments(self) -> Iterator[Segment]:
        """Yield segments; afterwards `scanned` has one item for each source.

        Raises:
            SourceChanged: A file changed each time it was read.
            LocalStorageFailed: A file cannot be read.
        """
        segment = Segment()
        for source in self._sources:
            for item in self._items(source):
                segment.items.append(item)
                segment.size += len(item.data)
                if segment.size >= SEGMENT_BYTES or (isinstance(item, Stretch) and len(item.data) >= _STRETCH_BYTES):
                    yield segment
                    segment = Segment()
        if segment.items:
            yield segment

    def _items(self, source: Source) -> Iterable[Item]:
        if isinstance(source, bytes):
            return self._in_memory(source)
        if isinstance(source, (str, os.PathLike)):
            return self._of_file(os.fspath(source))
        return self._of_blocks(blocks_of_stream(source), Hashing())

    def _in_memory(self, data: bytes) -> Iterable[Item]:
        scanned = Scanned()
        self.scanned.append(scanned)
        scanned.size = len(data)
        scanned.sha256 = hashlib.sha256(data).hexdigest()
        if len(data) <= self._smallest:
            return (self._chunk(scanned, data),) if data else ()
        return self._cut_whole(scanned, memoryview(data))

    def _cut_whole(self, scanned: Scanned, data: memoryview) -> Iterator[Item]:
        return self._cut(data, Follower(scanned, self._foresight, self._digest, self._cutter), final=True)

    def _of_file(self, path: str) -> Iterable[Item]:
        data = _read_small(path)
        if data is None:
            return self._of_large_file(path)
        return self._in_memory(data)

    def _of_large_file(self, path: str) -> Iterator[Item]:
        for _ in range(_READS_OF_A_CHANGING_FILE):
            kept = len(self.scanned)
            try:
                descriptor = os.open(path, _READ_FLAGS)
                try:
                    before = os.fstat(descriptor)
                    yield from self._of_descriptor(descriptor, before.st_size, path)
                    after = os.fstat(descriptor)
                finally:
                    os.close(descriptor)
                if _is_unchanged(before, after, self.scanned[-1].size):
                    return
            except OSError as error:
                raise _unreadable(path, error) from error
            except FileChangedError:
                pass
            # What was read stays behind unreferenced; the next reading stands for the source.
            del self.scanned[kept:]
        raise SourceChanged(
            f"{path} changed each of the {_READS_OF_A_CHANGING_FILE} times it was read; log it when it is finished.",
            key=path,
        )

    def _of_descriptor(self, descriptor: int, size: int, path: str) -> Iterator[Item]:
        blocks = blocks_of_file(descriptor)
        if self._foresight is None:
            yield from self._of_blocks(blocks, Hashing())
            return
        with (
            FileIO(path) as again,
            contextlib.closing(PutOffHashing(again, size, self._foresight, self._digest)) as later,
        ):
            yield from self._of_blocks(blocks, later)

    def _of_blocks(self, blocks: Blocks, hashing: Hashing) -> Iterator[Item]:
        scanned = Scanned()
        self.scanned.append(scanned)
        follower = Follower(scanned, self._foresight, self._digest, self._cutter)
        rest, final = memoryview(b""), False
        with contextlib.closing(blocks):
            while not final:
                block, final = blocks.next(rest)
                used = 0
                names: list[tuple[bytes, int]] = []
                for item in self._cut(block, follower, final=final):
                    yield item
                    used += len(item.data)
                    if isinstance(item, Stretch):
                        names.extend((row.digest, row.raw) for row in item.rows)
                    else:
                        names.append((item.digest, len(item.data)))
                rest = block[used:]
                scanned.size += used
                hashing.add(block[:used], names)
        scanned.sha256, scanned.states = hashing.hexdigest(), hashing.states

    def _cut(self, data: memoryview, follower: Follower, *, final: bool) -> Iterator[Item]:
        """Yield what `data` begins with, up to a chunk whose end depends on the bytes behind it."""
        while data:
            for item in follower.follow(data):
                yield item
                data = data[len(item.data) :]
            if not final and follower.awaits_more_than(len(data)):
                return
            chunk = follower.cut(data)
            if chunk is None:
                end = self._cutter.cut(data, final=final)
                if end is None:
                    return
                chunk = self._chunk(follower.source, data[:end])
                follower.find(chunk.digest, chunk.tail)
            yield chunk
            data = data[len(chunk.data) :]

    def _chunk(self, scanned: Scanned, data: Buffer) -> Chunk:
        return Chunk(scanned, data, self._digest(data), tail_fingerprint(data))


def _read_small(path: str) -> bytes | None:
    """Return the bytes of a small file, read at once; None where it is large or changes meanwhile."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
        try:
            before = os.fstat(descriptor)
            if before.st_size > BLOCK_BYTES:
                return None
            data = os.read(descriptor, before.st_size + 1)
            return data if _is_unchanged(before, os.fstat(descriptor), len(data)) else None
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_unchanged(before: os.stat_result, after: os.stat_result, read: int) -> bool:
    return read == after.st_size == before.st_size and before.st_mtime_ns == after.st_mtime_ns


def _unreadable(path: str, error: OSError) -> LocalStorageFailed:
    return LocalStorageFailed(f"{path} cannot be read: {error.strerror}.", key=path)
