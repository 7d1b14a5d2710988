"""Writing native objects: object versions where the bucket keeps them, else keys that carry the change's id.

data/train.parquet                                      one key, an object version for each version
data/train.parquet@@<change id>/train.parquet           elsewhere: one key for each version
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from mlflow_versioned_store.backends.contract import Backend, check_key
from mlflow_versioned_store.backends.object_versions import Labels, ObjectVersions
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.content.locations import Native
from mlflow_versioned_store.content.workers import looking_up, memory, sending
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.http_headers import attachment, media_type
from mlflow_versioned_store.native.reading import Blocks, Content, spooled
from mlflow_versioned_store.roots import joined

STORE = "mvs-store"
CHANGE = "mvs-change"
COPY_OF = "mvs-copy-of"
_AHEAD_BYTES = 56 << 20
# Without object versions one request writes an object, so all of it has to be in memory.
_WHOLE_BYTES_MAX = 256 << 20
_NAMED = re.compile(r"(?P<path>(?:.*/)?(?P<name>[^/]+))@@(?P<change>[0-9a-f]{32})/(?P=name)")


class Target(NamedTuple):
    """Where a version is to go.

    Args:
        root: The artifact root.
        path: The path inside it.
        change: The id of the change that makes it.
    """

    root: str
    path: str
    change: str

    @property
    def key(self) -> str:
        """The key that any tool expects."""
        return joined(self.root, self.path)

    @property
    def named_key(self) -> str:
        """The key where the store keeps no object versions."""
        return f"{self.key}@@{self.change}/{self.key.rpartition('/')[2]}"


class NativeObjects(Protocol):
    """Native objects of one store."""

    def obstacle(self, target: Target, size: int | None) -> str:
        """Say why a version of `size` bytes (None: not known) cannot be one plain object there; "" where it can."""

    def write(self, target: Target, content: Content, beginning: bytes) -> Native:
        """Write a whole version; afterwards `content` knows its length and digests."""

    def put(self, target: Target, data: bytes) -> Native:
        """Write a small version."""

    def copy(self, native: Native, target: Target, size: int, **metadata: str) -> Native | None:
        """Have the server copy a version; None where it cannot, or there is none any more."""


def native_objects(backend: Backend, store_id: str) -> NativeObjects:
    """Return the native objects of the store at `backend`. At most one request, and none on S3."""
    versions = open_versions(backend)
    if versions is None or not versions.are_usable():
        return NamedObjects(backend)
    return VersionedObjects(versions, store_id)


class VersionedObjects(NativeObjects):
    """Native objects in a bucket that keeps object versions."""

    def __init__(self, versions: ObjectVersions, store_id: str):
        self._versions = versions
        self._store_id = store_id

    def obstacle(self, target: Target, size: int | None) -> str:  # noqa: ARG002 - of any size
        return _no_key(target.key)

    def write(self, target: Target, content: Content, beginning: bytes) -> Native:
        kept = looking_up.submit(self._versions.check_kept)
        part, labels = content.block_bytes, self.labels(target)
        ahead = max(1, _AHEAD_BYTES // part)
        with memory().transfers.held((ahead + 1) * part):
            parts = _while(kept, content.blocks(beginning))
            version = self._versions.put_parts(target.key, parts, labels, sending, part_bytes=part, ahead=ahead)
        return Native(target.key, version, content.digest)

    def put(self, target: Target, data: bytes) -> Native:
        self._versions.check_kept()
        return Native(target.key, self._versions.put(target.key, data, self.labels(target)))

    def copy(self, native: Native, target: Target, size: int, **metadata: str) -> Native | None:
        if native.s3_version_id is None:
            return None
        labels = self.labels(target, metadata)
        try:
            version = self._versions.copy(native.key, native.s3_version_id, target.key, size, labels, sending)
        except NotFound:
            return None
        return Native(target.key, version, native.digest)

    def labels(self, target: Target, more: Mapping[str, str] | None = None) -> Labels:
        """Return what goes with the object of a version; `more` is more metadata."""
        name = target.path.rpartition("/")[2]
        metadata = {STORE: self._store_id, CHANGE: target.change} | dict(more or {})
        # A browser must never run what was logged, on the page of whoever linked to it.
        return Labels(media_type(name), attachment(name), metadata)


class NamedObjects(NativeObjects):
    """Native objects where a key has one content for ever."""

    def __init__(self, backend: Backend):
        self._backend = backend

    def obstacle(self, target: Target, size: int | None) -> str:
        fits = not self._backend.capabilities.remote or (size is not None and size <= _WHOLE_BYTES_MAX)
        if not fits:
            what = "a stream" if size is None else "a file over 256 MiB"
            return f"{what} cannot be written to {self._backend.location} as one object"
        return _no_key(target.named_key)

    def write(self, target: Target, content: Content, beginning: bytes) -> Native:
        if content.size is None:
            with spooled(content, beginning) as spool:
                self._put(target, spool)
        else:
            for _ in content.blocks():
                pass
            self._put(target, content)
        return Native(target.named_key, None, content.digest)

    def put(self, target: Target, data: bytes) -> Native:
        self._backend.put_named(target.named_key, data)
        return Native(target.named_key)

    def copy(self, native: Native, target: Target, size: int, **metadata: str) -> None:
        """Return None: no backend has a copy by its server."""

    def _put(self, target: Target, content: Content) -> None:
        self._backend.put_named(target.named_key, Blocks(content))
        content.check()


def target_of(root: str, key: str) -> Target | None:
    """Return what the object at `key`, inside `root`, was written for; None where its name says nothing."""
    found = _NAMED.fullmatch(key.removeprefix(f"{root}/") if root else key)
    return Target(root, found["path"], found["change"]) if found else None


def _while(kept: Future[None], blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks; not all of them, so that no object is made of them, where it would replace another."""
    for block in blocks:
        if kept.done():
            kept.result()
        yield block
    kept.result()


def _no_key(key: str) -> str:
    """Say why a key cannot be one."""
    try:
        check_key(key)
    except InvalidInput as error:
        return f"it has no readable key: {error}"
    return ""
