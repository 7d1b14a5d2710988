"""Uploading to native objects: bytes first, each path for itself, then the one commit of all of them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.object_versions import ObjectVersions
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.content.clock import HELP_SECONDS
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.locations import Native, decode_location, encode_location
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.content.upload import FileContent
from mlflow_versioned_store.content.workers import looking_up, memory, sending
from mlflow_versioned_store.digests import hasher_named
from mlflow_versioned_store.errors import AccessDenied, Conflict, NotFound, SourceChanged, VersionedStoreError
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.objects import NativeObjects, Target, native_objects
from mlflow_versioned_store.native.reading import BLOCK_BYTES, Content
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.wording import counted

_log = logging.getLogger("mlflow_versioned_store")
_READS_OF_A_CHANGING_FILE = 3


@dataclass(slots=True)
class Made:
    """A version on its way.

    Args:
        size: Its bytes.
        sha256: Its SHA-256, hex.
        native: Where it is.
        hint: The key under which others may find it; "" where that is not worth it.
        old: Whether it was there before.
    """

    size: int
    sha256: str
    native: Native
    hint: str = ""
    old: bool = False

    @property
    def content(self) -> FileContent:
        """What a commit records."""
        return FileContent(self.size, self.sha256, encode_location(self.native))


class Committed(NamedTuple):
    """What became of a path: its version, and whether that was current already."""

    version: int
    unchanged: bool


class NativeUpload:
    """What an upload made natively, and what is to be packed after all.

    Attributes:
        made: For each path.
        packed: Path and source of what stays in its packs, or cannot be one object.
        obstacles: Why what cannot be one object cannot.
    """

    def __init__(self, finisher: Finisher | None = None) -> None:
        self.made: dict[str, Made] = {}
        self.packed: dict[str, Source] = {}
        self.obstacles: dict[str, str] = {}
        self._finisher = finisher

    @property
    def contents(self) -> dict[str, FileContent]:
        """What the commit records of each path that was made."""
        return {path: made.content for path, made in self.made.items()}

    def finish(self, versions: Mapping[str, Committed], run: str) -> list[str]:
        """Tag what was made and make it findable, after the commit; trouble there is a warning.

        Returns:
            The paths whose plain readers get something else.
        """
        if self._finisher is None:
            return []
        paths = sorted(self.made)
        work = [sending.submit(self._finisher.finish, path, self.made[path], versions[path], run) for path in paths]
        return [path for path, future in zip(paths, work, strict=True) if not future.result()]


class NativeUploader:
    """Uploads to the native objects of one artifact root.

    Args:
        backend: The store.
        store_id: Its id.
        log: The root's log.
        domain: Whose objects may be copied instead of uploaded.
        change: The id of the change that will record what is uploaded.
        anew: Write all bytes, whatever is there already.
    """

    def __init__(self, backend: Backend, store_id: str, log: Log, domain: Domain, change: str, *, anew: bool):
        self._backend = backend
        self._store_id = store_id
        self._log = log
        self._domain = domain
        self._change = change
        self._objects: NativeObjects = native_objects(backend, store_id)
        self._anew = anew
        self._is_hinted = domain.dedup and not anew and open_versions(backend) is not None
        self._hasher = hasher_named(domain.digest_name)

    def upload(self, files: Mapping[str, Source], count: Callable[[int], None]) -> NativeUpload:
        """Write files, several at once; content that is current already is not written again.

        Costs a look at the state; a request a file below 8 MiB, and one each 8 MiB of others.

        Raises:
            SourceChanged, LocalStorageFailed: A source cannot be read as it is.
            Unsupported: The bucket does not keep versions.
            VersionedStoreError: The store refused or failed.
        """
        state = self._log.state()
        upload = NativeUpload(Finisher(self._backend, self._store_id, self._log.root))
        sent: dict[str, Future[Made]] = {}
        try:
            for path, source in files.items():
                for attempt in range(1, _READS_OF_A_CHANGING_FILE + 1):
                    try:
                        with Content(source, count, self._hasher) as content:
                            self._store(path, source, content, state, upload, sent)
                        break
                    except SourceChanged:
                        if attempt == _READS_OF_A_CHANGING_FILE:
                            raise
            for path, future in sent.items():
                upload.made[path] = future.result()
        finally:
            for future in sent.values():
                if not future.cancel():
                    future.exception()
        if upload.obstacles:
            path, obstacle = next(iter(upload.obstacles.items()))
            _log.warning(
                "Packed instead of kept as plain objects: %s, such as %r, since %s",
                counted(len(upload.obstacles), "path"),
                path,
                obstacle,
            )
        return upload

    def _store(
        self,
        path: str,
        source: Source,
        content: Content,
        state: State,
        upload: NativeUpload,
        sent: dict[str, Future[Made]],
    ) -> None:
        target = Target(self._log.root, path, self._change)
        if obstacle := self._objects.obstacle(target, content.size):
            upload.packed[path] = source
            upload.obstacles[path] = obstacle
            return
        current = None if self._anew else state.get(path)
        beginning = content.beginning()
        if len(beginning) == BLOCK_BYTES:
            made = self._store_large(target, content, beginning, current)
            if made is None:
                upload.packed[path] = source
            else:
                upload.made[path] = made
            return
        content.check()
        sha256 = hashlib.sha256(beginning).hexdigest()
        if current is None or current.sha256 != sha256:
            sent[path] = self._send(target, beginning, sha256)
        elif made := self._current(current):
            upload.made[path] = made
        else:
            upload.packed[path] = beginning

    def _send(self, target: Target, data: bytes, sha256: str) -> Future[Made]:
        taken = memory().transfers.take(len(data))
        future = sending.submit(lambda: Made(len(data), sha256, self._objects.put(target, data)))
        future.add_done_callback(lambda _: memory().transfers.give(taken))
        return future

    def _store_large(self, target: Target, content: Content, beginning: bytes, current: Version | None) -> Made | None:
        """Return where the content is now; None where it is current already, in packs."""
        if current is not None and current.size == content.size:
            here = self._current(current)
            if here is not None and here.native.digest is not None:
                if content.hashed(self._hasher()) == here.native.digest:
                    return here
            elif content.hashed(hashlib.sha256()) == current.sha256:
                return here
        hint = self._hint(content.size, beginning)
        elsewhere = self._elsewhere(content.size, hint)
        if elsewhere is not None and content.hashed(self._hasher()) == elsewhere.native.digest:
            native = self._objects.copy(elsewhere.native, target, elsewhere.size)
            if native is not None:
                return Made(elsewhere.size, elsewhere.sha256, native)
        native = self._objects.write(target, content, beginning)
        return Made(content.length, content.sha256, native, hint or self._hint(content.length, beginning))

    def _current(self, version: Version) -> Made | None:
        """Return a current version as if it were made again; None where it is not native."""
        (located,) = self._log.locate([version])
        location = decode_location(located.at, version.size)
        return Made(version.size, version.sha256, location, old=True) if isinstance(location, Native) else None

    def _hint(self, size: int | None, beginning: bytes) -> str:
        """Return the key of the hint to an object that begins so; "" where there is none, or the size is not known."""
        if size is None or not self._is_hinted:
            return ""
        return keys.native_hint(self._domain.name, size, hashlib.sha256(beginning[:BLOCK_BYTES]).hexdigest())

    def _elsewhere(self, size: int | None, key: str) -> Made | None:
        """Return an object that is as long and begins alike, where the hint at `key` tells of one."""
        if size is None or not key:
            return None
        try:
            said = json.loads(bytes(looking_up.submit(self._backend.get, key).result(timeout=HELP_SECONDS).data))
            location = decode_location(said["at"], size)
            if isinstance(location, Native) and keys.is_digest(said["sha256"]):
                return Made(size, said["sha256"], location, old=True)
        except NotFound:
            return None
        except (VersionedStoreError, TimeoutError, ValueError, LookupError, TypeError) as error:
            _log.warning("Uploading all bytes, since %s cannot be used: %s", key, str(error) or "it took too long")
        return None


class Finisher:
    """Does what comes after the commit, in a bucket that keeps object versions.

    Args:
        backend: The store.
        store_id: Its id.
        root: The artifact root.
    """

    def __init__(self, backend: Backend, store_id: str, root: str):
        self._backend = backend
        self._store_id = store_id
        self._root = root

    def finish(self, path: str, made: Made, committed: Committed, run: str) -> bool:
        """Tag a version and make it findable; tell whether a plain reader of its key gets it."""
        if made.native.s3_version_id is None:
            return True
        try:
            if not made.old:
                if committed.unchanged:
                    # Somebody committed the same a moment before: nothing will ever name this object.
                    with contextlib.suppress(AccessDenied):
                        self._versions().delete([(made.native.key, made.native.s3_version_id)])
                    return False
                self._label(made.native, made, committed, run)
            return self._read_by_all(path) == made.native.s3_version_id
        except VersionedStoreError as error:
            _log.warning("%s was logged, but its object has not got its tags: %s", path, error)
            return False

    def _read_by_all(self, path: str) -> str | None:
        """Return the version that a plain reader of a path gets."""
        try:
            return self._backend.head(joined(self._root, path)).s3_version_id
        except NotFound:
            return None

    def _versions(self) -> ObjectVersions:
        versions = open_versions(self._backend)
        assert versions is not None, "a version was written"
        return versions

    def _label(self, native: Native, made: Made, committed: Committed, run: str) -> None:
        told = looking_up.submit(self._tell, native, made)
        tags = {"store": self._store_id, "sha256": made.sha256, "run": run, "version": f"v{committed.version}"}
        named = {f"mvs-{name}": value for name, value in tags.items() if value}
        try:
            self._versions().tag(native.key, native.s3_version_id or "", named)
        finally:
            told.result()

    def _tell(self, native: Native, made: Made) -> None:
        """Make a version findable for others."""
        if made.hint:
            said = {"sha256": made.sha256, "at": encode_location(native)}
            with contextlib.suppress(Conflict):
                self._backend.put(made.hint, json.dumps(said).encode(), create=True)
