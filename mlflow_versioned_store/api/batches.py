"""Many changes of one artifact root in one commit."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self

from mlflow_versioned_store import artifact_root, context
from mlflow_versioned_store.api import uploads
from mlflow_versioned_store.artifact_root import Progress
from mlflow_versioned_store.changes import Item, Stored, checked_paths
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.roots import clean_path
from mlflow_versioned_store.version_writer import VersionWriter


class Batch:
    """Changes that are made together when a `with` block ends, and not at all when it is left by an error.

    What is deleted ends first. Of one path, what comes later counts.

    Args:
        root: The artifact root.
        progress: Is told of the bytes that are stored, from any thread.

    Attributes:
        stored: What became of each file and empty folder, once the block has ended.
    """

    def __init__(self, root: artifact_root.ArtifactRoot, progress: Progress | None = None):
        self._root = root
        self._progress = progress
        self._items: dict[str, Item | VersionWriter] = {}
        self._deleted: dict[str, None] = {}
        self._ended = False
        self.stored: list[Stored] = []

    def upload(self, source: uploads.Uploadable, path: str = "") -> None:
        """Add a file, a directory, bytes or a stream; see `ArtifactRoot.upload`. Files are read when the block ends.

        Raises:
            InvalidInput: There is no such file or directory, a path is not valid, or the source is none of these.
        """
        self._check_open()
        for item in uploads.items(source, path):
            self._put(item.path, item)

    def open(self, path: str, mode: Literal["wb"] = "wb") -> VersionWriter:
        """Return a file to write to, which the block's end closes; see `ArtifactRoot.open`.

        Raises:
            InvalidInput: The path or the mode can never work.
        """
        self._check_open()
        if mode != "wb":
            raise InvalidInput(f"A batch writes; it cannot open {path!r} with the mode {mode!r}.")
        (clean,) = checked_paths([Item(path, b"")])
        writer = VersionWriter(clean, lambda _: None, autocommit=False)
        self._put(clean, writer)
        return writer

    def delete(self, path: str) -> None:
        """Let a path and all below it end, what was added to the batch until now too. At most one request.

        Raises:
            NotFound: There is nothing at the path, and nothing was added; the message says what there is instead.
        """
        self._check_open()
        clean = clean_path(path)
        added = [one for one in self._items if not clean or one == clean or one.startswith(f"{clean}/")]
        for one in added:
            self._drop(one)
        try:
            self._deleted[self._root.find_plain(clean).path] = None
        except NotFound:
            if not added:
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        try:
            if kind is None:
                self._commit()
        finally:
            for path in list(self._items):
                self._drop(path)

    def _commit(self) -> None:
        items: list[Item] = []
        for one in self._items.values():
            if isinstance(one, VersionWriter):
                one.close()
                items += one.written()
            else:
                items.append(one)
        if items or self._deleted:
            self.stored = self._root.upload(
                items, context=context.here(self._root.name), progress=self._progress, deleted=list(self._deleted)
            )

    def _put(self, path: str, item: Item | VersionWriter) -> None:
        self._drop(path)
        self._items[path] = item

    def _drop(self, path: str) -> None:
        dropped = self._items.pop(path, None)
        if isinstance(dropped, VersionWriter):
            dropped.discard()

    def _check_open(self) -> None:
        if self._ended:
            raise InvalidInput("The batch has ended; begin another one.")
