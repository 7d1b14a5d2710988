"""The newest commit of a log: finding it, and following it as others commit."""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.errors import Damaged, NotFound
from mlflow_versioned_store.history.checkpoints import Checkpoints, Rebuild
from mlflow_versioned_store.history.commits import Commits
from mlflow_versioned_store.history.folding import Fold, fold
from mlflow_versioned_store.history.layers import Delta, Overlay
from mlflow_versioned_store.history.records import CheckpointRef, Commit
from mlflow_versioned_store.history.sealed import reading
from mlflow_versioned_store.history.state import State

# Whoever is further behind than this many commits looks for the head anew instead of reading one after the other.
_FOLLOWED_MAX = 16


class Head:
    """What this process knows of the newest state of one log.

    Args:
        backend: Where the log is.
        folder: The log's folder.
        root: The artifact root.
        commits: The log's commits.
        checkpoints: The log's checkpoints.
    """

    def __init__(self, backend: Backend, folder: str, root: str, commits: Commits, checkpoints: Checkpoints) -> None:
        self._backend = backend
        self._folder = folder
        self._root = root
        self._commits = commits
        self._checkpoints = checkpoints
        self._lock = fork_safe_lock()
        self._known: State | None = None

    def known(self) -> State | None:
        """Return the newest state that this process knows, without a request."""
        return self._known

    def learn(self, state: State) -> None:
        """Remember `state` where it is not older than what is known."""
        with self._lock:
            if self._known is None or state.number >= self._known.number:
                self._known = state

    def newest(self) -> State:
        """Return the newest state. One request and one a new commit; a cold process lists instead.

        Raises:
            Damaged: A commit is missing or damaged.
        """
        known = self._known
        state = self._find(None) if known is None else self.follow(known)
        self.learn(state)
        return state

    def follow(self, state: State) -> State:
        """Return the newest state, read from `state` on.

        Raises:
            Damaged: A commit is missing, damaged, or not the child of the one before.
        """
        for _ in range(_FOLLOWED_MAX):
            try:
                commit = self._commits.fetch(state.number + 1)
            except NotFound:
                return state
            state = self.after(state, commit)
        return self._find(state)

    def after(self, state: State, commit: Commit) -> State:
        """Return the state after `commit`, the child of the newest commit of `state`.

        Raises:
            Damaged: It is not.
        """
        if commit.parent != state.digest:
            raise Damaged(
                f"Commit {commit.number} of {self._root!r} is not the child of commit {state.number} as it was read "
                "before. One of them was replaced; verify the log and restore it from a copy of the bucket.",
                key=keys.commit(self._folder, commit.number),
            )
        if commit.checkpoints != tuple(ref for ref, _ in state.checkpoints):
            return self.at(commit, state)
        delta = fold(state, commit, commit.time, self._commits.entries)
        return state.followed_by(delta, digest=commit.digest, time=commit.time)

    def at(self, commit: Commit, near: State | None = None) -> State:
        """Return the state after `commit`, from what it says itself; no request for now.

        Args:
            commit: The commit.
            near: A state whose checkpoints may serve again.

        Raises:
            Damaged: What it says of the commits before cannot be.
        """
        at_hand = dict(near.checkpoints) if near is not None else {}
        rebuild = self._rebuild(commit.checkpoints)
        layers = [(ref, at_hand.get(ref) or self._checkpoints.layer(ref, rebuild)) for ref in commit.checkpoints]
        deltas: list[Delta] = []
        number = commit.checkpoints[0].number if commit.checkpoints else 0
        with reading(keys.commit(self._folder, commit.number)):
            for text in commit.since:
                number += 1
                deltas.append(Delta.of_text(text))
                if deltas[-1].number != number:
                    raise ValueError("the changes since its checkpoint are not in order")
            if number != commit.number - 1:
                raise ValueError("the changes since its checkpoint are not all there")
        before = State(
            self._root,
            number=number,
            digest=commit.parent,
            checkpoints=layers,
            deltas=deltas,
        )
        delta = fold(before, commit, commit.time, self._commits.entries)
        return before.followed_by(delta, digest=commit.digest, time=commit.time)

    def save_checkpoint(self, state: State) -> State:
        """Write a checkpoint of `state` and return the state that leans on it. See `Checkpoints.save`."""
        return self._checkpoints.save(state, self._rebuild([ref for ref, _ in state.checkpoints]))

    def _rebuild(self, refs: Sequence[CheckpointRef]) -> Rebuild:
        return lambda ref: self._refold(ref, [other for other in refs if other.number < ref.first])

    def _refold(self, ref: CheckpointRef, older: Sequence[CheckpointRef]) -> Overlay:
        """Fold the commits of a checkpoint that cannot be read. One request a commit."""
        rebuild = self._rebuild(older)
        before = State(self._root, checkpoints=[(other, self._checkpoints.layer(other, rebuild)) for other in older])
        folding = Fold(before, ref.first, 0)
        for number in range(ref.first, ref.number + 1):
            commit = self._commits.required(number)
            folding.number, folding.time = number, commit.time
            for index, change in enumerate(commit.changes):
                folding.apply(self._commits.entries(change), index)
        delta = folding.delta()
        return Overlay(delta.rows, delta.notes)

    def _find(self, near: State | None) -> State:
        number = self._listed() if self._backend.capabilities.ordered_list else self._galloped()
        if near is not None and number <= near.number:
            return near
        if not number:
            return State(self._root)
        return self.at(self._commits.required(number), near)

    def _listed(self) -> int:
        """Return the number of the newest commit, 0 for none. One request, more where foreign keys are in the way."""
        after: str | None = None
        limit: int | None = 1
        while True:
            page = list(self._backend.list(keys.commits(self._folder), after=after, limit=limit))
            numbers = [number for info in page if (number := keys.commit_number(info.key)) is not None]
            if numbers:
                return max(numbers)
            if not page or limit is None:
                return 0
            # A foreign object sorts first; this never happens in a healthy log, so everything is looked at.
            after, limit = page[-1].key, None

    def _galloped(self) -> int:
        """Return the number of the newest commit, 0 for none. Some 2 log2(commits) requests."""
        low = self._gallop_from(0)
        # Numbers have no gaps. If one is missing all the same, what lies beyond must not be taken for the end.
        for step in (2, 4):
            if self._exists(low + step):
                raise self._commits.missing(low + 1)
        return low

    def _gallop_from(self, low: int) -> int:
        step = 1
        while self._exists(low + step):
            low += step
            step *= 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            if self._exists(middle):
                low = middle
            else:
                high = middle
        return low

    def _exists(self, number: int) -> bool:
        try:
            self._backend.head(keys.commit(self._folder, number))
        except NotFound:
            return False
        return True
