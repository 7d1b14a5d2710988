"""The file system of versioned stores, as fsspec knows file systems.

Paths are addresses: `data/train.csv@v2` is a file, `data@c5` a folder. What is written becomes a version, and what is
removed stays readable by its address. Folders are there where something lies in them, as in any object store.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Sequence
from typing import Any, ClassVar

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.compression import compr
from fsspec.core import get_compression

from mlflow_versioned_store.context import here
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.filesystem.bulk import Pair, note, noting, one_moment
from mlflow_versioned_store.filesystem.reading import BlocksOfVersion, ReadingFileSystem, Reported, as_files_do
from mlflow_versioned_store.filesystem.writer import OneChange, Packing
from mlflow_versioned_store.store import ArtifactRoot, Item, Progress, Store
from mlflow_versioned_store.tree import Found, Tree
from mlflow_versioned_store.version_file import VersionFile
from mlflow_versioned_store.version_writer import VersionWriter

# What fsspec itself, and those who call it, pass to every file system.
_KNOWN_OPTIONS = frozenset(
    {"asynchronous", "listings_expiry_time", "loop", "max_paths", "skip_instance_cache", "use_listings_cache"}
)


class VersionedFileSystem(ReadingFileSystem):
    """Reads any version, writes new ones. It keeps nothing but its scheme: pickles, and works in forked children.

    Besides name, size and type, `info` tells of a file: version, sha256, address (which always leads to this very
    version), created and mtime.

    Errors are those of any file system where there are such (FileNotFoundError, IsADirectoryError), else those of
    `mlflow_versioned_store.errors`. What counts as missing certainly is not there; an unreachable store never does.

    Raises:
        InvalidInput: An option was given; stores are configured by the environment.
    """

    transaction_type: ClassVar[type[OneChange]] = OneChange

    def __init__(self, **options: Any):
        unknown = sorted(options.keys() - _KNOWN_OPTIONS)
        if unknown:
            raise InvalidInput(
                f"{', '.join(unknown)}: the file system {self.protocol} takes no options; stores are configured by "
                "environment variables, which all tools share."
            )
        super().__init__(**options)

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Callback = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        mode: str = "overwrite",
        **_: Any,
    ) -> None:
        """Make versions of local files, in one change of each artifact root. The callback counts bytes."""
        with noting() as pairs:
            super().put(lpath, rpath, recursive, maxdepth=maxdepth, mode=mode)
        self._upload(pairs, callback)

    def put_file(
        self, lpath: Any, rpath: str, callback: Callback = DEFAULT_CALLBACK, mode: str = "overwrite", **_: Any
    ) -> None:
        if mode == "create" and self.exists(rpath):
            raise FileExistsError(errno.EEXIST, "There is such a file", rpath)
        if not note(lpath, rpath):
            self._upload([Pair(lpath, rpath)], callback)

    def pipe(self, path: Any, value: Any = None, mode: str = "overwrite", **_: Any) -> None:
        """Make versions of bytes, in one change of each artifact root."""
        with noting() as pairs:
            super().pipe(path, value, mode=mode)
        self._write([Item(target, data) for data, target in pairs])

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_: Any) -> None:
        if mode == "create" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "There is such a file", path)
        data = bytes(value)
        if not note(data, path):
            self._write([Item(path, data)])

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        **_: Any,
    ) -> None:
        """Make versions of versions, in one change of each artifact root."""
        with noting() as pairs:
            super().copy(path1, path2, recursive, maxdepth, on_error)
            self._copy(pairs)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Make a version of a version."""
        if not note(path1, path2):
            with one_moment():
                self._copy([Pair(path1, path2)])

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Record files and folders as deleted; their versions stay readable by their addresses.

        Files of one artifact root are one change, and so is a folder.
        """
        with one_moment():
            if maxdepth is None:
                paths = self.expand_path(path)
            else:
                paths = [one for one in self.expand_path(path, recursive, maxdepth) if self.isfile(one)]
            self._remove(paths, recursive=recursive)

    def rm_file(self, path: str) -> None:
        with one_moment():
            self._remove([self._strip_protocol(path)], recursive=False)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Do nothing: a folder is there once something lies in it."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there once something lies in it."""

    def rmdir(self, path: str) -> None:
        """Refuse to remove a folder that something lies in; one that nothing lies in is gone already."""
        if self.ls(path):
            raise OSError(errno.ENOTEMPTY, "Something lies in the folder", path)

    def log(self, items: Sequence[Item], progress: Progress | None = None) -> None:
        """Make versions of items, whose paths are those of this file system: one change of each artifact root.

        Raises:
            InvalidInput: A path cannot be written, such as the address of a version.
            FileNotFoundError: There is no store.
        """
        stores: dict[Store, list[Item]] = {}
        for item in items:
            with as_files_do(item.path):
                store, inside = self._locate(item.path)
            stores.setdefault(store, []).append(Item(inside, item.source))
        for store, logged in stores.items():
            tree = Tree(store, "")
            for item in logged:
                tree.check_plain(item.path)
            tree.upload(logged, progress)

    def open(self, path: str, mode: str = "rb", *arguments: Any, compression: str | None = None, **options: Any) -> Any:
        """Open as fsspec does; a packed file that is written is closed with what packs it."""
        compression = get_compression(path, compression)
        if compression is None or "r" in mode or "b" not in mode:
            return super().open(path, mode, *arguments, compression=compression, **options)
        file = super().open(path, mode, *arguments, **options)
        return io.BufferedWriter(Packing(compr[compression](file, mode="w"), file))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,  # noqa: ARG002 - there is nothing to set
        cache_type: str | None = None,
        **_: Any,
    ) -> VersionFile | BlocksOfVersion | VersionWriter:
        if mode == "rb":
            found = self._file(path)
            # fsspec's block cache asks for files without a cache, and puts its own into them.
            keeps_blocks = cache_type == "none"
            return BlocksOfVersion(self, path, found, block_size) if keeps_blocks else found.root.open(found.version)
        if mode not in ("wb", "xb"):
            raise InvalidInput(
                f"{path} cannot be opened with the mode {mode!r}: versions never change. Read it ('rb') and write it "
                "anew ('wb'); bytes that are there already are not stored again."
            )
        if mode == "xb" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "There is such a file", path)
        with as_files_do(path):
            self._tree(path).check_plain("")
        return VersionWriter(path, self.log, autocommit=autocommit)

    def _upload(self, pairs: Sequence[Pair], callback: Callback) -> None:
        items = [Item(target, os.fspath(source)) for source, target in pairs if not os.path.isdir(source)]
        self._write(items, Reported(callback, sum(os.path.getsize(source) for source, _ in pairs)))

    def _copy(self, pairs: Sequence[Pair]) -> None:
        moved: list[Item] = []
        stays: dict[Store, list[tuple[Found, str]]] = {}
        for source, target in [(self._strip_protocol(one), self._strip_protocol(other)) for one, other in pairs]:
            found = self._look(source)
            if found is None:
                continue
            with as_files_do(target):
                store, inside = self._locate(target)
            if store is self._locate(source)[0] and not self._intrans:
                stays.setdefault(store, []).append((found, inside))
            else:
                moved.append(Item(target, found.root.open(found.version)))
        for store, taken in stays.items():
            tree = Tree(store, "")
            for _, path in taken:
                tree.check_plain(path)
            tree.take(taken)
        self._write(moved)

    def _write(self, items: Sequence[Item], progress: Progress | None = None) -> None:
        if not self._intrans:
            self.log([Item(self._strip_protocol(item.path), item.source) for item in items], progress)
            return
        # What a transaction makes versions of at its end is what there was when it was asked for.
        for item in items:
            with self.open(item.path, "wb") as file:
                if isinstance(item.source, bytes):
                    file.write(item.source)
                elif isinstance(item.source, VersionFile):
                    shutil.copyfileobj(item.source, file)
                else:
                    with open(str(item.source), "rb") as local:
                        shutil.copyfileobj(local, file)

    def _remove(self, paths: Sequence[str], *, recursive: bool) -> None:
        files: dict[ArtifactRoot, list[str]] = {}
        folders = []
        for path in paths:
            found = self._look(path)
            if found is not None:
                self._tree(path).check_plain("")
                files.setdefault(found.root, []).append(found.version.path)
            elif recursive:
                folders.append(path)
            else:
                raise IsADirectoryError(errno.EISDIR, "It is a folder; remove it with recursive=True", path)
        for root, gone in files.items():
            root.upload([], context=here(root.name), deleted=gone)
        for folder in folders:
            Tree(*self._locate(folder)).delete("")
