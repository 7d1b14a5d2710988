"""Going back: the newest versions as plain objects under their own names, where MLflow alone looks for artifacts.

Nothing is lost by it. An object is replaced or removed only where it is a known version, and its bytes stay: as an
older object version of its bucket, or in the store, since the object is only a copy. All is looked at before anything
is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

from mlflow_versioned_store.artifact_root import ArtifactRoot, Progress
from mlflow_versioned_store.content.locations import Location, Native, Reference
from mlflow_versioned_store.direct.copying import copy_version
from mlflow_versioned_store.direct.destinations import Destination, There
from mlflow_versioned_store.direct.listing import NULL_VERSION
from mlflow_versioned_store.errors import Conflict
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import joined, place
from mlflow_versioned_store.store import Store

_AT_ONCE = 8
_NAMED_MAX = 5


class Exported(NamedTuple):
    """What was exported, or would be.

    Args:
        written: Objects that were written.
        size: Their bytes.
        copied: How many of these the server copied by itself.
        unchanged: Objects that were there already.
        removed: Objects that were removed, because their paths are deleted.
    """

    written: int = 0
    size: int = 0
    copied: int = 0
    unchanged: int = 0
    removed: int = 0


class _File(NamedTuple):
    """A path that is, or was, an artifact.

    Args:
        root: Its artifact root.
        key: Its name below the destination.
        versions: Its readable versions, the oldest first.
        newest: The one that is current; None where the path is deleted.
    """

    root: ArtifactRoot
    key: str
    versions: Sequence[Version]
    newest: Version | None


class _Look(NamedTuple):
    """What is to be done about a path, and whether that may be."""

    action: Literal["leave", "write", "remove"]
    allowed: bool


_LEAVE = _Look("leave", allowed=True)


def export(store: Store, path: str, to: Destination, *, write: bool, progress: Progress | None = None) -> Exported:
    """Write the newest version of every artifact at or below a path as a plain object, and remove what is deleted.

    What is there already is left alone, so that an export may be interrupted and goes on when it runs again. Costs one
    request for each path and about four for each artifact root, and those that write. Empty folders are left out.

    Args:
        store: The store.
        path: The path in it.
        to: What the path becomes.
        write: Write; otherwise only count.
        progress: Is told of the bytes written.

    Raises:
        Conflict: Objects are in the way that are no version, or that a version needs; nothing was written.
        VersionedStoreError: The store or the destination could not be read or written; what was written stays.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mvs-export") as threads:
        files = list(_files(store, path))
        looks = list(threads.map(partial(_look, to), files))
        looked = list(zip(files, looks, strict=True))
        _check([joined(to.uri, file.key) for file, look in looked if not look.allowed])
        removed = [file.key for file, look in looked if look.action == "remove"]
        wanted = [(file, file.newest) for file, look in looked if look.action == "write" and file.newest is not None]
        copied = 0
        if write:
            copied = sum(threads.map(lambda one: copy_version(one[0].root, one[1], to, one[0].key, progress), wanted))
            to.delete(removed)
    return Exported(
        written=len(wanted),
        size=sum(version.size for _, version in wanted),
        copied=copied,
        unchanged=sum(file.newest is not None for file in files) - len(wanted),
        removed=len(removed),
    )


def _files(store: Store, path: str) -> Iterator[_File]:
    """Yield every path at or below a path of the store that ever was a file."""
    for name in sorted({place(path).root, *store.roots_below(path)}):
        root = store.root(name)
        state = root.log.state()
        files = (version for version in state.all_versions() if version.kind == "file")
        for inside, versions in groupby(files, key=lambda version: version.path):
            full = joined(name, inside)
            if not path or full == path or full.startswith(f"{path}/"):
                readable = [version for version in versions if version.readable]
                current = state.get(inside)
                newest = current if current is not None and current.kind == "file" else None
                key = full[len(path) :].lstrip("/") if path else full
                yield _File(root, key, readable, newest)


def _look(to: Destination, file: _File) -> _Look:
    there = to.find(file.key)
    if there is None:
        return _LEAVE if file.newest is None else _Look("write", allowed=True)
    if file.newest is not None:
        if _is_same(to, file, file.newest, there):
            return _LEAVE
        return _Look("write", allowed=_may_go(to, file, there))
    if not _is_known(to, file, there):
        # A path that is deleted, and an object that never was an artifact of it, have nothing to do with each other.
        return _LEAVE
    return _Look("remove", allowed=_may_go(to, file, there))


def _is_known(to: Destination, file: _File, there: There) -> bool:
    return any(_is_same(to, file, version, there) for version in file.versions)


def _is_same(to: Destination, file: _File, version: Version, there: There) -> bool:
    """Tell whether an object has the bytes of a version: it is the object that the version refers to, or a copy."""
    if version.sha256 and (version.size, version.sha256) == (there.size, there.sha256):
        return True
    match file.root.location(version):
        case Native(key, s3_version_id) if s3_version_id is not None:
            uri = joined(file.root.store_location, key)
            return (uri, s3_version_id) == (joined(to.uri, file.key), there.s3_version_id)
        case Reference(uri, s3_version_id, e_tag) if uri == joined(to.uri, file.key):
            # What has no version id of its own is held to its entity tag.
            return s3_version_id in (None, NULL_VERSION, there.s3_version_id) and e_tag in (None, there.e_tag)
    return False


def _may_go(to: Destination, file: _File, there: There) -> bool:
    """Tell whether an object can be replaced or removed without a loss."""
    if not _is_known(to, file, there):
        return False
    if there.s3_version_id not in (None, NULL_VERSION):
        return True
    locations = [file.root.location(version) for version in file.versions]
    if any(isinstance(one, Reference) and one.s3_version_id is None for one in locations):
        return False
    return to.keeps_versions or _is_stored(file, locations, there)


def _is_stored(file: _File, locations: Sequence[Location], there: There) -> bool:
    """Tell whether the store itself holds the bytes of an object."""
    return any(
        version.sha256 == there.sha256 and not isinstance(location, Reference)
        for version, location in zip(file.versions, locations, strict=True)
    )


def _check(in_the_way: Sequence[str]) -> None:
    if in_the_way:
        named = ", ".join(in_the_way[:_NAMED_MAX])
        raise Conflict(
            f"Objects are in the way that are no version of theirs, or that a version needs: {len(in_the_way):,}, such "
            f"as {named}. Nothing was written. Adopt what others wrote since, or export to another place."
        )
