"""The log of one artifact root: everything that ever happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.appending import Appender
from mlflow_versioned_store.history.checkpoints import Checkpoints
from mlflow_versioned_store.history.commits import Commits
from mlflow_versioned_store.history.heads import Head
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Change, Commit, Draft, Entry
from mlflow_versioned_store.history.sealed import digest_named
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.verification import Verified, verify
from mlflow_versioned_store.history.versions import Place, Version
from mlflow_versioned_store.pools import Pool, in_order
from mlflow_versioned_store.roots import root_in_words

_COMMITS_AT_ONCE = 8
_reading = Pool("history", lambda: _COMMITS_AT_ONCE)


class Located(NamedTuple):
    """Where a version's bytes are.

    Args:
        version: The version.
        at: What the content layer recorded for it.
        content: What `at` refers to: the change's own content.
        place: The commit and change that say so; inline frames are there, see `Log.frames`.
    """

    version: Version
    at: Any
    content: dict[str, Any]
    place: Place


class Log:
    """The log of one artifact root. Safe from many threads, processes and machines at once.

    Args:
        backend: Where the store is; repeats reads and never repeats a create.
        folder: The log's folder: `keys.log(root)`, or `keys.SETTINGS_LOG`.
        root: The artifact root; every commit names it.
        digest: The store's digest algorithm, "blake3" or "sha256".
        short: Few commits are expected: they are read one by one from the first, without a list.

    Raises:
        Unsupported: The digest algorithm is unknown to this release.
    """

    def __init__(
        self, backend: Backend, folder: str, *, root: str, digest: str = "blake3", short: bool = False
    ) -> None:
        function = digest_named(digest)
        self.root = root
        self.folder = folder
        self._commits = Commits(backend, folder, root, function)
        checkpoints = Checkpoints(backend, folder, root, function)
        self._head = Head(backend, folder, root, self._commits, checkpoints)
        if short:
            self._head.learn(State(root))
        self._appender = Appender(backend, folder, root, function, self._commits, self._head)

    def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Commit `drafts` as one atomic commit, and return what became of each.

        Calls that come while another one of this process is under way are committed together; a lone call never
        waits. One put for a process that knows the head, and one list and one get before it for one that does not; a
        put more about every 64 commits, for a checkpoint. Each race lost to another process costs a put and a get or
        two more. An error leaves nothing behind, except `OutcomeUnknown`.

        Raises:
            InvalidInput: A draft could not be read back.
            NotFound: A draft is about a version that does not exist.
            OutcomeUnknown: The store stopped answering: the commit may have been written. The same drafts may be
                appended again, and are found if they were.
            Unavailable: Nothing was written.
            Damaged: The log cannot be gone on with.
        """
        return self._appender.append(drafts)

    def state(self, *, refresh: bool = True) -> State:
        """Return the newest state.

        One request, and one for each commit that is new to this process; a cold process lists, and reads the head.

        Args:
            refresh: Ask the store; otherwise the newest state that this process knows, if it knows any, is returned.

        Raises:
            Damaged: A commit is missing or damaged.
        """
        known = None if refresh else self._head.known()
        return known or self._head.newest()

    def state_at(self, *, commit: int | None = None, time: datetime | None = None) -> State:
        """Return the state as of a commit, or as of a time (with a time zone): after the last commit not later.

        One request beyond the newest state for a commit, some log2(commits) for a time.

        Raises:
            NotFound: There is no such commit (yet), or nothing was committed before that time.
            InvalidInput: Not exactly one of `commit` and `time` was given, or the time has no time zone.
        """
        if commit is not None and time is not None:
            raise InvalidInput("Ask for the state at a commit or at a time, not at both.")
        head = self.state()
        if time is not None:
            commit = self._commit_at(head, time)
        if commit is None:
            raise InvalidInput("Ask for the state at a commit or at a time.")
        if not 1 <= commit <= head.number:
            there = f"its newest is {head.number}" if head.number else "it has none yet"
            raise NotFound(f"There is no commit {commit} of {root_in_words(self.root)}; {there}.")
        return head if commit == head.number else self._head.at(self._commits.required(commit), head)

    def commit(self, number: int) -> Commit:
        """Return commit `number`. At most one request. The entries of a very large change are in `entries`.

        Raises:
            NotFound: There is no such commit.
            Damaged: It is damaged.
        """
        return self._commits.fetch(number)

    def entries(self, change: Change) -> Sequence[Entry]:
        """Return all entries of a change. No request, except one a part of a very large change.

        Raises:
            Damaged: A part is missing or damaged.
        """
        return self._commits.entries(change)

    def commits(self, *, newest_first: bool = True, oldest: int = 1) -> Iterator[Commit]:
        """Yield the commits, one request each, read in parallel ahead of those that were taken.

        Args:
            newest_first: Go back from the head to the oldest; otherwise from the oldest on.
            oldest: The commit that is the oldest of them.

        Raises:
            Damaged: A commit is missing or damaged.
        """
        numbers = range(max(oldest, 1), self.state().number + 1)
        wanted = reversed(numbers) if newest_first else numbers
        return in_order(lambda number: _reading.submit(self._commits.required, number), wanted)

    def frames(self, number: int, change: int) -> memoryview:
        """Return the inline frames of change `change` (from 0) of commit `number`, checked. At most one request.

        Raises:
            Damaged: They were purged or are damaged.
        """
        return self._commits.frames(number, change)

    def locate(self, versions: Iterable[Version]) -> list[Located]:
        """Return where the bytes of `versions` are, in their order. One request a commit (and part) that is not known.

        Raises:
            Damaged: A commit or part is missing or damaged.
        """
        wanted = list(versions)
        located: dict[int, Located] = {}
        # Commit by commit, so that each is read once however many versions it made.
        for index in sorted(range(len(wanted)), key=lambda index: wanted[index].place):
            place = wanted[index].place
            commit = self._commits.required(place.commit)
            change = self._commits.change(commit, place.change)
            entry = self._commits.entry(change, place.entry)
            located[index] = Located(wanted[index], entry.at, change.content, place)
        return [located[index] for index in range(len(wanted))]

    def verify(self) -> Verified:
        """Check every commit, the chain that links them and all inline frames. One request a commit and one a thousand.

        Raises:
            Unavailable: The store cannot be reached; nothing is said of the log.
        """
        return verify(self._commits)

    def _commit_at(self, head: State, when: datetime) -> int:
        """Return the number of the last commit not later than `when`. Times never decrease along a log."""
        if when.tzinfo is None:
            raise InvalidInput(f"The time {when} has no time zone.")
        time = when.timestamp() * 1000
        low, high = 0, head.number + 1
        if head.time <= time:
            return head.number
        while high - low > 1:
            middle = (low + high) // 2
            if self._commits.required(middle).time <= time:
                low = middle
            else:
                high = middle
        if not low:
            first = datetime.fromtimestamp(self._commits.required(1).time / 1000, UTC)
            raise NotFound(
                f"Nothing had been committed to {root_in_words(self.root)} by {when.isoformat()}; "
                f"its first commit is of {first.isoformat(timespec='milliseconds')}."
            )
        return low
