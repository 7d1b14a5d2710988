"""Appending to a log: many threads, processes and machines at once, without locks and without losing an answer.

A commit is a create-only put of the next number. Calls of one process are committed together: the first becomes the
leader, and what comes while it is away is the next commit. Among processes the store decides who was first; whoever
was not reads what the winner wrote, numbers its changes anew and tries the next number.

A put without a certain answer is no failure: it may have happened, or be about to. So the same number is looked at and
tried again until somebody holds it, and whoever finds its own change ids there has won.
"""

from __future__ import annotations

import copy
import logging
import os
import random
import secrets
import time
from collections.abc import Sequence

import msgspec

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, Buffer
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    VersionedStoreError,
)
from mlflow_versioned_store.history import checkpoints, columns, sealed
from mlflow_versioned_store.history.batches import Job, Queue
from mlflow_versioned_store.history.commits import Commits, effective_time
from mlflow_versioned_store.history.folding import Fold
from mlflow_versioned_store.history.heads import Head
from mlflow_versioned_store.history.numbering import Appended, Numbered, number_draft
from mlflow_versioned_store.history.records import (
    Change,
    Commit,
    Draft,
    Entry,
    FrameRange,
    PartRef,
    check_draft,
    encode_commit,
    encode_part,
)
from mlflow_versioned_store.history.sealed import Digest
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.pools import Pool

logger = logging.getLogger(__name__)

DOUBTS_MAX = 64
UNCERTAIN_MAX = 6
UNCERTAIN_SECONDS_MAX = 12.0
CONTENTION_SECONDS_MAX = 300.0

_LOOKS_AT_ONCE = 4
_PAUSE_SECONDS_MAX = 2.0
_EXPONENT_MAX = 16
_ENTRY_BYTES = 128
_looking = Pool("history-look", lambda: _LOOKS_AT_ONCE)


class _Attempt:
    """A batch of calls numbered as the commit that is tried next."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.number = state.number + 1
        # Never before the parent, so that times order commits as numbers do.
        self.time = max(time.time_ns() // 1_000_000, state.time)
        self.fold = Fold(state, self.number, self.time)
        self.changes: list[Numbered] = []
        self.answers: list[tuple[Job, list[Appended]]] = []

    def add(self, job: Job) -> None:
        numbered = [number_draft(draft, self.fold, len(self.changes) + at) for at, draft in enumerate(job.drafts)]
        self.changes.extend(numbered)
        self.answers.append((job, [each.appended for each in numbered]))

    @property
    def frames(self) -> list[Buffer]:
        return [draft.frames for job, _ in self.answers for draft in job.drafts if len(draft.frames)]


class _Trouble:
    """What went wrong with a batch so far, and how long to wait because of it."""

    def __init__(self) -> None:
        self.losses = 0
        self._uncertain = 0
        self._since = time.monotonic()
        self._uncertain_since: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long the store may still take to say something; None while it always answered."""
        if self._uncertain_since is None:
            return None
        return max(0.0, self._uncertain_since + UNCERTAIN_SECONDS_MAX - time.monotonic())

    def lost(self) -> None:
        self.losses += 1
        if time.monotonic() - self._since > CONTENTION_SECONDS_MAX:
            raise Unavailable(
                f"Others were faster {self.losses} times in {CONTENTION_SECONDS_MAX:.0f} s, so nothing was logged. "
                "Log less often to this one artifact root, or try again."
            )

    def uncertain(self, problem: VersionedStoreError, asked: float) -> None:
        """Note that what was asked at a time got no certain answer; the first such time counts."""
        self._uncertain += 1
        if self._uncertain_since is None:
            self._uncertain_since = asked
        if self._uncertain > UNCERTAIN_MAX or not self.seconds_left:
            raise OutcomeUnknown(
                f"The store did not say whether the commit was written ({problem}). It may have been; logging the "
                "same content again is safe and makes no second version.",
                key=problem.key,
                request_id=problem.request_id,
                attempts=self._uncertain,
            ) from problem

    def pause(self, round_trip: float) -> None:
        """Wait a random time that grows with every loss: the more there are, the wider they spread."""
        exponent = min(max(self.losses - 1, self._uncertain), _EXPONENT_MAX)
        if exponent > 0:
            longest = min(_PAUSE_SECONDS_MAX, round_trip * 2.0**exponent)
            time.sleep(random.uniform(0.0, longest))  # noqa: S311  # spreads retries, keeps no secret


class Appender:
    """Writes commits to one log.

    Args:
        backend: Where the log is.
        folder: The log's folder.
        root: The artifact root.
        digest: The store's digest function.
        commits: The log's commits.
        head: The log's head.
    """

    def __init__(self, backend: Backend, folder: str, root: str, digest: Digest, commits: Commits, head: Head) -> None:
        self._backend = backend
        self._folder = folder
        self._root = root
        self._digest = digest
        self._commits = commits
        self._head = head
        self._lock = fork_safe_lock()
        self._pid = os.getpid()
        self._queue = Queue()
        self._let_by_until = 0.0
        self._round_trip = 0.01
        self._no_checkpoint_before = 0
        self._doubts: dict[tuple[str, ...], dict[int, dict[str, list[Appended]]]] = {}

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Commit `drafts`, all in one commit, and return what became of each. See `Log.append`."""
        job = Job(tuple(drafts), sum(map(check_draft, drafts)))
        job.tried = self._doubts.pop(job.ids, {})
        queue = self._own_queue()
        leads = queue.join(job)
        try:
            if not leads:
                job.wake.wait()
            if not job.done:
                self._lead(queue)
        except BaseException:
            queue.leave(job)
            raise
        return job.answer()

    def _own_queue(self) -> Queue:
        with self._lock:
            if self._pid != os.getpid():
                # Those that lead and wait in the parent did not come along into this forked child.
                self._pid, self._queue = os.getpid(), Queue()
            return self._queue

    def _lead(self, queue: Queue) -> None:
        pause = self._let_by_until - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        batch = queue.take()
        try:
            self._commit(batch)
        except VersionedStoreError as error:
            self._fail(batch, error)
        finally:
            queue.hand_over(batch)

    def _fail(self, batch: Sequence[Job], error: VersionedStoreError) -> None:
        for job in batch:
            if not job.done:
                # Each thread raises an exception of its own: a shared one would collect all their tracebacks.
                job.error = copy.copy(error)
                job.error.__cause__ = error.__cause__
                if job.tried:
                    self._doubts[job.ids] = job.tried
                    while len(self._doubts) > DOUBTS_MAX:
                        self._doubts.pop(next(iter(self._doubts)))

    def _commit(self, batch: Sequence[Job]) -> None:
        state = self._head.known() or self._head.newest()
        trouble = _Trouble()
        parts: dict[str, tuple[tuple[Entry, ...], tuple[PartRef, ...]]] = {}
        while True:
            self._settle(batch, state)
            state = self._with_checkpoint(state)
            attempt, refused = self._numbered(state, [job for job in batch if not job.done])
            if refused and (newest := self._head.newest()).number > state.number:
                # They may work after all in the state that others have made of it.
                state = newest
                continue
            for job, error in refused:
                job.error = error
            if not attempt.answers:
                break
            record = self._record(attempt, parts)
            digest = self._digest(record)
            for job, appended in attempt.answers:
                job.tried.setdefault(attempt.number, {})[digest] = appended
            asked = time.monotonic()
            try:
                key = keys.commit(self._folder, attempt.number)
                info = self._backend.put(key, [record, *attempt.frames], create=True)
            except Conflict as conflict:
                self._round_trip = time.monotonic() - asked
                trouble.lost()
                state = self._look(state, conflict, trouble)
            except Unavailable as problem:
                trouble.uncertain(problem, asked)
                state = self._look(state, None, trouble)
            else:
                self._round_trip = time.monotonic() - asked
                self._won(attempt, digest, effective_time(attempt.time, info.modified))
                if trouble.losses:
                    self._let_by_until = time.monotonic() + 2 * self._round_trip
                break
        self._head.learn(state)

    def _look(self, state: State, conflict: Conflict | None, trouble: _Trouble) -> State:
        """Return the state that includes what others committed. After a first loss only the winner is read."""
        while True:
            trouble.pause(self._round_trip)
            asked = time.monotonic()
            try:
                if conflict is not None and trouble.losses == 1:
                    return self._head.after(state, self._commits.fetch(state.number + 1))
                newest = self._followed(state, trouble.seconds_left)
            except NotFound:
                newest = state
            except Unavailable as problem:
                trouble.uncertain(problem, asked)
                continue
            if conflict is not None and newest.number == state.number:
                # Taken, and yet there is nothing to read: the server contradicts itself, for now or for ever.
                trouble.uncertain(conflict, asked)
            return newest

    def _followed(self, state: State, seconds: float | None) -> State:
        """Return the newest state; a store that was silent already is given only so many seconds."""
        if seconds is None:
            return self._head.follow(state)
        try:
            return _looking.submit(self._head.follow, state).result(timeout=seconds)
        except TimeoutError:
            raise Unavailable("it did not answer in time") from None

    def _settle(self, batch: Sequence[Job], state: State) -> None:
        """Answer those calls whose commit is in the log already, though nobody said so."""
        for job in batch:
            for number in sorted(job.tried):
                if number <= state.number and not job.done:
                    job.appended = job.tried.pop(number).get(self._commits.required(number).digest)

    def _numbered(self, state: State, jobs: list[Job]) -> tuple[_Attempt, list[tuple[Job, NotFound | InvalidInput]]]:
        """Number the calls, and return apart those that cannot work in this state, with their errors."""
        refused: list[tuple[Job, NotFound | InvalidInput]] = []
        while True:
            attempt = _Attempt(state)
            for job in jobs:
                try:
                    attempt.add(job)
                except (NotFound, InvalidInput) as error:
                    refused.append((job, error))
                    break
            else:
                return attempt, refused
            jobs = [other for other in jobs if other is not job]

    def _with_checkpoint(self, state: State) -> State:
        if state.number < self._no_checkpoint_before or not checkpoints.is_due(state):
            return state
        try:
            state = self._head.save_checkpoint(state)
        except VersionedStoreError as problem:
            logger.warning("No checkpoint of %r could be written, the log goes on without: %s", self._root, problem)
            self._no_checkpoint_before = state.number + checkpoints.COMMITS_MAX
        return state

    def _record(self, attempt: _Attempt, parts: dict[str, tuple[tuple[Entry, ...], tuple[PartRef, ...]]]) -> bytes:
        changes: list[Change] = []
        end = 0
        drafts = (draft for job, _ in attempt.answers for draft in job.drafts)
        for draft, numbered in zip(drafts, attempt.changes, strict=True):
            frames = None
            if len(draft.frames):
                frames = FrameRange(offset=end, length=len(draft.frames), digest=self._digest(draft.frames))
                end += frames.length
            changes.append(self._in_parts(msgspec.structs.replace(numbered.change, frames=frames), parts))
        commit = Commit(
            root=self._root,
            number=attempt.number,
            parent=attempt.state.digest,
            time=attempt.time,
            changes=tuple(changes),
            since=tuple(delta.text for delta in attempt.state.deltas),
            checkpoints=tuple(ref for ref, _ in attempt.state.checkpoints),
        )
        return encode_commit(commit, self._digest)

    def _in_parts(self, change: Change, parts: dict[str, tuple[tuple[Entry, ...], tuple[PartRef, ...]]]) -> Change:
        """Move the entries of a very large change into parts, which are durable before the commit names them."""
        pieces = list(columns.chunks(change.entries, _weight))
        if len(pieces) <= 1:
            return change
        entries, refs = parts.get(change.id, ((), ()))
        if entries != change.entries:
            refs = tuple(self._put_part(piece) for piece in pieces)
            parts[change.id] = (change.entries, refs)
        return msgspec.structs.replace(change, entries=(), parts=refs)

    def _put_part(self, piece: Sequence[Entry]) -> PartRef:
        data = encode_part(piece, secrets.token_hex(16), self._digest)
        digest = self._digest(data)
        self._backend.put_named(keys.part(self._folder, digest), data)
        return PartRef(digest=digest, rows=len(piece), first=piece[0].path, last=piece[-1].path)

    def _won(self, attempt: _Attempt, digest: str, written: int) -> None:
        for job, appended in attempt.answers:
            job.appended = appended
        for numbered in attempt.changes:
            for path, address in numbered.shadows:
                logger.warning("%r was logged under that name: it hides what %r led to before.", path, address)
        if written != attempt.time:
            # The clock here is far ahead, and what everybody reads is the store's time. So read it, too.
            self._head.newest()
            return
        state = attempt.state.followed_by(attempt.fold.delta(), digest=digest, time=written)
        self._head.learn(state)


def _weight(entry: Entry) -> int:
    return len(entry.path) + _ENTRY_BYTES + (0 if entry.at is None else len(sealed.encode(entry.at)))
