"""Filling packs and sending them while the next one fills."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

import msgspec

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content import frames, packs
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packs import DirectoryBuilder, PackName, PackRef
from mlflow_versioned_store.content.wanted import ignore
from mlflow_versioned_store.content.workers import LANE_BYTES, give_back_freed_memory, memory, sending
from mlflow_versioned_store.digests import hasher_named

PACK_BYTES = 16 << 20
_PIECE_BYTES_MIN = 8 << 10


class Encoded(msgspec.Struct, eq=False, gc=False):
    """A chunk ready to be stored: codec, bytes, and for a delta the digest of its base."""

    codec: int
    data: Buffer
    base: bytes | None = None


class PackWriter:
    """Appends frames to packs of one domain; not to be shared by threads.

    Memory: the pack that fills, and packs on their way within the process's budget for transfers.

    Args:
        domain: Where the packs go.
        on_stored: Called with the raw bytes of a pack once it is durable, from any thread.
    """

    def __init__(self, domain: Domain, on_stored: Callable[[int], None] = ignore):
        self._domain = domain
        self._on_stored = on_stored
        self._raw = 0
        self._pieces: list[Buffer] = []
        self._size = 0
        self._directory = DirectoryBuilder()
        self._ref = PackRef()
        self._sent: list[tuple[PackRef, Future[None]]] = []
        self.bytes_sent = 0

    def append(self, placed: Placed, encoded: Encoded) -> None:
        """Append a frame and note in `placed` where it is."""
        header = header_of(placed, encoded)
        size = len(header) + len(encoded.data)
        if self._pieces and self._size + size > PACK_BYTES:
            self.seal()
        if not self._pieces:
            self._pieces.append(packs.new_head())
            self._size = packs.HEAD_BYTES
        placed.pack, placed.offset, placed.size = self._ref, self._size, size
        base = placed.ancestors[0] if placed.ancestors else None
        self._directory.add(size, placed.raw, encoded.codec, base)
        self._pieces += (header, encoded.data)
        self._size += size
        self._raw += placed.raw

    def seal(self) -> None:
        """Close the pack that fills and start to send it; waits while too much is on its way already."""
        if not self._pieces:
            return
        tail = self._directory.encode()
        pieces, ref = [*self._pieces, tail], self._ref
        size = self._size + len(tail)
        self._raise_failures()
        if memory().lanes.used > LANE_BYTES:
            # Several uploads at once free blocks in many threads, each of which would keep some.
            give_back_freed_memory()
        taken = memory().transfers.take(size)
        sent = sending.submit(self._send, ref, pieces, size, len(tail), self._raw)
        sent.add_done_callback(lambda _: memory().transfers.give(taken))
        self._sent.append((ref, sent))
        self.bytes_sent += size
        self._pieces, self._size, self._raw = [], 0, 0
        self._directory, self._ref = DirectoryBuilder(), PackRef()

    def finish(self) -> list[PackName]:
        """Wait until every pack is durable and return their names.

        Raises:
            VersionedStoreError: A pack could not be written.
        """
        self.seal()
        for _, sent in self._sent:
            sent.result()
        return [ref.sealed() for ref, _ in self._sent]

    def s3_version_ids(self) -> dict[PackName, str]:
        """Return the object versions of the packs that were sent, where the bucket keeps them."""
        return {ref.sealed(): ref.s3_version_id for ref, _ in self._sent if ref.s3_version_id is not None}

    def _raise_failures(self) -> None:
        for _, sent in self._sent:
            if sent.done():
                sent.result()

    def _send(self, ref: PackRef, pieces: list[Buffer], size: int, tail: int, raw: int) -> None:
        # Large pieces are sent from where they are: a copy of each pack under way costs as much memory again, and more
        # for what freed copies leave in the heap. Many small ones are sent faster as one.
        if size < _PIECE_BYTES_MIN * len(pieces):
            pieces[:] = [b"".join(pieces)]
        digest = hasher_named(self._domain.digest_name)()
        for piece in pieces:
            digest.update(piece)
        name = PackName(self._domain.name, digest.hexdigest(), size, tail)
        ref.s3_version_id = self._domain.backend.put_named(name.key, pieces).s3_version_id
        pieces.clear()
        ref.name = name
        self._on_stored(raw)


def header_of(placed: Placed, encoded: Encoded) -> bytes:
    """Return the frame header for an encoded chunk."""
    return frames.encode_header(
        encoded.codec,
        placed.raw,
        len(encoded.data),
        placed.tail,
        placed.digest,
        chain=placed.chain,
        base=encoded.base,
    )
