"""Everything of a store at or below one path, across all artifact roots in it.

MLflow builds repositories at any prefix: inside an artifact root, at one, or far above many.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from mlflow_versioned_store import context
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.addresses import Resolved, resolve
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.roots import Place, clean_path, joined, place
from mlflow_versioned_store.store import ArtifactRoot, Item, Progress, Store


class Entry(NamedTuple):
    """A file or folder directly inside a folder.

    Args:
        name: Its last component.
        version: The version of a file; None for a folder.
    """

    name: str
    version: Version | None


class Found(NamedTuple):
    """A version, and where it lies below the path that was asked for.

    Args:
        path: Relative to that path; "" where the path is the version's own.
        root: The artifact root that has it.
        version: The version.
    """

    path: str
    root: ArtifactRoot
    version: Version


class Moment:
    """The artifact roots of a store, each as it was when it was first looked at."""

    def __init__(self) -> None:
        self._histories: dict[ArtifactRoot, _Pinned] = {}

    def resolve(self, root: ArtifactRoot, address: str) -> Resolved:
        """Return what an address leads to at this moment.

        Raises:
            NotFound: That is nothing; the message says what there is.
        """
        return resolve(self._histories.setdefault(root, _Pinned(root.log)), address)


class _Pinned:
    """A log whose newest state stays what it was."""

    def __init__(self, log: Log):
        self._log = log
        self._state: State | None = None

    def state(self) -> State:
        if self._state is None:
            self._state = self._log.state()
        return self._state

    def state_at(self, *, commit: int | None = None, time: datetime | None = None) -> State:
        return self._log.state_at(commit=commit, time=time)


class Tree:
    """Everything of a store at or below one path, read at one moment.

    Args:
        store: The store.
        prefix: The path inside it; addresses such as "d@c5" may be part of it, and of every path below.
        context: Says of an artifact root who changes it.
        moment: The moment; by default that of the first look.
    """

    def __init__(
        self,
        store: Store,
        prefix: str,
        *,
        context: Callable[[str], Context] = context.here,
        moment: Moment | None = None,
    ):
        self._store = store
        self._prefix = prefix
        self._context = context
        self._moment = moment or Moment()

    def upload(self, items: Sequence[Item], progress: Progress | None = None) -> None:
        """Log all items in one atomic change for each artifact root: one, unless the tree lies above them."""
        base = place(clean_path(self._prefix))
        if base.root:
            # The root that holds the prefix holds all below it; thousands of items need not be placed one by one.
            prefix = f"{base.path}/" if base.path else ""
            changes = {base.root: [Item(prefix + item.path, item.source) for item in items] if prefix else list(items)}
        else:
            changes = self._by_root(items)
        for name, changed in changes.items():
            self._store.root(name).upload(changed, context=self._context(name), progress=progress)

    def _by_root(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        changes: dict[str, list[Item]] = {}
        for item in items:
            at = self._place(item.path)
            if not at.path:
                raise InvalidInput(f"{item.path!r} is where an artifact root is; log into it, not in its place.")
            changes.setdefault(at.root, []).append(Item(at.path, item.source))
        return changes

    def take(self, taken: Sequence[tuple[Found, str]]) -> None:
        """Make versions at paths out of versions of this store, in one atomic change for each artifact root.

        Their bytes stay where they are, as far as the artifact roots may share them.
        """
        changes: dict[str, list[Taken]] = {}
        for found, path in taken:
            at = self._place(path)
            changes.setdefault(at.root, []).append(Taken(found.root, found.version, at.path))
        for name, changed in changes.items():
            take(self._store.root(name), changed, operation="upload", context=self._context(name))

    def children(self, path: str) -> list[Entry]:
        """Return what lies directly inside a folder, sorted by name; nothing for a file or what does not exist."""
        at = self._place(path)
        found = self._look(at)
        entries: list[Entry] = []
        if found is not None and found.version is None:
            entries += (Entry(*child) for child in found.state.children(found.path))
        if not at.root:
            known = {entry.name for entry in entries if entry.version is None}
            entries += [Entry(name, None) for name in self._store.folders(at.path) if name not in known]
        return sorted(entries, key=lambda entry: entry.name)

    def files(self, path: str) -> list[Found]:
        """Return every file and empty folder at or below a path, read at one state of each artifact root.

        A file, and a folder that was logged empty, is found alone, with the path ""; what does not exist gives an empty
        list.
        """
        at = self._place(path)
        found = list(self._at_or_below(at))
        if not at.root and not (found and not found[0].path):
            for name in self._roots_below(at.path):
                relative = posixpath.relpath(name, at.path or ".")
                found += (
                    inner._replace(path=joined(relative, inner.path)) for inner in self._at_or_below(Place(name, ""))
                )
        return found

    def file(self, path: str) -> Found | None:
        """Return the version of a file, or None where there is none."""
        at = self._place(path)
        found = self._look(at) if at.path else None
        return None if found is None or found.version is None else Found("", self._store.root(at.root), found.version)

    def is_folder(self, path: str) -> bool:
        """Tell whether a path is a folder: the store, an artifact root with a history, or where something lies below.

        At most one listing beyond what the state of an artifact root costs.
        """
        at = self._place(path)
        found = self._look(at)
        if found is not None:
            return found.version is None and bool(found.path or found.state.number or not at.root)
        return not at.root and bool(self._store.folders(at.path))

    def check(self, path: str) -> None:
        """Check that a path leads somewhere.

        Raises:
            NotFound: It does not; the message says what there is instead.
        """
        at = self._place(path)
        self._moment.resolve(self._store.root(at.root), at.path)

    def delete(self, path: str) -> int:
        """Record everything at or below a path as deleted, and return how many paths that were.

        Raises:
            InvalidInput: The path is the address of a version, and versions never change.
        """
        self.check_plain(path)
        at = self._place(path)
        count = self._store.root(at.root).delete(at.path, context=self._context(at.root))
        if not at.root:
            for name in self._roots_below(at.path):
                count += self._store.root(name).delete("", context=self._context(name))
        return count

    def check_plain(self, path: str) -> None:
        """Check that a path is not the address of a version.

        Raises:
            InvalidInput: It is, and versions never change.
        """
        at = self._place(path)
        found = self._look(at) if "@" in at.path else None
        if found is not None and found.path != at.path:
            raise InvalidInput(
                f"{at.path!r} is an address of {found.path!r}; versions never change and cannot be deleted alone."
                f" Write or delete {found.path!r}: that is recorded, and its versions stay."
            )

    def _place(self, path: str) -> Place:
        return self._store.place(joined(self._prefix, path))

    def _look(self, at: Place) -> Resolved | None:
        try:
            return self._moment.resolve(self._store.root(at.root), at.path)
        except NotFound:
            return None

    def _roots_below(self, path: str) -> Iterator[str]:
        return (name for name in self._store.roots_below(path) if name and name != path)

    def _at_or_below(self, at: Place) -> Iterator[Found]:
        root, found = self._store.root(at.root), self._look(at)
        if found is None:
            return
        if found.version is not None:
            yield Found("", root, found.version)
            return
        skipped = len(found.path) + 1 if found.path else 0
        hollow = found.state.get(found.path) if found.path else None
        for version in found.state.walk(found.path):
            hollow = None
            yield Found(version.path[skipped:], root, version)
        if hollow is not None:
            # An empty folder that was asked for is its own only entry.
            yield Found("", root, hollow)
