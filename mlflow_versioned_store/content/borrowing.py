"""Objects that lie in a store already, read once so that later uploads share their chunks.

Each chunk gets a frame in a pack, which borrows its bytes from the object, and is listed in an index like any other.
"""

from __future__ import annotations

from concurrent.futures import Future

from mlflow_versioned_store.content import hooks, publishing
from mlflow_versioned_store.content.blocks import Stream
from mlflow_versioned_store.content.clock import GRACE_SECONDS, elapsed
from mlflow_versioned_store.content.codecs import BORROWED, PLACE_BYTES
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.locations import Content, IndexName, content_of
from mlflow_versioned_store.content.packing import Encoded, PackWriter
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.content.publishing import Document
from mlflow_versioned_store.content.scan import Scanner
from mlflow_versioned_store.content.workers import memory

# What is smaller is better stored again: inside a commit, or many in a pack.
LENDER_BYTES_MIN = 256 << 10
_INDEXED_BYTES = 4 << 30


class Borrowing:
    """Reads objects that are to lend their chunks to later uploads of a domain; not to be shared by threads.

    They lend once the commit is made that `finish` gives the content of.
    """

    def __init__(self, domain: Domain):
        self._domain = domain
        self._begun = elapsed()
        self._writer = PackWriter(domain)
        self._document = Document()
        self._hooks: list[int] = []
        self._lenders: list[Lender] = []
        self._indexes: list[IndexName] = []
        self._beside: list[Future[object]] = []

    def read(self, lender: Lender, stream: Stream) -> str:
        """Read all of an object, within the process's memory budget, and return its SHA-256, hex."""
        scanner = Scanner([stream], self._domain.chunking, self._domain.digest)
        samples: list[int] = []
        offset = 0
        with memory().lane(lender.size):
            for segment in scanner.segments():
                samples += hooks.sample(segment)
                for chunk in segment.chunks:
                    place = FramePlace(lender, offset, len(chunk.data))
                    placed = Placed(chunk.digest, chunk.tail, place.size, ancestors=(place,))
                    self._writer.append(placed, Encoded(BORROWED, offset.to_bytes(PLACE_BYTES, "little")))
                    self._document.add(placed, chunk.source, new=True)
                    offset += place.size
                if self._document.raw >= _INDEXED_BYTES:
                    self._hook(samples, lender)
                    self._publish()
        self._hook(samples, lender)
        self._lenders.append(lender)
        return scanner.scanned[0].sha256

    def finish(self) -> Content:
        """Wait until the packs are durable and return what the commit must say of them."""
        self._publish()
        packs = self._writer.finish()
        if elapsed() - self._begun > GRACE_SECONDS / 2:
            # The first of them may be collected by now, so nothing is lent.
            return Content()
        return content_of(packs, self._lenders, self._indexes, self._writer.s3_version_ids())

    def settle(self) -> None:
        """Wait for indexes and hooks, after the commit; a failure there is a warning."""
        publishing.settle(self._beside, self._writer.bytes_sent)

    def _hook(self, samples: list[int], lender: Lender) -> None:
        # Whoever logs an object again, alone, finds it by its own samples.
        self._hooks += hooks.chosen(samples, lender.size)
        samples.clear()

    def _publish(self) -> None:
        self._writer.finish()
        index = self._document.index(Known(self._domain))
        if index is not None:
            name, writes = publishing.announce(self._domain, index, self._hooks)
            self._indexes.append(name)
            self._beside += writes
        self._document, self._hooks = Document(), []
