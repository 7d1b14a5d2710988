"""Reading the commits of one log: records, entries in parts, inline frames; each checked, the last ones kept."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, Buffer
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.errors import Damaged, NotFound, ObjectMissing
from mlflow_versioned_store.history.records import Change, Commit, Entry, decode_commit, decode_part
from mlflow_versioned_store.history.sealed import Digest

CLOCK_AHEAD_MAX = timedelta(minutes=5)
_OBJECT_BYTES_MAX = 128 << 20
_KEPT_MAX = 64
_KEPT_BYTES_MAX = 16 << 20
# What a decoded entry takes in memory, about.
_ENTRY_BYTES = 400


@dataclass(frozen=True, slots=True)
class _Kept:
    commit: Commit
    frames: Buffer


class Commits:
    """The commits of one log, as a reader sees them.

    Args:
        backend: Where the log is.
        folder: The log's folder.
        root: The artifact root, which every commit must name.
        digest: The store's digest function.
    """

    def __init__(self, backend: Backend, folder: str, root: str, digest: Digest) -> None:
        self._backend = backend
        self._folder = folder
        self._root = root
        self._digest = digest
        self._lock = fork_safe_lock()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._last_part: tuple[str, Sequence[Entry]] = ("", ())

    def fetch(self, number: int) -> Commit:
        """Return commit `number`. One request, none for one of the last 64 that were read.

        Raises:
            NotFound: There is none (yet).
            Damaged: The object there is not that commit.
            Unsupported: A newer release wrote it.
        """
        return self._fetch(number).commit

    def required(self, number: int) -> Commit:
        """Return commit `number`, which is known to have been written.

        Raises:
            ObjectMissing: It is gone.
            Damaged: The object there is not that commit.
        """
        try:
            return self.fetch(number)
        except NotFound as missing:
            raise self.missing(number) from missing

    def missing(self, number: int) -> ObjectMissing:
        """Return the error for a commit that must be there and is not."""
        key = keys.commit(self._folder, number)
        return ObjectMissing(
            f"Commit {number} of {self._root!r} is gone ({self._backend.location}, {key}), though later ones exist. "
            "Restore it from a copy of the bucket.",
            key=key,
        )

    def highest(self) -> int:
        """Return the highest number that any commit has, gaps or not; 0 for none. One request a thousand commits."""
        listed = self._backend.list(keys.commits(self._folder))
        return max((number for info in listed if (number := keys.commit_number(info.key)) is not None), default=0)

    def entries(self, change: Change) -> Sequence[Entry]:
        """Return all entries of a change. One request a part where it has parts.

        Raises:
            Damaged: A part is gone or is not what the commit names.
        """
        if not change.parts:
            return change.entries
        return [entry for at in range(len(change.parts)) for entry in self._part(change, at)]

    def change(self, commit: Commit, index: int) -> Change:
        """Return change `index` (from 0) of a commit.

        Raises:
            Damaged: There is no such change.
        """
        if index < len(commit.changes):
            return commit.changes[index]
        raise Damaged(f"Commit {commit.number} of {self._root!r} has no change {index}. Verify the log.")

    def entry(self, change: Change, index: int) -> Entry:
        """Return entry `index` (from 0) of a change. At most one request.

        Raises:
            Damaged: There is no such entry, or its part is gone or is not what the commit names.
        """
        if not change.parts:
            if index < len(change.entries):
                return change.entries[index]
        else:
            for at, part in enumerate(change.parts):
                if index < part.rows:
                    return self._part(change, at)[index]
                index -= part.rows
        raise Damaged(f"Change {change.id} of {self._root!r} has no entry {index}. Verify the log.")

    def frames(self, number: int, change: int) -> memoryview:
        """Return the inline frames of change `change` (from 0) of commit `number`, checked. At most one request.

        Raises:
            Damaged: They are gone, or are not what the record names.
        """
        kept = self._fetch(number)
        key = keys.commit(self._folder, number)
        named = self.change(kept.commit, change).frames
        if named is None:
            raise Damaged(f"Change {change} of commit {number} of {self._root!r} has no inline frames.", key=key)
        frames = memoryview(kept.frames)[named.offset : named.offset + named.length]
        if len(frames) != named.length or self._digest(frames) != named.digest:
            raise Damaged(
                f"The inline frames of commit {number} of {self._root!r} are damaged or were purged ({key}). "
                "Restore the object from a copy of the bucket.",
                key=key,
            )
        return frames

    def forget(self, number: int) -> None:
        """Forget what was read of commit `number`."""
        with self._lock:
            self._drop(number)

    def _fetch(self, number: int) -> _Kept:
        with self._lock:
            kept = self._kept.get(number)
            if kept is not None:
                self._kept.move_to_end(number)
                return kept
        key = keys.commit(self._folder, number)
        fetched = self._backend.get(key, stop=_OBJECT_BYTES_MAX)
        commit, end = decode_commit(fetched.data, self._digest, key)
        if (commit.root, commit.number) != (self._root, number):
            raise Damaged(
                f"{key} holds commit {commit.number} of {commit.root!r}, not commit {number} of {self._root!r}. "
                "Somebody copied it there; restore the right object.",
                key=key,
            )
        commit = _on_time(commit, fetched.info.modified)
        kept = _Kept(commit, bytes(memoryview(fetched.data)[end:]))
        self._keep(number, kept)
        return kept

    def _keep(self, number: int, kept: _Kept) -> None:
        with self._lock:
            self._drop(number)
            self._kept[number] = kept
            self._kept_bytes += _bytes_of(kept)
            while len(self._kept) > _KEPT_MAX or (self._kept_bytes > _KEPT_BYTES_MAX and len(self._kept) > 1):
                self._drop(next(iter(self._kept)))

    def _drop(self, number: int) -> None:
        kept = self._kept.pop(number, None)
        if kept is not None:
            self._kept_bytes -= _bytes_of(kept)

    def _part(self, change: Change, at: int) -> Sequence[Entry]:
        ref = change.parts[at]
        digest, entries = self._last_part
        if digest == ref.digest:
            return entries
        key = keys.part(self._folder, ref.digest)
        try:
            data = self._backend.get(key, stop=_OBJECT_BYTES_MAX).data
        except NotFound as missing:
            raise ObjectMissing(
                f"A part of change {change.id} of {self._root!r} is gone ({key}). "
                "Restore it from a copy of the bucket.",
                key=key,
            ) from missing
        entries = decode_part(data, ref, self._digest, key)
        self._last_part = (ref.digest, entries)
        return entries


def root_at(backend: Backend, folder: str, digest: Digest) -> str:
    """Return the artifact root whose log is in `folder`: where the key has no name, its first commit tells it.

    At most one request.

    Raises:
        ObjectMissing: There is no first commit.
        Damaged: It is not one of that log.
    """
    root = keys.root_of_log(folder)
    if root is not None:
        return root
    key = keys.commit(folder, 1)
    try:
        data = backend.get(key, stop=_OBJECT_BYTES_MAX).data
    except NotFound as missing:
        raise ObjectMissing(f"The log {folder} has no first commit. Restore {key} from a copy.", key=key) from missing
    root = decode_commit(data, digest, key)[0].root
    if keys.log(root) != folder:
        raise Damaged(f"{key} holds a commit of {root!r}, whose log is elsewhere. Restore the right object.", key=key)
    return root


def effective_time(time: int, written: datetime) -> int:
    """Return the time that counts for a commit, in milliseconds since 1970 UTC.

    Args:
        time: What its record says.
        written: When its object was written by the store's clock.
    """
    latest = written + CLOCK_AHEAD_MAX
    return int(written.timestamp() * 1000) if time > latest.timestamp() * 1000 else time


def _on_time(commit: Commit, written: datetime) -> Commit:
    time = effective_time(commit.time, written)
    return commit if time == commit.time else dataclasses.replace(commit, time=time)


def _bytes_of(kept: _Kept) -> int:
    entries = sum(len(change.entries) for change in kept.commit.changes)
    return len(kept.commit.record) + len(kept.frames) + entries * _ENTRY_BYTES
