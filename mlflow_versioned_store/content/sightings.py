"""Which old packs and lenders a writer may lean on: those it saw to exist after it read the collector's marks.

The collector deletes a pack only when its mark is older than a grace period. So a writer first reads the marks, then
sees that the pack exists, and commits less than half a grace period later; the other order could lose a version.

A lender without a version id may be overwritten by anybody at any time, so it is looked at each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import wait

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.content.clock import GRACE_SECONDS, HELP_SECONDS, elapsed
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import Holder, PackName
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import Unavailable, VersionedStoreError
from mlflow_versioned_store.wording import counted

_log = logging.getLogger("mlflow_versioned_store")
# Half of what the rule allows, so that an upload that begins now still commits in time.
_FRESH_SECONDS = GRACE_SECONDS / 4
_REMEMBERED = 100_000


class Sightings:
    """What this process knows of marks and packs of one store; shared by its threads."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._lock = fork_safe_lock()
        self._marks: frozenset[str] = frozenset()
        self._marks_read: float | None = None
        self._seen: dict[Holder, float] = {}

    def unusable(self, holders: Iterable[Holder]) -> set[Holder]:
        """Return which of `holders` must not be leaned on: marked, missing, changed, or not to be seen by us.

        One LIST where the marks are stale, and a request for each not seen lately; none for none.

        Raises:
            VersionedStoreError: The marks cannot be read, so nothing may be leaned on.
        """
        wanted = set(holders)
        if not wanted:
            return set()
        marks, read = self._current_marks()
        refused = {holder for holder in wanted if _mark(holder) in marks}
        with self._lock:
            unseen = [holder for holder in wanted - refused if self._seen.get(holder, 0.0) < read]
        asked = elapsed()
        looks = {looking_up.submit(is_there, self._backend, holder): holder for holder in unseen}
        done, late = wait(looks, timeout=HELP_SECONDS)
        if late:
            _log.warning(
                "Bytes are stored plainly where they could have been shared: looking for %s took over %g s",
                counted(len(late), "object"),
                HELP_SECONDS,
            )
        refused.update(looks[look] for look in late)
        for look in done:
            if look.result():
                self._remember(looks[look], asked)
            else:
                refused.add(looks[look])
        return refused

    def _current_marks(self) -> tuple[frozenset[str], float]:
        with self._lock:
            if self._marks_read is not None and elapsed() - self._marks_read < _FRESH_SECONDS:
                return self._marks, self._marks_read
        asked = elapsed()
        listing = looking_up.submit(lambda: frozenset(info.key for info in self._backend.list(keys.MARKS)))
        try:
            marks = listing.result(timeout=HELP_SECONDS)
        except TimeoutError:
            raise Unavailable(f"Reading the collector's marks took longer than {HELP_SECONDS:g} s.") from None
        with self._lock:
            self._marks, self._marks_read = marks, asked
            self._seen.clear()
        return marks, asked

    def _remember(self, holder: Holder, asked: float) -> None:
        if isinstance(holder, Lender) and not holder.s3_version_id:
            return
        with self._lock:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[holder] = asked


def _mark(holder: Holder) -> str | None:
    """Return the key of a pack's mark; a lender has none, since the collector does not delete it."""
    return keys.mark(holder.domain, holder.digest) if isinstance(holder, PackName) else None


def is_there(backend: Backend, holder: Holder) -> bool:
    """Tell whether a pack is seen to exist, or a lender to be still what it was. One request."""
    try:
        if isinstance(holder, PackName):
            return backend.head(holder.key).size == holder.size
        return holder.is_still(backend.get(holder.key, stop=1, s3_version_id=holder.s3_version_id or None).info)
    except VersionedStoreError:
        return False
