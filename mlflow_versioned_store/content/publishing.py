"""Making what an upload stored findable for later ones: its index and its hooks. Only ever a help."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, wait

from mlflow_versioned_store.content import hooks, indexes
from mlflow_versioned_store.content.clock import HELP_SECONDS
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.indexes import Index, Placed
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import VersionedStoreError

_log = logging.getLogger("mlflow_versioned_store")
# With few new chunks only they are written down again, beside the indexes that know the rest.
_NEW_SHARE_OF_A_WHOLE_INDEX = 0.25
_INDEXES_OF_ONE_UPLOAD = 4


class Document:
    """The chunks of an upload in order, until they are published as an index."""

    def __init__(self) -> None:
        self._rows: list[Placed] = []
        self._new: list[bool] = []
        self.raw = 0

    def add(self, placed: Placed, *, new: bool) -> None:
        """Note the next chunk, and whether this upload stored it."""
        self._rows.append(placed)
        self._new.append(new)
        self.raw += placed.raw

    def rows(self, known: Known) -> list[Placed]:
        """Return the rows worth an index: all, or only the new ones with a neighbour on each side, or none."""
        count = sum(self._new)
        if count == 0:
            return []
        if count >= _NEW_SHARE_OF_A_WHOLE_INDEX * len(self._rows) or not 0 < len(known.used) < _INDEXES_OF_ONE_UPLOAD:
            known.used.clear()
            return self._rows
        new = self._new
        return [
            row
            for at, row in enumerate(self._rows)
            if new[at] or (at > 0 and new[at - 1]) or (at + 1 < len(new) and new[at + 1])
        ]


def publish(
    domain: Domain, document: Document, known: Known, size: int
) -> tuple[list[IndexName], list[Future[object]]]:
    """Start writing the index and hooks of a document whose packs are durable.

    Returns:
        The indexes that together know the document, and what is on its way.
    """
    if not domain.dedup:
        return [], []
    rows = document.rows(known)
    if not rows:
        return list(known.used), []
    data = indexes.encode(rows)
    name = IndexName(domain.name, domain.digest(data).hex())
    names = [name, *known.used]
    domain.recent.note([name], Index(rows))
    writes: list[Future[object]] = [sending.submit(domain.backend.put, name.key, data)]
    return names, writes + hooks.write(domain, hooks.chosen(known.samples, size), name)


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
