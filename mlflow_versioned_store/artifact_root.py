"""One artifact root: its uploads, its versions, and reading them back."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from mlflow_versioned_store import changes
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.changes import Item, Recorded, Stored, checked_paths
from mlflow_versioned_store.content import locations
from mlflow_versioned_store.content.domain import Domain, Recent
from mlflow_versioned_store.content.download import Reader
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.parts import Parts, Range
from mlflow_versioned_store.content.scan import Source, size_up_to
from mlflow_versioned_store.content.sharing import Sharing, sharing
from mlflow_versioned_store.content.sinks import FileSink
from mlflow_versioned_store.content.upload import Staging, upload
from mlflow_versioned_store.content.wanted import ignore
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput, NotFound, Unavailable, VersionedStoreError
from mlflow_versioned_store.history.addresses import resolve
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Commit, Draft, DraftEntry, Operation
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.patterns import compiled
from mlflow_versioned_store.native.root import NativeRoot
from mlflow_versioned_store.native.survey import Survey
from mlflow_versioned_store.native.uploading import Committed
from mlflow_versioned_store.reading import VersionReader
from mlflow_versioned_store.roots import clean_path
from mlflow_versioned_store.settings import Settings, staging_from_environment
from mlflow_versioned_store.version_file import VersionFile

__all__ = ["ArtifactRoot", "Child", "Folder", "Item", "Progress", "Recorded", "Stored"]

_log = logging.getLogger("mlflow_versioned_store")
# Below this an upload is not worth a look at the state before its commit.
_LOOKED_UP_FROM = 256 << 10
_HINTED_COMMITS = 4
_HINTED_INDEXES = 4


class Child(NamedTuple):
    """What lies directly inside a folder; `size` (bytes) and `version` are None for a folder."""

    name: str
    path: str
    is_folder: bool
    size: int | None
    version: int | None


class Folder(NamedTuple):
    """A folder, and the state at which it is read."""

    path: str
    state: State


class Progress(Protocol):
    """Is told of bytes as they move, from any thread."""

    def add(self, size: int, /) -> None:
        """Count `size` more bytes."""

    def close(self) -> None:
        """The transfer is over."""


class _Store(Protocol):
    """What a root asks of the store it is in."""

    @property
    def id(self) -> str:
        """The store's own id."""

    @property
    def backend(self) -> Backend:
        """The store's objects."""

    @property
    def reader(self) -> Reader:
        """Reads packed versions of the store."""

    @property
    def recent(self) -> Recent:
        """What this process wrote to or read from the store lately."""

    @property
    def settings(self) -> Settings:
        """How the store is written."""

    def domain(self, artifact_root: str, /) -> Domain:
        """Return the deduplication domain that uploads to an artifact root use."""


class ArtifactRoot:
    """One MLflow artifact location inside a store; `Store.root` makes it.

    Attributes:
        name: Its path inside the store; "" is the store's own root.
    """

    def __init__(self, store: _Store, name: str, log: Log):
        self._store = store
        self.name = name
        self._log = log
        self._reading = VersionReader(store.backend, store.reader, store.recent, log)
        self._native = NativeRoot(store.backend, store.id, log)

    @property
    def log(self) -> Log:
        """Everything that ever happened to it."""
        return self._log

    @property
    def domain(self) -> Domain:
        """The deduplication domain that uploads use."""
        return self._store.domain(self.name)

    def upload(
        self,
        items: Sequence[Item],
        *,
        context: Context,
        progress: Progress | None = None,
        deleted: Sequence[str] = (),
        anew: bool = False,
    ) -> list[Stored]:
        """Store items in one atomic commit: all of them, or none.

        Content that is the current version of its path makes no new one. Small uploads of several threads travel in
        one commit. Costs one request where all is small; else the packs, then the commit with index and hooks beside.

        Args:
            items: What to store; a path may occur once.
            context: Who makes the change, and for which run.
            progress: Is told of the bytes that are stored.
            deleted: Paths that end in the same commit, with all that is below them, before the items are there.
            anew: Store all bytes again, lean on nothing, and make versions even of content that is current: what there
                is may be damaged.

        Raises:
            InvalidInput: A path is not valid, reads as an address, occurs twice, or would be both a file and a folder.
            SourceChanged, LocalStorageFailed: A source cannot be read as it is.
            VersionedStoreError: The store refused or failed; nothing is visible of the change.
        """
        deletions = [changes.deletion(deleted, context)] if deleted else []
        if not items:
            self._append(deletions)
            return []
        paths = checked_paths(items)
        files = {path: item.source for path, item in zip(paths, items, strict=True) if item.source is not None}
        count = progress.add if progress else ignore
        domain, change = self.domain, uuid.uuid4().hex
        native = self._native.upload(self._natively(files), domain, change, count, anew=anew)
        packed = {path: native.packed.get(path, source) for path, source in files.items() if path not in native.made}
        sources = list(packed.values())
        hints = [] if anew else self._hints(sources, list(packed))
        uploaded = upload(domain, sources, hints=hints, on_stored=count, staging=self._staging(context), anew=anew)
        contents = native.contents | dict(zip(packed, uploaded.files, strict=True))
        entries = tuple(
            changes.file_entry(path, contents[path]) if path in files else DraftEntry(path, "folder") for path in paths
        )
        draft = changes.draft("upload", context, entries, uploaded.content, uploaded.frames, change, anew=anew)
        try:
            *_, appended = self._append([*deletions, draft])
        finally:
            uploaded.settle()
        stored = changes.stored(entries, appended)
        if native.made:
            committed = {one.path: Committed(one.version, one.unchanged) for one in stored}
            self._native.committed(native, committed, change, context.run_id or "")
        return stored

    def record(
        self, versions: Sequence[Recorded], *, context: Context, operation: Operation = "upload"
    ) -> list[Stored]:
        """Make versions of objects that exist already, in one atomic change; no bytes are read or moved. One request.

        Args:
            versions: In their order; of one path there may be several.
            context: Who makes the change, and for which run.
            operation: "upload" or "restore".

        Raises:
            InvalidInput: A path, size, digest or note cannot be written.
        """
        return self.commit(operation, [one.entry() for one in versions], context=context)

    def commit(
        self,
        operation: Operation,
        entries: Sequence[DraftEntry],
        *,
        content: dict[str, Any] | None = None,
        frames: bytes = b"",
        context: Context,
    ) -> list[Stored]:
        """Make versions whose bytes are durable, in one atomic change. One request.

        Args:
            operation: "upload" or "restore".
            entries: What is made, in order.
            content: What the entries' `at` refer to.
            frames: The bytes that travel inside the commit.
            context: Who makes the change, and for which run.

        Raises:
            InvalidInput: An entry cannot be written.
        """
        draft = changes.draft(operation, context, tuple(entries), content, frames)
        (appended,) = self._append([draft])
        if self._store.settings.native:
            self._native.changed([version for version in appended.versions if version is not None], draft.id)
        return changes.stored(entries, appended)

    def settle(self) -> int:
        """Let plain readers of native keys get the newest committed versions, and nothing where they were deleted.

        Uploads and deletions do it by themselves; this mends what a crash or a refusal left behind. What somebody else
        wrote stays as it is. One request a commit, one a thousand objects, and a few for each key that is wrong.

        Returns:
            How many keys were wrong.
        """
        return self._native.settle(self._log.state().all_versions(), uuid.uuid4().hex)

    def unsettled(self) -> list[str]:
        """Return the paths that `settle` would put right, at the same cost; nothing is changed."""
        return self._native.unsettled(self._log.state().all_versions())

    def survey(self) -> Survey:
        """Return the objects at native keys that no commit names: foreign ones, and what crashed writers left.

        One request a commit, a thousand objects, and each object that no commit names.
        """
        return self._native.survey()

    def native_keys(self) -> list[str]:
        """Return the plain keys of all current native versions. One request a commit that is not known yet."""
        return self._native.keys(self._log.state().walk())

    def delete(self, path: str = "", *, context: Context) -> int:
        """Record a path and everything below it as deleted; versions stay readable by their addresses.

        Returns:
            How many paths were current until now.

        Raises:
            InvalidInput: The path is not valid.
        """
        clean = clean_path(path)
        state = self._log.state()
        if not (state.has_folder(clean) if clean else next(state.below(""), None)) and not state.get(clean):
            return 0
        (appended,) = self._append([changes.deletion([clean], context)])
        return len(appended.deleted)

    def annotate(self, path: str, notes: Mapping[str, Any], *, number: int = 0, context: Context) -> None:
        """Record notes about a version of a path, or about the path as such. One request.

        Args:
            path: The path; "" is the root itself.
            notes: Keys and JSON values; they replace those of before, and None removes one. A key "alias:<name>" is
                an alias of the path as such, for "v2" or "c5".
            number: The version; 0 is the path as such.
            context: Who makes the change, and for which run.

        Raises:
            NotFound: There is no such path or version, or none that an alias is to stand for.
            InvalidInput: A note or an alias cannot be written.
        """
        entry = DraftEntry(clean_path(path), version=number, note=dict(notes))
        self._log.append([changes.draft("annotate", context, (entry,))])

    def find(self, address: str) -> Version | Folder:
        """Return the version or folder that an address leads to.

        Raises:
            NotFound: There is none; the message says what there is instead.
            InvalidInput: The address can never lead anywhere.
            VersionedStoreError: The store could not be read.
        """
        found = resolve(self._log, address)
        return found.version if found.version is not None else Folder(found.path, found.state)

    def find_plain(self, path: str) -> Version | Folder:
        """Return the current version or folder at a path.

        Raises:
            NotFound: There is none; the message says what there is instead.
            InvalidInput: It is the address of a version, and versions never change.
        """
        found = self.find(path)
        if found.path != clean_path(path):
            raise InvalidInput(f"{path!r} is an address of {found.path!r}, and versions never change. Name the path.")
        return found

    def resolve(self, address: str) -> Version | Folder | None:
        """Return the version or folder that an address leads to, or None where there certainly is none.

        Raises:
            InvalidInput: The address can never lead anywhere.
            VersionedStoreError: The store could not be read.
        """
        try:
            return self.find(address)
        except NotFound:
            return None

    def children(self, address: str = "") -> list[Child]:
        """Return what lies directly inside a folder, sorted; nothing for a file or where nothing is."""
        found = self.resolve(address)
        if not isinstance(found, Folder):
            return []
        return [
            Child(
                name,
                f"{found.path}/{name}" if found.path else name,
                version is None,
                version.size if version else None,
                version.number if version else None,
            )
            for name, version in found.state.children(found.path)
        ]

    def walk(self, address: str = "") -> list[Version]:
        """Return every file and empty folder at or below an address."""
        found = self.resolve(address)
        if isinstance(found, Folder):
            return list(found.state.walk(found.path))
        return [found] if found is not None else []

    def versions(self, path: str) -> list[Version]:
        """Return all versions of a path, oldest first."""
        return self._log.state().versions(clean_path(path))

    def history(self, *, oldest: int = 1) -> Iterator[Commit]:
        """Yield the commits of this root, newest first, back to commit `oldest`; see `Log.commits`."""
        return self._log.commits(oldest=oldest)

    def download(
        self, wanted: Sequence[tuple[Version, str]], *, replace: bool = True, progress: Progress | None = None
    ) -> None:
        """Read versions into local files, planned as a whole; each appears when it is complete and checked.

        Args:
            wanted: Versions of this root, and absolute local paths whose folders exist.
            replace: Whether files that have the names by then are replaced.
            progress: Is told of the bytes that came.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
            Conflict: A file has one of the names, and is not to be replaced.
            LocalStorageFailed: A file cannot be written.
            VersionedStoreError: The store could not be read.
        """
        count = progress.add if progress else ignore
        self._reading.read([(version, FileSink(path, replace=replace)) for version, path in wanted], count)

    def read(self, version: Version, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes [start, stop) of a version; only what is needed is fetched.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
        """
        stop = version.size if stop is None else min(stop, version.size)
        return self._reading.read_bytes(version, min(start, stop), stop)

    def read_ranges(self, version: Version, ranges: Sequence[Range]) -> list[bytes]:
        """Return byte ranges [start, stop) of a version, in their order, read in one plan.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed.
        """
        clipped = [(min(start, version.size), min(stop, version.size)) for start, stop in ranges]
        return self._reading.read_ranges(version, clipped)

    def read_into(self, version: Version, start: int, buffers: Sequence[memoryview]) -> None:
        """Fill buffers, one behind the other, with the bytes of a version from `start` on, which lie inside it.

        All of them are fetched before the first is decoded, in few requests: for those who read ahead themselves.

        Raises:
            Damaged, ObjectMissing: Stored bytes are not what was committed; what the buffers hold means nothing.
        """
        starts = accumulate(map(len, buffers), initial=start)
        parts = Parts(list(zip(starts, buffers, strict=False)), at_once=max(1, sum(map(len, buffers))))
        self._reading.read_parts(version, parts)

    def seams(self, version: Version) -> list[int]:
        """Return where reading a version is best parted: at each of these bytes what one object holds of it ends.

        At most one request.
        """
        packed = self._reading.packed(version)
        return list(accumulate(extent.raw for extent in packed.location.extents)) if packed else []

    def location(self, version: Version) -> locations.Location:
        """Return where the bytes of a version are. At most one request.

        Raises:
            Damaged: Its commit does not say.
        """
        return self._reading.location(version)

    @property
    def store_location(self) -> str:
        """Where its store is, such as "s3://bucket/prefix"."""
        return self._store.backend.location

    def open(self, version: Version) -> VersionFile:
        """Return a version as a file to read from. No request yet."""
        return VersionFile(self._reading, version)

    def sharing(self, version: Version, other: ArtifactRoot, other_version: Version) -> Sharing | None:
        """Return what a version has in common with one of this or another root, neither being read.

        Costs one request a commit that made them and one a pack whose directory is not known yet.

        Returns:
            None where it cannot be told: of versions inside commits, of whole objects, and of two stores.

        Raises:
            Damaged, ObjectMissing: What a commit and the directories of its packs say does not fit together.
        """
        if other._store is not self._store:
            return None
        new, old = self._reading.packed(version), other._reading.packed(other_version)
        return sharing(old, new, self._store.reader.directories) if old and new else None

    def _append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Commit drafts, if any, and see to what ended by them."""
        all_appended = self._log.append(drafts) if drafts else []
        for draft, appended in zip(drafts, all_appended, strict=True):
            ended = appended.deleted
            if ended and self._store.settings.native:
                self._native.changed(ended, draft.id)
        return all_appended

    def _natively(self, files: Mapping[str, Source]) -> dict[str, Source]:
        patterns = compiled(self._store.settings.native)
        return {path: source for path, source in files.items() if patterns.fullmatch(path)}

    def _hints(self, sources: Sequence[Source], paths: Sequence[str]) -> list[IndexName]:
        """Return the indexes of the current versions of `paths`: where new content most likely comes from."""
        small = size_up_to(sources, _LOOKED_UP_FROM) < _LOOKED_UP_FROM
        if small or not self._store.domain(self.name).dedup:
            return []
        try:
            state = self._log.state()
            current = [version for path in paths if (version := state.get(path)) is not None]
            newest = sorted(current, key=lambda version: version.place, reverse=True)
            one_each = {version.place[:2]: version for version in reversed(newest)}
            located = self._log.locate(list(one_each.values())[-_HINTED_COMMITS:])
            names = [name for one in reversed(located) for name in locations.decode_content(one.content).indexes]
            return list(dict.fromkeys(names))[:_HINTED_INDEXES]
        except (CredentialsMissing, Unavailable):
            # Nothing that follows would fare better, and each of its requests would wait as long.
            raise
        except VersionedStoreError as error:
            # The commit reads the same state and says what is wrong if it still is.
            _log.warning("Looking for earlier versions in %r failed: %s", self.name, error)
            return []

    def _staging(self, context: Context) -> Staging:
        seconds, size = staging_from_environment(self._store.settings)

        def commit(content: dict[str, Any]) -> None:
            self._log.append([changes.draft("stage", context, (), content)])

        return Staging(commit, seconds, size)
