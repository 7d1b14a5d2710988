"""What a commit does to state: every entry of every operation, folded into whole rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

import msgspec

from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.history.layers import Delta
from mlflow_versioned_store.history.paths import ancestors, behind, inside, sort_key
from mlflow_versioned_store.history.records import Change, Commit, Entry
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Place, Status, Version

_STATUS_AFTER: dict[str, Status] = {"expire": "expired", "purge": "purged"}


class Before(Protocol):
    """What a fold asks of what it starts from: a `State`, or another fold."""

    root: str

    def latest(self, path: str) -> Version | None:
        """Return the newest version of `path`."""

    def version(self, path: str, number: int) -> Version | None:
        """Return version `number` of `path`."""

    def below(self, folder: str) -> Iterator[Version]:
        """Yield what is current below `folder`."""

    def notes(self, path: str, number: int = 0) -> Mapping[str, Any]:
        """Return the annotations of a version, or with 0 of the path as such."""


class Fold:
    """The state after the changes of one commit that were folded so far.

    Args:
        before: The state before the commit.
        number: The commit.
        time: When it was made, in milliseconds since 1970 UTC.
    """

    def __init__(self, before: Before, number: int, time: int) -> None:
        self.before = before
        self.root = before.root
        self.number = number
        self.time = time
        self._latest: dict[str, Version] = {}
        # Rows of versions that are not the newest of their path.
        self._older: dict[tuple[str, int], Version] = {}
        self._folders: set[str] = {""}
        self._notes: dict[tuple[str, int], dict[str, Any]] = {}

    def latest(self, path: str) -> Version | None:
        """Return the newest version of `path`."""
        return self._latest.get(path) or self.before.latest(path)

    def get(self, path: str) -> Version | None:
        """Return the current version of `path`."""
        version = self.latest(path)
        return version if version is not None and version.status == "live" else None

    def version(self, path: str, number: int) -> Version | None:
        """Return version `number` of `path`."""
        latest = self._latest.get(path)
        if latest is not None and latest.number == number:
            return latest
        return self._older.get((path, number)) or self.before.version(path, number)

    def below(self, folder: str) -> Iterator[Version]:
        """Yield what is current below `folder`."""
        older = (version for version in self.before.below(folder) if version.path not in self._latest)
        return chain(older, self._made_below(folder)) if folder in self._folders else older

    def _made_below(self, folder: str) -> Iterator[Version]:
        start, end = inside(folder), behind(folder)
        for path, version in list(self._latest.items()):
            if version.status == "live" and (not folder or start <= sort_key(path) < end):
                yield version

    def apply(self, entries: Sequence[Entry], change: int) -> None:
        """Fold the entries of change number `change` (from 0).

        Raises:
            Damaged: An entry is about a version that never was.
        """
        for index, entry in enumerate(entries):
            self.apply_one(entry, change, index)

    def apply_one(self, entry: Entry, change: int, index: int) -> None:
        """Fold entry number `index` of a change; see `apply`."""
        if entry.action == "make":
            self._put(
                Version(
                    path=entry.path,
                    number=entry.version,
                    commit=self.number,
                    change=change,
                    entry=index,
                    size=entry.size,
                    sha256=entry.sha256,
                    time=self.time,
                    kind=entry.kind,
                )
            )
        elif entry.action == "delete":
            self._put(msgspec.structs.replace(self._meant(entry), status="deleted", ended=self.time))
        elif entry.action in _STATUS_AFTER:
            self._put(msgspec.structs.replace(self._meant(entry), status=_STATUS_AFTER[entry.action]))
        elif entry.action == "move":
            moved = Place(self.number, change, index)
            self._put(msgspec.structs.replace(self._meant(entry), moved=moved))
        elif entry.action == "annotate":
            self._annotate(entry)

    def notes(self, path: str, number: int = 0) -> Mapping[str, Any]:
        """Return the annotations of a version, or with 0 of the path as such."""
        place = (path, number)
        return self._notes[place] if place in self._notes else self.before.notes(path, number)

    def delta(self) -> Delta:
        """Return what was folded."""
        return Delta(self.number, [*self._latest.values(), *self._older.values()], dict(self._notes))

    def _put(self, version: Version) -> None:
        latest = self._latest.get(version.path)
        newest = latest
        if newest is None and version.commit != self.number:
            # An older version changed: what is newest stays what it was.
            newest = self.before.latest(version.path)
        if newest is not None and version.number < newest.number:
            self._older[version.path, version.number] = version
        else:
            if latest is not None and latest.number < version.number:
                self._older[latest.path, latest.number] = latest
            self._latest[version.path] = version
        for folder in ancestors(version.path):
            if folder in self._folders:
                break
            self._folders.add(folder)

    def _meant(self, entry: Entry) -> Version:
        version = self.version(entry.path, entry.version)
        if version is None:
            raise Damaged(
                f"Commit {self.number} of {self.root!r} is about version {entry.version} of {entry.path!r}, "
                "which never was. Verify the log and restore it from a copy of the bucket."
            )
        return version

    def _annotate(self, entry: Entry) -> None:
        merged = {**self.notes(entry.path, entry.version), **(entry.note or {})}
        self._notes[entry.path, entry.version] = {key: value for key, value in merged.items() if value is not None}


def fold(state: State, commit: Commit, time: int, entries: Callable[[Change], Sequence[Entry]]) -> Delta:
    """Return what `commit` does to the state before it.

    Args:
        state: The state before the commit.
        commit: The commit.
        time: Its time, once the store's clock has been heard.
        entries: Where to get a change's entries from.

    Raises:
        Damaged: An entry is about a version that never was.
    """
    folding = Fold(state, commit.number, time)
    for index, change in enumerate(commit.changes):
        folding.apply(entries(change), index)
    return folding.delta()
