"""Looking at the files of versioned stores and reading them, as fsspec calls it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile
from fsspec.utils import isfilelike

from mlflow_versioned_store.backends.opening import parse
from mlflow_versioned_store.content.parts import Range
from mlflow_versioned_store.errors import InvalidInput, NotFound, VersionedStoreError
from mlflow_versioned_store.filesystem.bulk import Pair, note, noting, one_moment
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.pools import Pool
from mlflow_versioned_store.roots import clean_path, joined
from mlflow_versioned_store.store import ArtifactRoot, Store, open_store
from mlflow_versioned_store.tree import Found, Tree

_FILES_AT_ONCE = 8
_several = Pool("files", lambda: _FILES_AT_ONCE)


class ReadingFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The half of the file system that looks and reads."""

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        with one_moment():
            found = self._look(path)
            return self._folder(path) if found is None else self._described(path, found.root.name, found.version)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        with one_moment(), as_files_do(path):
            store, inside = self._locate(path)
            root = store.place(inside).root
            found = [
                self._described(_below(path, name), root, version) if version else self._folder(_below(path, name))
                for name, version in self._tree(path).children("")
            ]
            if not found:
                alone = self.info(path)
                found = [alone] if alone["type"] == "file" else []
        return found if detail else [info["name"] for info in found]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **_: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        with one_moment():
            found = (
                self._all_below(path) if maxdepth is None else super().find(path, maxdepth, withdirs=True, detail=True)
            )
            if not withdirs:
                found = {name: info for name, info in found.items() if info["type"] == "file"}
        return dict(sorted(found.items())) if detail else sorted(found)

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = None, **options: Any
    ) -> Any:
        """Walk as fsspec does; only a folder that certainly is missing is passed over."""
        return super().walk(path, maxdepth, topdown, on_error or _pass_over_what_is_missing, **options)

    def glob(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        with one_moment():
            return super().glob(path, maxdepth, **options)

    def exists(self, path: str, **_: Any) -> bool:
        return self._type(path) is not None

    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def created(self, path: str) -> datetime:
        return self._file(path).version.when

    def modified(self, path: str) -> datetime:
        return self._file(path).version.when

    def checksum(self, path: str) -> int:
        return int(self.ukey(path), 16)

    def ukey(self, path: str) -> str:
        """Return the SHA-256 of a file."""
        return self._file(path).version.sha256

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        found = self._file(path)
        return found.root.read(found.version, *slice(start, end).indices(found.version.size)[:2])

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,  # noqa: ARG002 - what lies close together is read together in any case
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Return byte ranges of files; those of one file are read in one plan, several files in parallel."""
        bounds = list(zip(_for_each(starts, paths), _for_each(ends, paths), strict=True))
        places: dict[str, list[int]] = {}
        for at, path in enumerate(paths):
            places.setdefault(self._strip_protocol(path), []).append(at)
        answers: list[Any] = [None] * len(paths)
        with one_moment():
            reads = {path: self._start(path, [bounds[at] for at in ats]) for path, ats in places.items()}
            for path, ats in places.items():
                error = reads[path].exception()
                if error is not None and on_error != "return":
                    raise error
                for at, answer in zip(ats, [error] * len(ats) if error else reads[path].result(), strict=True):
                    answers[at] = answer
        return answers

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **_: Any) -> Any:
        with one_moment():
            paths = self.expand_path(path, recursive=recursive)
            if isinstance(path, str) and paths == [self._strip_protocol(path)]:
                return self.cat_file(paths[0])
            if recursive:
                paths = [one for one in paths if not self.isdir(one)]
            answers = self.cat_ranges(paths, None, None, on_error="raise" if on_error == "raise" else "return")
        found = dict(zip(paths, answers, strict=True))
        return {one: data for one, data in found.items() if on_error != "omit" or not isinstance(data, Exception)}

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        """Download files, planned as a whole; each appears when it is complete. The callback counts bytes."""
        with noting() as pairs:
            super().get(rpath, lpath, recursive, maxdepth=maxdepth)
            self._download(pairs, callback)

    def get_file(
        self, rpath: str, lpath: Any, callback: Callback = DEFAULT_CALLBACK, outfile: Any = None, **_: Any
    ) -> None:
        if outfile is not None or isfilelike(lpath):
            super().get_file(rpath, lpath, callback, outfile)
        elif not note(rpath, lpath):
            with one_moment():
                self._download([Pair(rpath, lpath)], callback)

    def _download(self, pairs: Sequence[Pair], callback: Callback) -> None:
        plans: dict[ArtifactRoot, list[tuple[Version, str]]] = {}
        for source, target in pairs:
            local = os.path.abspath(os.fspath(target))
            found = self._look(self._strip_protocol(source))
            if found is None:
                os.makedirs(local, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(local), exist_ok=True)
                plans.setdefault(found.root, []).append((found.version, local))
        progress = Reported(callback, sum(version.size for plan in plans.values() for version, _ in plan))
        for root, plan in plans.items():
            root.download(plan, progress=progress)

    def _start(self, path: str, bounds: Sequence[tuple[int | None, int | None]]) -> Future[list[bytes]]:
        """Start to read ranges of a file."""
        try:
            found = self._file(path)
        except (OSError, VersionedStoreError) as error:
            failed: Future[list[bytes]] = Future()
            failed.set_exception(error)
            return failed
        ranges = [_range(found.version, start, stop) for start, stop in bounds]
        return _several.submit(found.root.read_ranges, found.version, ranges)

    def _file(self, path: str) -> Found:
        """Return the version that a path leads to.

        Raises:
            FileNotFoundError, IsADirectoryError: There is none.
        """
        path = self._strip_protocol(path)
        found = self._look(path)
        if found is None:
            raise IsADirectoryError(errno.EISDIR, "It is a folder", path)
        return found

    def _look(self, path: str) -> Found | None:
        """Return the version that a path leads to, or None for a folder.

        Raises:
            FileNotFoundError: There is neither; the message says what there is instead.
        """
        with as_files_do(path):
            self._check_possible(path)
            tree = self._tree(path)
            found = tree.file("")
            if found is None and not tree.is_folder(""):
                tree.check("")
                raise NotFound(f"Nothing was ever logged at {path}.")
            return found

    def _type(self, path: str) -> str | None:
        try:
            return "directory" if self._look(self._strip_protocol(path)) is None else "file"
        except FileNotFoundError:
            return None

    def _check_possible(self, path: str) -> None:
        """Check that there can be such a file; where there cannot, there is none."""
        if RESERVED in path.split("/"):
            raise NotFound(f"{path} is inside a store's own folder, where no artifacts are.")
        try:
            self._check_form(path)
        except InvalidInput as error:
            raise NotFound(error.message) from error
        _, inside = self._locate(path)
        try:
            clean_path(inside)
        except InvalidInput as error:
            raise NotFound(error.message) from error

    def _check_form(self, path: str) -> None:
        """Check that a path has the form of one, whatever there is.

        Raises:
            InvalidInput: It has not.
        """
        parse(self._uri(path.partition("?")[0]))

    def _all_below(self, path: str) -> dict[str, dict[str, Any]]:
        """Return all files at or below a path, with the folders that they lie in."""
        with as_files_do(path):
            found = self._tree(path).files("")
        listed: dict[str, dict[str, Any]] = {}
        for relative, root, version in found:
            name = _below(path, relative) if relative else path
            is_file = version.kind == "file"
            listed[name] = self._described(name, root.name, version) if is_file else self._folder(name)
            while len(name) > len(path):
                name = name.rpartition("/")[0]
                if name in listed:
                    break
                listed[name] = self._folder(name)
        return listed

    def _described(self, name: str, root: str, version: Version) -> dict[str, Any]:
        store, _ = self._locate(name)
        return {
            "name": name,
            "size": version.size,
            "type": "file",
            "version": version.number,
            "sha256": version.sha256,
            "address": joined(f"versioned-{store.location}", root, format_address(version.path, version.number)),
            "created": version.when,
            "mtime": version.when,
        }

    @staticmethod
    def _folder(name: str) -> dict[str, Any]:
        return {"name": name, "size": 0, "type": "directory"}

    def _tree(self, path: str) -> Tree:
        with one_moment() as moment:
            return Tree(*self._locate(path), moment=moment)

    def _locate(self, path: str) -> tuple[Store, str]:
        """Return the store that covers a path, and the path inside it."""
        # URIs have no "?", but the names of files may, and those of stores do not.
        head, mark, _ = path.partition("?")
        head = head.rpartition("/")[0] if mark else head
        store, inside = open_store(self._uri(head))
        return store, joined(inside, path[len(head) :].strip("/"))

    def _uri(self, path: str) -> str:
        """Return the artifact URI of a path."""
        return f"{self.protocol}://{path}"


class BlocksOfVersion(AbstractBufferedFile):  # type: ignore[misc]
    """A version for those who keep its blocks themselves: it fetches what is asked for, and keeps nothing.

    Args:
        fs: The file system.
        path: Its path.
        found: The version.
        block_size: The bytes of their blocks; None for fsspec's own size.
    """

    def __init__(self, fs: AbstractFileSystem, path: str, found: Found, block_size: int | None):
        super().__init__(fs, path, "rb", block_size or "default", cache_type="none", size=found.version.size)
        self._found = found

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._found.root.read(self._found.version, start, min(end, self.size))


@contextmanager
def as_files_do(path: str) -> Iterator[None]:
    """Let what does not exist be the error that whoever reads files expects."""
    try:
        yield
    except NotFound as error:
        raise FileNotFoundError(errno.ENOENT, error.message, path) from error


class Reported:
    """Tells a callback of bytes as they move."""

    def __init__(self, callback: Callback, size: int):
        self._callback = callback
        self._lock = threading.Lock()
        callback.set_size(size)

    def add(self, size: int, /) -> None:
        """Count `size` more bytes."""
        with self._lock:
            self._callback.relative_update(size)

    def close(self) -> None:
        """Nothing is left to tell."""


def _below(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}" if path else name


def _range(version: Version, start: int | None, stop: int | None) -> Range:
    """Return the bytes that a slice of a file is."""
    first, last, _ = slice(start, stop).indices(version.size)
    return first, max(first, last)


def _for_each(bounds: int | list[int | None] | None, paths: Sequence[str]) -> list[int | None]:
    if isinstance(bounds, list):
        return bounds
    return [bounds] * len(paths)


def _pass_over_what_is_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
