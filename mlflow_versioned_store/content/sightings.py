"""Which old packs a writer may lean on: those it saw to exist after it read the collector's marks.

The collector deletes a pack only when its mark is older than a grace period. So a writer first reads the marks, then
sees that the pack exists, and commits less than half a grace period later; the other order could lose a version.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future, wait

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, ObjectInfo
from mlflow_versioned_store.content.clock import GRACE_SECONDS, HELP_SECONDS, elapsed
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import Unavailable, VersionedStoreError

# Half of what the rule allows, so that an upload that begins now still commits in time.
_FRESH_SECONDS = GRACE_SECONDS / 4
_REMEMBERED = 100_000


class Sightings:
    """What this process knows of marks and packs of one store; shared by its threads."""

    def __init__(self, backend: Backend):
        self._backend = backend
        self._lock = threading.Lock()
        self._marks: frozenset[str] = frozenset()
        self._marks_read: float | None = None
        self._seen: dict[PackName, float] = {}

    def unusable(self, packs: Iterable[PackName]) -> set[PackName]:
        """Return which of `packs` must not be leaned on: marked, missing, or not to be seen by us.

        One LIST where the marks are stale, and a HEAD for each pack not seen lately; none for no packs.

        Raises:
            VersionedStoreError: The marks cannot be read, so nothing may be leaned on.
        """
        wanted = set(packs)
        if not wanted:
            return set()
        marks, read = self._current_marks()
        refused = {pack for pack in wanted if keys.mark(pack.domain, pack.digest) in marks}
        with self._lock:
            unseen = [pack for pack in wanted - refused if self._seen.get(pack, 0.0) < read]
        asked = elapsed()
        looks = {looking_up.submit(self._backend.head, pack.key): pack for pack in unseen}
        done, late = wait(looks, timeout=HELP_SECONDS)
        refused.update(looks[look] for look in late)
        for look in done:
            if _sees(look, looks[look]):
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

    def _remember(self, pack: PackName, asked: float) -> None:
        with self._lock:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[pack] = asked


def _sees(look: Future[ObjectInfo], pack: PackName) -> bool:
    try:
        return look.result().size == pack.size
    except VersionedStoreError:
        return False
