"""The part of a store that one repository sees, across all artifact roots in it.

MLflow builds repositories at any prefix: inside an artifact root, at one, or far above many.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.mlflow_plugin.origin import origin
from mlflow_versioned_store.mlflow_plugin.paths import joined
from mlflow_versioned_store.roots import Place, clean_path, place
from mlflow_versioned_store.store import ArtifactRoot, Folder, Item, Progress, Store


class Entry(NamedTuple):
    """A file or folder directly inside a folder.

    Args:
        name: Its last component.
        size: Bytes; None for a folder.
    """

    name: str
    size: int | None


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


class Tree:
    """Everything of a store at or below one path.

    Args:
        store: The store.
        prefix: The path inside it; addresses such as "d@c5" may be part of it, and of every path below.
    """

    def __init__(self, store: Store, prefix: str):
        self._store = store
        self._prefix = prefix

    def upload(self, items: Sequence[Item], progress: Progress | None = None) -> None:
        """Log all items in one atomic change for each artifact root: one, unless the tree lies above them."""
        base = place(clean_path(self._prefix))
        if base.root:
            # The root that holds the prefix holds all below it; thousands of items need not be placed one by one.
            changes = {base.root: [Item(joined(base.path, item.path), item.source) for item in items]}
        else:
            changes = self._by_root(items)
        for name, changed in changes.items():
            self._store.root(name).upload(changed, context=origin(name), progress=progress)

    def _by_root(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        changes: dict[str, list[Item]] = {}
        for item in items:
            at = self._place(item.path)
            if not at.path:
                raise InvalidInput(f"{item.path!r} is where an artifact root is; log into it, not in its place.")
            changes.setdefault(at.root, []).append(Item(at.path, item.source))
        return changes

    def children(self, path: str) -> list[Entry]:
        """Return what lies directly inside a folder, sorted by name; nothing for a file or what does not exist."""
        at = self._place(path)
        children = self._store.root(at.root).children(at.path)
        entries = [Entry(child.name, None if child.is_folder else child.size) for child in children]
        if not at.root:
            known = {entry.name for entry in entries if entry.size is None}
            below = {name.split("/", 1)[0] for name, _ in self._roots_below(at.path)}
            entries += [Entry(name, None) for name in below - known]
        return sorted(entries, key=lambda entry: entry.name)

    def files(self, path: str) -> list[Found]:
        """Return every file and empty folder at or below a path, read at one state of each artifact root.

        A file is found alone, with the path ""; what does not exist gives an empty list.
        """
        at = self._place(path)
        found = list(_at_or_below(self._store.root(at.root), at.path))
        if not at.root and not (found and not found[0].path):
            for relative, root in self._roots_below(at.path):
                found += (inner._replace(path=joined(relative, inner.path)) for inner in _at_or_below(root, ""))
        return found

    def file(self, path: str) -> Found | None:
        """Return the version of a file, or None where there is none."""
        at = self._place(path)
        root = self._store.root(at.root)
        version = root.resolve(at.path) if at.path else None
        return Found("", root, version) if isinstance(version, Version) and version.kind == "file" else None

    def delete(self, path: str) -> int:
        """Record everything at or below a path as deleted, and return how many paths that were.

        Raises:
            InvalidInput: The path is the address of a version, and versions never change.
        """
        at = self._place(path)
        if "@" in at.path:
            self._refuse_address(at)
        count = self._store.root(at.root).delete(at.path, context=origin(at.root))
        if not at.root:
            for _, root in self._roots_below(at.path):
                count += root.delete("", context=origin(root.name))
        return count

    def _place(self, path: str) -> Place:
        return place(clean_path(joined(self._prefix, path)))

    def _roots_below(self, path: str) -> Iterator[tuple[str, ArtifactRoot]]:
        for name in self._store.roots_below(path):
            if name and name != path:
                yield posixpath.relpath(name, path or "."), self._store.root(name)

    def _refuse_address(self, at: Place) -> None:
        found = self._store.root(at.root).resolve(at.path)
        if found is not None and found.path != at.path:
            raise InvalidInput(
                f"{at.path!r} is an address of {found.path!r}, and a version cannot be deleted on its own; delete"
                f" {found.path!r} to record it as gone from now on."
            )


def _at_or_below(root: ArtifactRoot, path: str) -> Iterator[Found]:
    found = root.resolve(path)
    if isinstance(found, Folder):
        skipped = len(found.path) + 1 if found.path else 0
        for version in found.state.walk(found.path):
            # An empty folder that was asked for is its own only entry.
            yield Found(version.path[skipped:], root, version)
    elif found is not None:
        yield Found("", root, found)
