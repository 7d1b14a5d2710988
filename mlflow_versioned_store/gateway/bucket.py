"""A store as an S3 bucket: a version's path inside the store is its key, its number the S3 version id."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.gateway.failures import invalid
from mlflow_versioned_store.gateway.listing import (
    Listed,
    PathsOf,
    SortedPaths,
    Wanted,
    all_paths,
    current_paths,
    grouped,
    has_passed,
)
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import Place, clean_path, joined, place
from mlflow_versioned_store.store import ArtifactRoot, Store

# What S3 calls a version that was made before there were any.
_UNVERSIONED = "null"
_VERSION_ID = re.compile(r"([vd])([1-9][0-9]{0,11})")


class Found(NamedTuple):
    """A version and the artifact root that has it; or the tombstone that ended it."""

    root: ArtifactRoot
    version: Version
    is_tombstone: bool = False


class Shown(NamedTuple):
    """One line of a listing of versions.

    Args:
        key: The key.
        version: The version, or the one that a tombstone ended.
        is_tombstone: Whether this is the tombstone.
        is_latest: Whether the plain key leads here.
    """

    key: str
    version: Version
    is_tombstone: bool
    is_latest: bool

    @property
    def version_id(self) -> str:
        """Its S3 version id."""
        return version_id(self.version, is_tombstone=self.is_tombstone)


def version_id(version: Version, *, is_tombstone: bool = False) -> str:
    """Return the S3 version id of a version, "v3", or of the tombstone that ended it, "d3"."""
    return f"{'d' if is_tombstone else 'v'}{version.number}"


class Bucket:
    """The objects of one store, by the names that S3 gives them.

    Args:
        name: The bucket's name.
        store: The store.
        path: The bucket holds what is below this path of the store, and keys are relative to it.
    """

    def __init__(self, name: str, store: Store, path: str = ""):
        self.name = name
        self._store = store
        self._above = f"{clean_path(path)}/" if path else ""
        self._paths = SortedPaths()

    @property
    def created(self) -> datetime:
        """When the store was made, UTC."""
        return datetime.fromisoformat(self._store.marker.created)

    def find(self, key: str, version: str | None = None) -> Found | None:
        """Return what a key or an address leads to, or None where there certainly is nothing.

        Args:
            key: The key; without a version it may be an address, such as "a.csv@v2".
            version: An S3 version id.

        Raises:
            S3Error: The version id can never name anything.
            VersionedStoreError: The store could not be read.
        """
        if not _is_path(key):
            return None
        at = self._place(key)
        if not at.path:
            return None
        root = self._store.root(at.root)
        if version is not None:
            return _numbered(root, at.path, version)
        found = root.resolve(at.path)
        if isinstance(found, Version):
            return Found(root, found) if found.kind == "file" else None
        latest = root.log.state(refresh=False).latest(at.path)
        is_deleted = found is None and latest is not None and latest.deleted and latest.kind == "file"
        return Found(root, latest, is_tombstone=True) if latest is not None and is_deleted else None

    def keys(self, wanted: Wanted, *, refresh: bool = True) -> Iterator[tuple[str, Version | None]]:
        """Yield current keys with their versions, and common prefixes with None, in order.

        Args:
            wanted: What is listed.
            refresh: Ask the store what is new; a page after the first goes on with what is known.
        """
        for listed in self._listed(wanted, current_paths, refresh=refresh):
            at = self._place(listed.key)
            state = self._store.root(at.root).log.state(refresh=False)
            yield listed.key, None if listed.is_prefix else state.get(at.path)

    def versions(self, wanted: Wanted, *, refresh: bool = True) -> Iterator[str | Shown]:
        """Yield the versions of each key, the newest first, and common prefixes, in order; see `keys`."""
        for listed in self._listed(wanted, all_paths, refresh=refresh):
            if listed.is_prefix:
                yield listed.key
                continue
            at = self._place(listed.key)
            yield from _shown(listed.key, self._store.root(at.root).log.state(refresh=False).versions(at.path))

    def _place(self, key: str) -> Place:
        return place(clean_path(self._above + key))

    def _listed(self, wanted: Wanted, paths_of: PathsOf, *, refresh: bool) -> Iterator[Listed]:
        inner = Wanted(
            self._above + wanted.prefix, wanted.delimiter, self._above + wanted.after if wanted.after else ""
        )
        folder = inner.prefix.rpartition("/")[0]
        if not _is_path(folder):
            return
        root = place(folder).root
        found = self._in_root(root, inner, paths_of, refresh=refresh)
        if not root:
            below = self._in_roots(folder, inner, paths_of, refresh=refresh)
            found = heapq.merge(found, below, key=lambda listed: listed.key)
        # A folder may hold files of the store's own root and artifact roots, and is one common prefix all the same.
        for _, same in groupby(found, key=lambda listed: listed.key):
            listed = next(same)
            yield listed._replace(key=listed.key[len(self._above) :])

    def _in_root(self, name: str, wanted: Wanted, paths_of: PathsOf, *, refresh: bool) -> Iterator[Listed]:
        state = self._store.root(name).log.state(refresh=refresh)
        return grouped(self._paths.of(state, paths_of), f"{name}/" if name else "", wanted)

    def _in_roots(self, folder: str, wanted: Wanted, paths_of: PathsOf, *, refresh: bool) -> Iterator[Listed]:
        if wanted.delimiter == "/":
            for prefix in self._prefixes_of_roots(folder):
                if prefix.startswith(wanted.prefix) and prefix > wanted.after and not wanted.after.startswith(prefix):
                    yield Listed(prefix, is_prefix=True)
            return
        for below in sorted(f"{name}/" for name in self._store.roots_below(folder) if name):
            is_wanted = below.startswith(wanted.prefix) or wanted.prefix.startswith(below)
            if is_wanted and not has_passed(below, wanted.after):
                yield from self._in_root(below[:-1], wanted, paths_of, refresh=refresh)

    def _prefixes_of_roots(self, folder: str) -> list[str]:
        """Return the prefixes one level below a folder that lead to artifact roots. One listing."""
        return sorted(f"{joined(folder, name)}/" for name in self._store.folders(folder))


def _is_path(text: str) -> bool:
    """Tell whether a key can be a path as it is: S3 never tidies one, so "a//b" is not "a/b"."""
    try:
        return clean_path(text) == text
    except InvalidInput:
        return False


def _numbered(root: ArtifactRoot, path: str, wanted: str) -> Found | None:
    if wanted == _UNVERSIONED:
        return None
    match = _VERSION_ID.fullmatch(wanted)
    if match is None:
        raise invalid("Invalid version id specified")
    number = int(match[2])
    # What a version is never changes, so a state that knows it will do.
    version = root.log.state(refresh=False).version(path, number) or root.log.state().version(path, number)
    if version is None or not version.readable or version.kind != "file":
        return None
    if match[1] == "d":
        return Found(root, version, is_tombstone=True) if version.deleted else None
    return Found(root, version)


def _shown(key: str, versions: list[Version]) -> Iterator[Shown]:
    is_latest = True
    for version in reversed(versions):
        if version.kind != "file" or not version.readable:
            continue
        if version.deleted:
            yield Shown(key, version, is_tombstone=True, is_latest=is_latest)
            is_latest = False
        yield Shown(key, version, is_tombstone=False, is_latest=is_latest)
        is_latest = False
