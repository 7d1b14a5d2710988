"""A store and its artifact roots, as Python programs use them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from mlflow_versioned_store import artifact_root, context, store
from mlflow_versioned_store.api import downloads, uploads
from mlflow_versioned_store.api.batches import Batch
from mlflow_versioned_store.api.listings import Entry, entry, spec
from mlflow_versioned_store.artifact_root import Folder, Progress
from mlflow_versioned_store.backends.counting import Counts, counts_of
from mlflow_versioned_store.changes import Item, Stored, checked_paths
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.addresses import readable
from mlflow_versioned_store.history.records import Commit
from mlflow_versioned_store.history.state import ALIAS, TAG
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.roots import clean_path, joined
from mlflow_versioned_store.settings import Settings
from mlflow_versioned_store.version_file import VersionFile
from mlflow_versioned_store.version_writer import VersionWriter

if TYPE_CHECKING:
    from mlflow_versioned_store import diff

__all__ = ["ArtifactRoot", "Commit", "Entry", "Progress", "Store", "Stored", "Version"]


class Store:
    """A store. `mvs.open_store` returns one.

    Attributes:
        engine: The store as the package itself uses it; not part of the public API.
    """

    def __init__(self, engine: store.Store):
        self.engine = engine

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    @property
    def uri(self) -> str:
        """Where it is, such as "versioned-s3://bucket/prefix"."""
        return f"versioned-{self.engine.location}"

    @property
    def id(self) -> str:
        """Its own id, 32 hex digits, which stays the same wherever the store is copied to."""
        return self.engine.id

    @property
    def settings(self) -> Settings:
        """How it is written, as this process found it first. One request at first."""
        return self.engine.settings

    @property
    def counts(self) -> Counts:
        """How many requests this process has sent to the store so far, of what kind, and the bytes that they moved.

        The difference of two counts is what happened between.
        """
        return counts_of(self.engine.backend)

    def root(self, name: str) -> ArtifactRoot:
        """Return an artifact root by its name, the path of an MLflow artifact location inside the store. No request.

        Args:
            name: Such as "1/<run id>/artifacts"; "" is the store's own root.

        Raises:
            InvalidInput: It cannot be one.
        """
        place = self.engine.place(name)
        if place.path:
            raise InvalidInput(
                f"{name!r} is no artifact root of {self.uri} but the path {place.path!r} in the root {place.root!r}; "
                "other roots end in '<run id>/artifacts', 'models/m-<id>/artifacts' or 'traces/tr-<id>/artifacts'."
            )
        return ArtifactRoot(self.engine, self.engine.root(place.root))

    def roots(self, below: str = "") -> list[str]:
        """Return the names of the artifact roots at or below a path that have a history, sorted.

        One request a thousand objects of their logs.

        Raises:
            InvalidInput: The path is not valid.
        """
        return self.engine.roots_below(clean_path(below))


class ArtifactRoot:
    """An artifact root: the artifacts of one MLflow run, logged model or trace, or a store's own.

    Every path may be an address, such as "data/t.csv@v2", "data/t.csv@gold", "data@c5/t.csv" or
    "data/t.csv@2026-11-01T12:00:00Z"; a path that literally exists wins over such a reading, and the doubled "@@" is
    always an address. `mvs.open_root` returns an artifact root.

    Any method may raise what a request of the store raises: `AccessDenied`, `Unavailable`, `Damaged`. Where costs are
    given they are requests; looking up a path or an address takes one, and one for each commit that this process has
    not seen yet; the first look lists the log and reads its head.

    Attributes:
        engine: The root as the package itself uses it; not part of the public API.
    """

    def __init__(self, of: store.Store, engine: artifact_root.ArtifactRoot):
        self._of = of
        self.engine = engine

    def __repr__(self) -> str:
        return f"ArtifactRoot({self.uri!r})"

    @property
    def name(self) -> str:
        """Its name: its path inside the store; "" is the store's own root."""
        return self.engine.name

    @property
    def store(self) -> Store:
        """The store it is in."""
        return Store(self._of)

    @property
    def uri(self) -> str:
        """Where it is, such as "versioned-s3://bucket/prefix/1/<run id>/artifacts"."""
        return joined(self.store.uri, self.name)

    def get(self, address: str) -> Version:
        """Return the version of a file that an address leads to.

        Raises:
            NotFound: There is none; the message says what there is instead.
            InvalidInput: The address can never lead anywhere.
        """
        found = self.engine.find(address)
        if isinstance(found, Folder) or found.kind == "folder":
            raise NotFound(f"{address!r} in {self.uri} is a folder; name a file in it, or list it.")
        return found

    def versions(self, path: str) -> list[Version]:
        """Return all versions that a path ever had, oldest first; deleted and expired ones too (see `status`).

        Raises:
            NotFound: There never was such a file; the message says what there is instead.
        """
        return self.engine.versions(path) or self.engine.versions(self.get(path).path)

    def history(self, path: str | None = None) -> Iterator[Commit]:
        """Yield the commits, newest first, one request each, read in parallel up to 8 ahead of those that were taken.

        Args:
            path: Yield only those that did something to this path or below it. The others are read all the same, down
                to the one that made a file's first version.

        Raises:
            NotFound: There never was such a path; the message says what there is instead.
            InvalidInput: The path is not valid.
        """
        if path is None:
            return self.engine.history()
        clean = clean_path(path)
        state = self.engine.log.state(refresh=False)
        if not state.had(clean):
            clean = self.engine.find(path).path
        first = None if state.had_folder(clean) else state.version(clean, 1)
        since = self.engine.history(oldest=first.commit if first else 1)
        return (commit for commit in since if self._concerns(commit, clean))

    @overload
    def open(self, address: str, mode: Literal["rb"] = "rb") -> VersionFile: ...

    @overload
    def open(self, address: str, mode: Literal["wb"]) -> VersionWriter: ...

    def open(self, address: str, mode: Literal["rb", "wb"] = "rb") -> VersionFile | VersionWriter:
        """Return a file to read from, or one to write to.

        Read files are seekable, and only what is read is fetched. What is written becomes a version when the file is
        closed, and none when a `with` block around it is left by an error; until then it is kept in memory up to 1 MiB,
        and beyond that in a temporary file.

        Args:
            address: The file to read, or the path to write.
            mode: "rb" or "wb".

        Raises:
            NotFound: There is no such file or version; the message says what there is instead.
            InvalidInput: The address or the mode can never work.
        """
        if mode == "rb":
            return self.engine.open(self.get(address))
        if mode != "wb":
            raise InvalidInput(
                f"{address!r} cannot be opened with the mode {mode!r}; read it ('rb') or write it ('wb')."
            )
        (path,) = checked_paths([Item(address, b"")])
        return VersionWriter(path, lambda items: self.engine.upload(items, context=self._context))

    def read_bytes(self, address: str) -> bytes:
        """Return the content of a file, checked.

        Raises:
            NotFound: There is no such file or version; the message says what there is instead.
        """
        return self.engine.read(self.get(address))

    def download(
        self, address: str, to: str | os.PathLike[str], *, force: bool = False, progress: Progress | None = None
    ) -> Path:
        """Write a file or all of a folder to local files, planned as a whole; each is checked, and appears complete.

        What is there already with the same content is left as it is, so a download that broke off goes on where it
        stopped when it is called again. Interrupted, it leaves complete files only.

        Args:
            address: A file or folder; "" for everything.
            to: For a file its local path, or an existing directory to put it into under its own name; for a folder
                the directory that its content goes into, made where it is missing.
            force: Replace files that are there with other content.
            progress: Is told of the bytes that come, from any thread.

        Returns:
            The local file or directory.

        Raises:
            NotFound: There is nothing at the address; the message says what there is instead.
            Conflict: A file is there with other content, and `force` is not set; or a file is where a folder is to go.
                Nothing was written, unless it came there meanwhile.
            InvalidInput: A directory is where a file is to go, or this disk cannot tell two of the files apart.
            LocalStorageFailed: A local file cannot be written.
        """
        return downloads.download(self.engine, address, to, force=force, progress=progress)

    def upload(
        self, source: uploads.Uploadable, path: str = "", *, anew: bool = False, progress: Progress | None = None
    ) -> list[Stored]:
        """Store a file, a directory, bytes or a stream in one atomic change. Unchanged content makes no version.

        One request where all is small; else packs, then the commit with index and hooks beside it.

        Args:
            source: A local file or directory (a path), bytes or a buffer of them, or anything with `read(size)`.
            path: The path that it gets; the content of a directory goes below it. A path that ends with "/" (or is
                empty) is a folder, in which a local file keeps its own name.
            anew: Store all bytes again, lean on nothing, and make versions even of content that is current: what there
                is may be damaged.
            progress: Is told of the bytes that are stored, from any thread.

        Returns:
            What became of each file and empty folder.

        Raises:
            InvalidInput: There is no such file or directory, a path is not valid, or the source is none of these.
            SourceChanged, LocalStorageFailed: A local file cannot be read as it is. Nothing was stored.
        """
        items = uploads.items(source, path)
        return self.engine.upload(items, context=self._context, progress=progress, anew=anew) if items else []

    def delete(self, path: str) -> int:
        """Record a path and everything below it as deleted; versions stay readable by their addresses. One request.

        Returns:
            How many paths that were.

        Raises:
            NotFound: There is nothing at the path; the message says what there is instead.
            InvalidInput: It is the address of a version, and versions never change.
        """
        return self.engine.delete(self.engine.find_plain(path).path, context=self._context)

    def batch(self, *, progress: Progress | None = None) -> Batch:
        """Return a batch: `with root.batch() as b:` makes all its changes in one commit, or none on an error.

        Args:
            progress: Is told of the bytes that are stored, from any thread.
        """
        return Batch(self.engine, progress)

    def restore(self, address: str) -> list[Stored]:
        """Make an old version, or all files of a folder as they were, the newest. No bytes are moved.

        What came into the folder since stays as it is. Costs one request for each commit that made the versions, a
        look at each of their packs, and the commit.

        Returns:
            What became of each file and empty folder.

        Raises:
            NotFound: There is nothing at the address, or its bytes are gone; the message says what there is instead.
        """
        versions = self._versions_at(self.engine.find(address))
        taken = [Taken(self.engine, version, version.path) for version in versions]
        return take(self.engine, taken, operation="restore", context=self._context) if taken else []

    def copy(self, address: str, to: ArtifactRoot | None = None, path: str | None = None) -> list[Stored]:
        """Make a version, or all files of a folder, versions of other paths or of another root of the same store.

        No bytes are moved, except between experiments that share none. Costs what `restore` costs.

        Args:
            address: The file or folder.
            to: The artifact root that gets the copy; by default this one.
            path: The path that it gets there; by default the same. One that ends with "/" is a folder, in which a file
                keeps its own name.

        Returns:
            What became of each file and empty folder.

        Raises:
            NotFound: There is nothing at the address; the message says what there is instead.
            InvalidInput: The other root is in another store; or the copy would be where the original is.
        """
        target = to or self
        if target.store.id != self.store.id:
            raise InvalidInput(
                f"{target.uri} is in another store than {self.uri}; download there what you want to have."
            )
        found = self.engine.find(address)
        base = found.path if path is None else clean_path(path)
        if isinstance(found, Version) and path is not None and (not base or path.endswith("/")):
            base = joined(base, found.path.rpartition("/")[2])
        if (target.name, base) == (self.name, found.path):
            raise InvalidInput(f"{address!r} cannot be copied onto itself; name a root or a path, or use restore.")
        taken = [
            Taken(self.engine, version, joined(base, version.path[len(found.path) :].lstrip("/")))
            for version in self._versions_at(found)
        ]
        return take(target.engine, taken, operation="upload", context=context.here(target.name)) if taken else []

    def diff(
        self, old: str, new: str | None = None, *, key: Sequence[str] | None = None
    ) -> diff.FileDiff | diff.TreeDiff:
        """Compare two versions of a file, or two folders.

        Folders cost no reading; how much two versions share is known from their chunks. Text, JSON, images and arrays
        are read; tables are compared by DuckDB, out of core.

        Args:
            old: The old version or folder.
            new: The new one; by default what is current there or, where `old` is current, what was before it.
            key: The columns that name a row of a table; None looks for one, () goes by position.

        Raises:
            NotFound: There is nothing at an address; the message says what there is instead.
            InvalidInput: A file and a folder are to be compared, or there is nothing to compare with.
            Unsupported: A package is missing that such a comparison needs; the message names it.
        """
        from mlflow_versioned_store.api import comparing

        found = self.engine.find(old)
        pair = comparing.around(self.engine, found) if new is None else (found, self.engine.find(new))
        with tempfile.TemporaryDirectory(prefix="mvs-diff-") as folder:
            before, after = (comparing.operand(self.engine, one, folder) for one in pair)
            return comparing.compare(before, after, key=key)

    def alias(self, path: str, name: str, to: str | None) -> None:
        """Let an alias of a path stand for a version or a commit: "data/t.csv@gold" then leads there. One request.

        Args:
            path: The file or folder; "" is the root itself.
            name: The alias, up to 64 letters, digits, "_", ".", "+" and "-".
            to: "v2", a version; "c5", the path as of a commit; None, the alias is removed.

        Raises:
            InvalidInput: It cannot be an alias, or cannot be what one stands for.
            NotFound: There is no such path, version, commit or (to be removed) alias.
        """
        if to is None and name not in (known := self.aliases(path)):
            there = ", ".join(sorted(known)) or "none"
            raise NotFound(f"{path!r} in {self.uri} has no alias {name!r} to remove; its aliases: {there}.")
        self.engine.annotate(path, {ALIAS + name: to}, context=self._context)

    def aliases(self, path: str = "") -> dict[str, str]:
        """Return the aliases of a path: name to "v2" (a version) or "c5" (a commit)."""
        return self.engine.log.state().aliases(clean_path(path))

    def tag(self, address: str, tags: Mapping[str, str | None] | None = None, /, **more: str | None) -> None:
        """Set tags, short texts, of the version that an address leads to, or of a folder. One request.

        Args:
            address: The version; for a plain path that is the current one.
            tags: Names and values; None removes a tag.
            more: The same, for names that Python can spell.

        Raises:
            NotFound: There is no such version; the message says what there is instead.
            InvalidInput: A value is no text.
        """
        values = {**(tags or {}), **more}
        for name, value in values.items():
            if value is not None and not isinstance(value, str):
                raise InvalidInput(f"The tag {name!r} is a text, not {value!r}; `annotate` takes other values.")
        path, number = self._tagged(address)
        notes = {TAG + name: value for name, value in values.items()}
        self.engine.annotate(path, notes, number=number, context=self._context)

    def tags(self, address: str) -> dict[str, str]:
        """Return the tags of the version that an address leads to, or of a folder.

        Raises:
            NotFound: There is no such version; the message says what there is instead.
        """
        path, number = self._tagged(address)
        notes = self.engine.log.state(refresh=False).notes(path, number)
        return {key.removeprefix(TAG): value for key, value in notes.items() if key.startswith(TAG)}

    def annotate(self, address: str, notes: Mapping[str, Any]) -> None:
        """Record notes, such as a description or a data dictionary. One request.

        Args:
            address: A plain path, which is annotated as such, whatever versions it has; or the address of a version,
                which alone is.
            notes: Names and JSON values; None removes a note.

        Raises:
            NotFound: There is no such path or version; the message says what there is instead.
            InvalidInput: A name or value cannot be recorded.
        """
        for name in notes:
            if name.startswith((ALIAS, TAG)):
                raise InvalidInput(f"{name!r} is no name for a note; `alias` and `tag` set aliases and tags.")
        path, number = self._annotated(address)
        self.engine.annotate(path, notes, number=number, context=self._context)

    def annotations(self, address: str) -> dict[str, Any]:
        """Return the notes of a path as such, or of the version whose address is given.

        Raises:
            NotFound: There is no such path or version; the message says what there is instead.
        """
        path, number = self._annotated(address)
        notes = self.engine.log.state(refresh=False).notes(path, number)
        return {key: value for key, value in notes.items() if not key.startswith((ALIAS, TAG))}

    # Behind all methods that return a list, which it hides from type checkers.
    def list(self, path: str = "", *, at: str | int | datetime | None = None, recursive: bool = False) -> list[Entry]:
        """Return what lies directly in a folder, sorted by name; or a file as its only entry.

        Args:
            path: The folder or file, or an address of one.
            at: List what was there then: a time (UTC: "2026-11-01T12:00:00Z", or a datetime with a time zone), a
                commit (5 or "c5"), or an alias of the path.
            recursive: Return all files and empty folders below it instead.

        Raises:
            NotFound: There is no such path; the message says what there is instead.
            InvalidInput: The path or the time can never lead anywhere.
        """
        found = self.engine.find(path if at is None else f"{path}@@{spec(at)}")
        if isinstance(found, Version):
            return [entry(found.path.rpartition("/")[2], found.path, found)] if found.kind == "file" else []
        below = len(found.path) + 1 if found.path else 0
        if recursive:
            return [entry(version.path[below:], version.path, version) for version in found.state.walk(found.path)]
        children = found.state.children(found.path)
        return [entry(name, joined(found.path, name), version) for name, version in children]

    @property
    def _context(self) -> context.Context:
        return context.here(self.name)

    def _versions_at(self, found: Version | Folder) -> Sequence[Version]:
        """Return every file and empty folder of what was found, as it is now: bytes may have moved since, or be gone.

        Raises:
            NotFound: They are gone.
        """
        if isinstance(found, Version):
            return [found]
        newest = self.engine.log.state(refresh=False)
        return [readable(newest, version.path, version.number) for version in found.state.walk(found.path)]

    def _tagged(self, address: str) -> tuple[str, int]:
        """Return the path and the version (0: a folder) that tags of an address are kept with."""
        found = self.engine.find(address)
        return found.path, 0 if isinstance(found, Folder) else found.number

    def _annotated(self, address: str) -> tuple[str, int]:
        """Return the path and the version (0: the path as such) that notes about an address are kept with."""
        found = self.engine.find(address)
        if isinstance(found, Folder) or found.path == clean_path(address):
            return found.path, 0
        return found.path, found.number

    def _concerns(self, commit: Commit, path: str) -> bool:
        below = f"{path}/" if path else ""
        return any(
            entry.path == path or entry.path.startswith(below)
            for change in commit.changes
            for entry in self.engine.log.entries(change)
        )
