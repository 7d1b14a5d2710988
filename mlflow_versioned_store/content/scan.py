"""Reading what is to be stored: large buffers in, chunks with their two names out.

Files are never memory-mapped: one that is truncated under a mapping kills the process. Size and modification time are
compared after reading, and a file that changed meanwhile is read again, then refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.chunking import Chunking, Cutter
from mlflow_versioned_store.content.digests import Digest, tail_fingerprint
from mlflow_versioned_store.content.workers import computing
from mlflow_versioned_store.errors import LocalStorageFailed, SourceChanged

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO

BLOCK_BYTES = 4 << 20
SEGMENT_BYTES = 16 << 20
_READS_OF_A_CHANGING_FILE = 3
# Handing work to another thread costs more than hashing this much.
_HASH_ELSEWHERE_FROM = 256 << 10
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


class Scanned:
    """One source as it was read; `size` (bytes) and `sha256` (hex) are final once its last chunk was taken."""

    __slots__ = ("sha256", "size")

    def __init__(self) -> None:
        self.size = 0
        self.sha256 = ""


@dataclass(slots=True)
class Chunk:
    """A piece of a source: its bytes (a view that lives as long as the chunk) and its two names."""

    source: Scanned
    data: Buffer
    digest: bytes
    tail: int


@dataclass(slots=True)
class Segment:
    """Chunks in order, about 16 MiB of them, possibly of many sources."""

    chunks: list[Chunk] = field(default_factory=list)
    size: int = 0


class Scanner:
    """Cuts sources into segments of chunks.

    Args:
        sources: What to read, in order.
        chunking: The store's way of cutting.
        digest: The store's digest function.
        on_read: Called with the bytes read, as they are read.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        chunking: Chunking,
        digest: Digest,
        on_read: Callable[[int], None],
    ):
        self._sources = list(sources)
        self._cutter: Cutter = chunking.cutter()
        self._smallest = chunking.smallest
        self._digest = digest
        self._on_read = on_read
        self.scanned: list[Scanned] = []

    def segments(self) -> Iterator[Segment]:
        """Yield segments; afterwards `scanned` has one item for each source.

        Raises:
            SourceChanged: A file changed each time it was read.
            LocalStorageFailed: A file cannot be read.
        """
        segment = Segment()
        for source in self._sources:
            for chunk in self._chunks(source):
                segment.chunks.append(chunk)
                segment.size += len(chunk.data)
                if segment.size >= SEGMENT_BYTES:
                    yield segment
                    segment = Segment()
        if segment.chunks:
            yield segment

    def _chunks(self, source: Source) -> Iterable[Chunk]:
        if isinstance(source, bytes):
            self._on_read(len(source))
            return self._in_memory(source)
        if isinstance(source, (str, os.PathLike)):
            return self._of_file(os.fspath(source))
        return self._of_stream(source)

    def _in_memory(self, data: bytes) -> Iterable[Chunk]:
        scanned = Scanned()
        self.scanned.append(scanned)
        scanned.size = len(data)
        scanned.sha256 = hashlib.sha256(data).hexdigest()
        if len(data) <= self._smallest:
            return (self._chunk(scanned, data),) if data else ()
        view = memoryview(data)
        ends = self._cutter.cut(view, final=True)
        return (self._chunk(scanned, view[start:end]) for start, end in zip([0, *ends], ends, strict=False))

    def _of_file(self, path: str) -> Iterator[Chunk]:
        for _ in range(_READS_OF_A_CHANGING_FILE):
            kept = len(self.scanned)
            try:
                descriptor = os.open(path, _READ_FLAGS)
                try:
                    before = os.fstat(descriptor)
                    yield from self._of_descriptor(descriptor, before.st_size)
                    after = os.fstat(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise LocalStorageFailed(f"{path} cannot be read: {error.strerror}.", key=path) from error
            read = self.scanned[-1].size
            if read == after.st_size == before.st_size and before.st_mtime_ns == after.st_mtime_ns:
                return
            # What was read stays behind unreferenced; the next reading stands for the source.
            del self.scanned[kept:]
        raise SourceChanged(
            f"{path} changed each of the {_READS_OF_A_CHANGING_FILE} times it was read; log it when it is finished.",
            key=path,
        )

    def _of_descriptor(self, descriptor: int, size: int) -> Iterable[Chunk]:
        if size > BLOCK_BYTES:
            return self._of_stream(io.FileIO(descriptor, closefd=False))
        data = os.read(descriptor, size) if size else os.read(descriptor, BLOCK_BYTES)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
        self._on_read(len(data))
        return self._in_memory(data)

    def _of_stream(self, stream: BinaryIO) -> Iterator[Chunk]:
        scanned = Scanned()
        self.scanned.append(scanned)
        sha256 = hashlib.sha256()
        rest: Buffer = b""
        while True:
            block, read = _read_block(stream, rest)
            self._on_read(read)
            fresh = block[len(rest) :]
            hashing = computing.submit(sha256.update, fresh) if read >= _HASH_ELSEWHERE_FROM else None
            scanned.size += read
            final = read == 0
            start = 0
            for end in self._cutter.cut(block, final=final):
                yield self._chunk(scanned, block[start:end])
                start = end
            rest = block[start:]
            hashing.result() if hashing else sha256.update(fresh)
            if final:
                break
        scanned.sha256 = sha256.hexdigest()

    def _chunk(self, scanned: Scanned, data: Buffer) -> Chunk:
        return Chunk(scanned, data, self._digest(data), tail_fingerprint(data))


def _read_block(stream: BinaryIO, rest: Buffer) -> tuple[memoryview, int]:
    """Return `rest` followed by up to a block more of the stream, and how many bytes came."""
    block = memoryview(bytearray(len(rest) + BLOCK_BYTES))
    block[: len(rest)] = rest
    filled = len(rest)
    readinto = getattr(stream, "readinto", None)
    while filled < len(block):
        if readinto is not None:
            got = readinto(block[filled:]) or 0
        else:
            data = stream.read(len(block) - filled)
            got = len(data)
            block[filled : filled + got] = data
        if not got:
            break
        filled += got
    return block[:filled], filled - len(rest)
