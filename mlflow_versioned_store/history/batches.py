"""Calls of one process that are committed together: the first one leads, what comes meanwhile is the next commit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Draft

DRAFTS_MAX = 256
FRAMES_BYTES_MAX = 1 << 20
RECORD_BYTES_MAX = 4 << 20


@dataclass(eq=False)
class Job:
    """One call that appends, from its arrival to its answer.

    Args:
        drafts: What it appends.
        size: About how many bytes of record that takes.
        wake: Set once it has its answer, or is to lead.
        appended: Its answer.
        error: Its answer, if it failed.
        tried: Under which numbers a put was tried whose fate is not known yet, and by the digest of the record what
            it would mean.
    """

    drafts: tuple[Draft, ...]
    size: int
    wake: threading.Event = field(default_factory=threading.Event)
    appended: list[Appended] | None = None
    error: Exception | None = None
    tried: dict[int, dict[str, list[Appended]]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether it has its answer."""
        return self.appended is not None or self.error is not None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its drafts."""
        return tuple(draft.id for draft in self.drafts)

    def answer(self) -> list[Appended]:
        """Return its answer, or raise it."""
        if self.error is not None:
            raise self.error
        return self.appended or []


class Queue:
    """The calls that wait, one of which leads at any time."""

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._waiting: list[Job] = []
        self._led = False

    def join(self, job: Job) -> bool:
        """Add a call, and tell whether it leads; otherwise it waits for `job.wake`."""
        with self._lock:
            self._waiting.append(job)
            leads = not self._led
            self._led = True
            return leads

    def take(self) -> list[Job]:
        """Return the calls for the next commit, the leader's first: as many as fit."""
        with self._lock:
            drafts = frames = size = taken = 0
            for job in self._waiting:
                drafts += len(job.drafts)
                frames += sum(len(draft.frames) for draft in job.drafts)
                size += job.size
                if taken and (drafts > DRAFTS_MAX or frames > FRAMES_BYTES_MAX or size > RECORD_BYTES_MAX):
                    break
                taken += 1
            batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
            return batch

    def hand_over(self, batch: Sequence[Job]) -> None:
        """End the lead: wake who was answered, and let the first of those that wait lead."""
        with self._lock:
            # Who has no answer, because the leading thread was interrupted, is taken care of by the next leader.
            self._waiting[:0] = [job for job in batch if not job.done]
            self._next()
        for job in batch:
            if job.done:
                job.wake.set()

    def leave(self, job: Job) -> None:
        """Withdraw a call whose thread was interrupted; where it was to lead, somebody else does."""
        with self._lock:
            if job in self._waiting:
                was_to_lead = self._waiting[0] is job and job.wake.is_set()
                self._waiting.remove(job)
                if was_to_lead:
                    self._next()

    def _next(self) -> None:
        self._led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].wake.set()
