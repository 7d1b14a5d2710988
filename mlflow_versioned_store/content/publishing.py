"""Making what an upload stored findable for later ones: its index and its hooks. Only ever a help."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from itertools import pairwise

from mlflow_versioned_store.content import hooks, indexes
from mlflow_versioned_store.content.clock import HELP_SECONDS
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.indexes import CHUNK_FOLLOWS, FILE_ENDS, ROWS_MISSING, FileRows, Index, Placed
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.segments import Scanned
from mlflow_versioned_store.content.workers import looking_up, sending
from mlflow_versioned_store.errors import VersionedStoreError

_log = logging.getLogger("mlflow_versioned_store")
# With few new chunks only they are written down again, beside the indexes that know the rest.
_NEW_SHARE_OF_A_WHOLE_INDEX = 0.25
_INDEXES_OF_ONE_UPLOAD = 4
_ROWS_OF_A_LARGE_FILE = 64


class Document:
    """The chunks of an upload in order, until they are published as an index."""

    def __init__(self) -> None:
        self._rows: list[Placed] = []
        self._new = bytearray()
        self._follows = bytearray()
        self._starts: list[int] = []
        self._sources: list[Scanned] = []
        self.raw = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, placed: Placed, source: Scanned, *, new: bool) -> None:
        """Note the next chunk, the source it is of, and whether this upload stored it."""
        self._begin(source)
        self._rows.append(placed)
        self._new.append(new)
        self._follows.append(CHUNK_FOLLOWS)
        self.raw += placed.raw

    def extend(self, rows: Sequence[Placed], source: Scanned) -> None:
        """Note the next chunks of a source, all of which are stored already."""
        self._begin(source)
        self._rows.extend(rows)
        self._new.extend(bytes(len(rows)))
        self._follows.extend(bytes([CHUNK_FOLLOWS]) * len(rows))
        self.raw += sum(row.raw for row in rows)

    def index(self, known: Known) -> Index | None:
        """Return the index worth writing: of all, or only of the new chunks and a neighbour on each side, or none."""
        count = sum(self._new)
        if count == 0:
            return None
        if self._follows:
            self._follows[-1] = FILE_ENDS
        if count >= _NEW_SHARE_OF_A_WHOLE_INDEX * len(self._rows) or not 0 < len(known.used) < _INDEXES_OF_ONE_UPLOAD:
            known.used.clear()
            return Index(self._rows, bytes(self._follows), list(self._files()))
        return self._excerpt([at for at in range(len(self._rows)) if any(self._new[max(0, at - 1) : at + 2])])

    def durable_index(self) -> Index | None:
        """Return an index of the chunks whose packs are durable by now; None where none of them is new."""
        # Whoever was interrupted may have noted the last chunk by half.
        rows = zip(self._rows, self._follows, strict=False)
        kept = [at for at, (row, _) in enumerate(rows) if row.pack is not None and row.pack.name is not None]
        return self._excerpt(kept) if any(self._new[at] for at in kept) else None

    def _excerpt(self, kept: Sequence[int]) -> Index:
        follows = bytearray(self._follows[at] for at in kept)
        for position, (at, after) in enumerate(pairwise(kept)):
            if after != at + 1 and follows[position] == CHUNK_FOLLOWS:
                follows[position] = ROWS_MISSING
        return Index([self._rows[at] for at in kept], bytes(follows))

    def _begin(self, source: Scanned) -> None:
        if not self._sources or self._sources[-1] is not source:
            if self._follows:
                self._follows[-1] = FILE_ENDS
            self._starts.append(len(self._rows))
            self._sources.append(source)

    def _files(self) -> Iterator[FileRows]:
        ends = [*self._starts[1:], len(self._rows)]
        for start, end, source in zip(self._starts, ends, self._sources, strict=True):
            # One that began in an earlier document, or is not read to its end, has no digest that fits its rows.
            whole = sum(row.raw for row in self._rows[start:end]) == source.size if source.sha256 else False
            if whole and end - start >= _ROWS_OF_A_LARGE_FILE:
                yield FileRows(start, end - start, source.size, source.sha256, source.states)


def publish(
    domain: Domain, document: Document, known: Known, size: int
) -> tuple[list[IndexName], list[Future[object]]]:
    """Start writing the index and hooks of a document whose packs are durable.

    Returns:
        The indexes that together know the document, and what is on its way.
    """
    if not domain.dedup:
        return [], []
    index = document.index(known)
    if index is None:
        return list(known.used), []
    name, writes = announce(domain, index, hooks.chosen(known.samples, size))
    return [name, *known.used], writes


def leave_behind(domain: Domain, document: Document, known: Known, size: int) -> None:
    """Try once to publish those packs of an upload that broke off that are durable, so that a run again finds them.

    Takes 2 s at most, and raises nothing: there is an error already to be told.
    """
    if not domain.dedup or not threading.main_thread().is_alive():  # the process shuts down
        return
    attempt = looking_up.submit(_leave_behind, domain, document, hooks.chosen(known.samples, size))
    wait([attempt], timeout=HELP_SECONDS)
    attempt.cancel()


def _leave_behind(domain: Domain, document: Document, fingerprints: Sequence[int]) -> None:
    index = document.durable_index()
    if index is None:
        return
    _, writes = announce(domain, index, fingerprints)
    for late in wait(writes, timeout=HELP_SECONDS).not_done:
        late.cancel()


def announce(domain: Domain, index: Index, fingerprints: Sequence[int]) -> tuple[IndexName, list[Future[object]]]:
    """Start writing an index, and the hooks that lead to it; return its name, and what is on its way."""
    data = indexes.encode(index)
    name = IndexName(domain.name, domain.digest(data).hex())
    domain.recent.note([name], index)
    writes: list[Future[object]] = [sending.submit(domain.backend.put_named, name.key, data)]
    return name, writes + hooks.write(domain, fingerprints, name)


def settle(writes: Sequence[Future[object]], uploaded_bytes: int) -> None:
    """Wait for help to be written, within limits; warns once where it was not."""
    done, late = wait(writes, timeout=HELP_SECONDS + uploaded_bytes / (4 << 20))
    failures = [error for write in done if (error := write.exception()) is not None]
    for error in failures:
        if not isinstance(error, VersionedStoreError):
            raise error
    if failures or late:
        reason = failures[0] if failures else "writing them took too long"
        _log.warning("Later uploads may not find these bytes again, since index or hooks were not written: %s", reason)
