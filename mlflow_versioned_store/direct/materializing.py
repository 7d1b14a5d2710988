"""Exact versions as plain objects, anywhere.

    <to>/data/train.csv/v3/train.csv        one version of a file: a prefix that never changes
    <to>/data/c17/…                         a folder as of a commit
    <to>/data/train.csv/latest/train.csv    with `keep_latest`: a prefix that follows the newest version
    <to>/_manifests/data/train.csv/v3.json  what is in it; written last, so what it names is there

Names that begin with "_" are left alone by Spark, Hive and external stages.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from mlflow_versioned_store.artifact_root import ArtifactRoot, Folder, Progress
from mlflow_versioned_store.direct.copying import copy_version
from mlflow_versioned_store.direct.destinations import Destination
from mlflow_versioned_store.errors import Conflict, Damaged, InvalidInput, NotFound
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import joined

LATEST = "latest"
_MANIFESTS = "_manifests"
_AT_ONCE = 4


class Copy(msgspec.Struct, frozen=True):
    """One readable copy.

    Args:
        name: Its name below the manifest's prefix.
        path: The path inside the artifact root.
        version: The version.
        size: Bytes.
        sha256: Its SHA-256, hex; "" where nobody has read it.
    """

    name: str
    path: str
    version: int
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What lies below a prefix.

    Args:
        store: The store's id.
        root: The artifact root.
        address: The address that was copied, pinned to a version or commit.
        prefix: The prefix, relative to the destination.
        time: When it was written, ISO 8601 UTC.
        files: The copies, sorted by name.
    """

    store: str
    root: str
    address: str
    prefix: str
    time: str
    files: tuple[Copy, ...]


class Materialized(NamedTuple):
    """What became of an address.

    Args:
        manifest: What is there now.
        uri: Where the prefix is.
        written: How many objects were written.
        copied: How many of these the server copied by itself.
        unchanged: How many were there already.
    """

    manifest: Manifest
    uri: str
    written: int
    copied: int
    unchanged: int


def materialize(
    root: ArtifactRoot,
    address: str,
    to: Destination,
    *,
    store_id: str,
    keep_latest: bool = False,
    progress: Progress | None = None,
) -> Materialized:
    """Write the version, or the folder, at an address as plain objects.

    New objects go first, then the manifest; with `keep_latest` what is no longer in it goes last. So whoever reads the
    manifest first finds everything it names, and running it again writes only what is missing.

    Args:
        root: The artifact root.
        address: An address in it.
        to: Where to.
        store_id: The id of its store.
        keep_latest: Use the prefix that follows the newest version.
        progress: Is told of the bytes written.

    Raises:
        NotFound: There is nothing at the address.
        Conflict: The prefix holds what another artifact root or store wrote there.
        InvalidInput: With `keep_latest`, the address is of something that never changes.
    """
    wanted = _wanted(root, address, store_id, keep_latest=keep_latest)
    key = _manifest_key(wanted.prefix)
    known = _read_manifest(to, key)
    if known is not None and (known.store, known.root) != (wanted.store, wanted.root):
        raise Conflict(
            f"{joined(to.uri, wanted.prefix)} holds copies from {known.root!r} of the store {known.store}; choose "
            "another destination."
        )
    there = {copy.name: copy for copy in known.files} if known else {}
    missing = [copy for copy in wanted.files if not _is_same(there.get(copy.name), copy)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        by_server = list(threads.map(lambda copy: _write(root, wanted.prefix, copy, to, progress), missing))
    gone = sorted(there.keys() - {copy.name for copy in wanted.files})
    if missing or gone or known is None:
        to.write(key, io.BytesIO(msgspec.json.format(msgspec.json.encode(wanted), indent=2) + b"\n"), "")
    to.delete([joined(wanted.prefix, name) for name in gone])
    unchanged = len(wanted.files) - len(missing)
    return Materialized(wanted, joined(to.uri, wanted.prefix), len(missing), sum(by_server), unchanged)


def manifest_of(root: ArtifactRoot, version: Version, to: Destination, *, store_id: str) -> Manifest:
    """Return the manifest of one version's copy.

    Raises:
        NotFound: There is no copy of it there.
    """
    prefix = joined(version.path, f"v{version.number}")
    manifest = _read_manifest(to, _manifest_key(prefix))
    if manifest is None or (manifest.store, manifest.root) != (store_id, root.name):
        address = format_address(version.path, version.number)
        raise NotFound(f"{to.uri} has no copy of {address} of {root.name!r}; `mvs materialize … --to` writes one.")
    return manifest


def _wanted(root: ArtifactRoot, address: str, store_id: str, *, keep_latest: bool) -> Manifest:
    found = root.find(address)
    if isinstance(found, Folder):
        pinned, label = f"{found.path}@@c{found.state.number}", f"c{found.state.number}"
        versions = {version.path: version for version in found.state.walk(found.path) if version.kind == "file"}
        below = len(found.path) + 1 if found.path else 0
        copies = [_copy(path[below:], version) for path, version in versions.items()]
    else:
        pinned, label = format_address(found.path, found.number), f"v{found.number}"
        copies = [_copy(found.path.rpartition("/")[2], found)]
    if keep_latest and found.path != address.strip("/"):
        raise InvalidInput(f"{address!r} never changes, so no prefix can follow it; name {found.path!r}.")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    prefix = joined(found.path, LATEST if keep_latest else label)
    return Manifest(store_id, root.name, pinned, prefix, now, tuple(sorted(copies, key=lambda copy: copy.name)))


def _copy(name: str, version: Version) -> Copy:
    return Copy(name, version.path, version.number, version.size, version.sha256)


def _write(root: ArtifactRoot, prefix: str, copy: Copy, to: Destination, progress: Progress | None) -> bool:
    """Write one copy, and return whether the server did."""
    version = root.log.state(refresh=False).version(copy.path, copy.version)
    if version is None:
        raise NotFound(f"There is no version {copy.version} of {copy.path!r} in {root.name!r} any more.")
    return copy_version(root, version, to, joined(prefix, copy.name), progress)


def _is_same(there: Copy | None, wanted: Copy) -> bool:
    return there is not None and bool(there.sha256) and there.sha256 == wanted.sha256


def _manifest_key(prefix: str) -> str:
    return f"{_MANIFESTS}/{prefix}.json"


def _read_manifest(to: Destination, key: str) -> Manifest | None:
    data = to.read(key)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(
            f"{joined(to.uri, key)} is no manifest: {error}. Remove it, and write the copies anew."
        ) from error
