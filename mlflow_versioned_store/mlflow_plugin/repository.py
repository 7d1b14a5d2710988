"""What MLflow calls: an artifact repository whose every upload is a new version."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import AsyncIterable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.utils.file_utils import create_tmp_dir

from mlflow_versioned_store.errors import (
    InvalidInput,
    NoStore,
    NotFound,
    VersionedStoreError,
)
from mlflow_versioned_store.mlflow_plugin import destinations, paths, sources, streams
from mlflow_versioned_store.mlflow_plugin.destinations import Destinations
from mlflow_versioned_store.mlflow_plugin.failures import translated
from mlflow_versioned_store.mlflow_plugin.origin import is_server, origin
from mlflow_versioned_store.mlflow_plugin.progress import TransferBar
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.store import Item, Store, open_store
from mlflow_versioned_store.tree import Found, Tree
from mlflow_versioned_store.version_file import VersionFile

_logger = logging.getLogger(__name__)
# The arguments of the base class grew from release to release of MLflow.
_BASE_ARGUMENTS = frozenset(inspect.signature(ArtifactRepository.__init__).parameters)


class VersionedArtifactRepository(streams.StreamUploadMixin, ArtifactRepository):
    """Artifacts at or below one `versioned-…://` URI.

    Cheap to construct and safe from many threads: connections and caches belong to the process, not to an instance.
    Every path may be an address, such as `data/train.csv@v2` or `data@c5/train.csv`; a path that literally exists
    wins over that reading.

    Args:
        artifact_uri: Where the artifacts are.
        tracking_uri: Kept for MLflow.
        registry_uri: Kept for MLflow.

    Raises:
        MlflowException: The URI can never work (INVALID_PARAMETER_VALUE).
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None):
        with translated():
            self._location = paths.location(artifact_uri)
        optional = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
        super().__init__(artifact_uri, **{name: uri for name, uri in optional.items() if name in _BASE_ARGUMENTS})

    def log_artifact(self, local_file: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Log one file; content that is already the current version makes no new one.

        Args:
            local_file: The file.
            artifact_path: The folder to log it into.

        Raises:
            MlflowException: Nothing was logged.
        """
        with translated():
            self._log([sources.file(local_file, paths.writing(artifact_path))])

    def log_artifacts(self, local_dir: str | os.PathLike[str], artifact_path: str | None = None) -> None:
        """Log all files and empty folders below a directory in one change: all of them, or none.

        Args:
            local_dir: The directory.
            artifact_path: The folder to log its content into.

        Raises:
            MlflowException: Nothing was logged.
        """
        with translated():
            self._log(sources.directory(local_dir, paths.writing(artifact_path)))

    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Log what can be read from `stream`; nothing if it breaks off.

        Args:
            stream: The bytes.
            artifact_file_name: The file's name; folders in front of it are ignored.
            artifact_path: The folder to log it into.

        Raises:
            MlflowException: Nothing was logged.
        """
        with translated():
            streams.log_stream(stream, self._log_body(artifact_file_name, artifact_path))

    async def log_artifact_from_async_stream(
        self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Do the same for chunks that arrive on an event loop, without ever blocking it."""
        with translated():
            await streams.log_async(chunks, self._log_body(artifact_file_name, artifact_path))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly inside a folder, sorted by path.

        The entries of an address keep it (`d@c5` gives `d@c5/a.txt`), so that whoever walks on stays in that state.

        Args:
            path: The folder, relative to the repository; itself by default.

        Returns:
            Files and folders by their path in the repository; nothing for a file or for what does not exist.

        Raises:
            MlflowException: The store could not be read.
        """
        with translated():
            folder = paths.reading(path)
            tree = self._tree_to_read()
            entries = tree.children(folder) if tree is not None else []
            return [
                FileInfo(joined(folder, name), version is None, version.size if version else None)
                for name, version in entries
            ]

    def download_artifacts(self, artifact_path: str | None, dst_path: str | os.PathLike[str] | None = None) -> str:
        """Download a file or a folder, planned as a whole and read at one state.

        Args:
            artifact_path: The file, folder or address; None or "" for everything.
            dst_path: An existing local directory; a new temporary one by default.

        Returns:
            The local path: `artifact_path` as it was asked for, below `dst_path`.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where there is no such artifact or directory; other codes where
                the store could not be read. Files that are there by then are complete and checked.
        """
        with translated(), _reported():
            asked = paths.reading(artifact_path)
            given = destinations.folder(dst_path) if dst_path else None
            tree = self._tree_to_read()
            found = tree.files(asked) if tree is not None else []
            if asked and not found:
                raise self._missing(asked, tree)
            if is_server() and asked and _is_hollow(found):
                # A server sends files. MLflow's would fail, and its client ask for minutes again.
                raise NotFound(f"{asked!r} is an empty folder, which no server can send; download the folder above it.")
            folder: str = given or create_tmp_dir()  # type: ignore[no-untyped-call]
            if not found:
                _logger.info("There are no artifacts to download at %s.", self.artifact_uri)
                return folder
            return self._download(found, asked, Destinations(folder))

    def _download_file(self, remote_file_path: str, local_path: str | os.PathLike[str]) -> None:
        # MLflow calls this one by keyword, and directly for traces.
        with translated(), _reported():
            found = self._found(paths.reading(remote_file_path))
            found.root.download([(found.version, os.path.abspath(os.fspath(local_path)))])

    def open_artifact(self, path: str) -> VersionFile:
        """Return a file to read from, in the version that its path or address means now.

        Args:
            path: The file or its address.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where there is none; or the store could not be read.
        """
        with translated():
            found = self._found(paths.reading(path))
            return found.root.open(found.version)

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Record a file, a folder or everything as deleted; earlier versions stay readable by their addresses.

        Args:
            artifact_path: The file or folder; None for all of the repository.

        Raises:
            MlflowException: The deletion could not be recorded.
        """
        with translated():
            path = paths.reading(artifact_path)
            tree = self._tree_to_read()
            if tree is not None and tree.delete(path):
                _say_that_bytes_stay()

    def _log(self, items: list[Item]) -> None:
        if items:
            with closing(TransferBar("Uploading artifacts", lambda: sources.size(items))) as bar:
                self._tree_to_write().upload(items, bar)

    def _log_body(self, name: str, artifact_path: str | None) -> streams.Log:
        path = joined(paths.writing(artifact_path), os.path.basename(name))
        return lambda body: self._tree_to_write().upload([Item(path, body)])

    def _download(self, found: list[Found], asked: str, local: Destinations) -> str:
        local.check(one.path for one in found)
        plans: dict[str, list[tuple[Found, str]]] = {}
        for one in found:
            path = joined(asked, one.path)
            if one.version.kind == "folder":
                local.directory(path)
            else:
                plans.setdefault(one.root.name, []).append((one, local.file(path)))
        with closing(TransferBar("Downloading artifacts", lambda: sum(one.version.size for one in found))) as bar:
            for plan in plans.values():
                wanted = [(one.version, path) for one, path in plan]
                plan[0][0].root.download(wanted, progress=bar)
        alone = len(found) == 1 and not found[0].path and found[0].version.kind == "file"
        return local.file(asked) if alone else local.directory(asked)

    def _found(self, path: str) -> Found:
        """Return the version of a file."""
        tree = self._tree_to_read()
        found = tree.file(path) if tree is not None else None
        if found is None:
            raise self._missing(path, tree)
        return found

    def _store_to_write(self) -> tuple[Store, str]:
        # Climbing paths name what exists; where nothing does they must not decide where a store is made.
        store, prefix = open_store(self._location.uri, write=self._location.anchor is None)
        self._check_anchor(store.id)
        return store, prefix

    def _tree_to_write(self) -> Tree:
        return Tree(*self._store_to_write(), context=origin)

    def _tree_to_read(self) -> Tree | None:
        try:
            store, prefix = open_store(self._location.uri)
        except NoStore:
            # Nothing was ever logged here, which is how every new run begins.
            return None
        self._check_anchor(store.id)
        return Tree(store, prefix, context=origin)

    def _check_anchor(self, store_id: str) -> None:
        if self._location.anchor is not None and open_store(self._location.anchor)[0].id != store_id:
            raise InvalidInput(f"The artifact URI {self.artifact_uri!r} climbs out of its own store with '..'.")

    def _missing(self, path: str, tree: Tree | None) -> NotFound:
        missing = f"There is no artifact {path!r} in {self.artifact_uri}"
        try:
            if tree is not None:
                tree.check(path)
        except NotFound as error:
            return NotFound(f"{missing}. {error.message}")
        return NotFound(f"{missing}; list_artifacts shows what there is, and 'name@v1' names a version.")


def _is_hollow(found: list[Found]) -> bool:
    """Tell whether all that was found is the folder itself, which was logged empty."""
    return len(found) == 1 and not found[0].path and found[0].version.kind == "folder"


@contextmanager
def _reported() -> Iterator[None]:
    """Log errors that MLflow may hide: below a run, it takes any failed download for a path that does not exist."""
    try:
        yield
    except (NotFound, InvalidInput):
        raise
    except VersionedStoreError as error:
        _logger.warning("A download failed: %s", error.message)
        raise


@functools.cache
def _say_that_bytes_stay() -> None:
    _logger.warning(
        "Deleted artifacts are recorded as deleted; their versions stay readable, and their bytes stay in the store:"
        " this release frees no space."
    )
