"""A file that becomes a version: whole, once it is closed, and not at all where writing breaks off."""

from __future__ import annotations

import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, TypeAlias

from mlflow_versioned_store.changes import Item

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_logger = logging.getLogger("mlflow_versioned_store")
KEPT_BYTES_MAX = 1 << 20

Log: TypeAlias = Callable[[Sequence[Item]], object]


class VersionWriter(io.BufferedIOBase):
    """A binary file to write to. What was written becomes a version when it is closed.

    It becomes none where a `with` block or a call is left by an error, or where the file is dropped without being
    closed, also when a text file or an archive is in between. Up to 1 MiB is kept in memory, more in a temporary file.

    Args:
        path: Its path, as `log` takes it.
        log: Makes versions of what was written.
        autocommit: Whether closing makes the version; otherwise `commit` does.
    """

    def __init__(self, path: str, log: Log, *, autocommit: bool = True):
        super().__init__()
        self.name = self.path = path
        self._log = log
        self._autocommit = autocommit
        self._file = SpooledTemporaryFile(KEPT_BYTES_MAX)  # noqa: SIM115 - closed with this file
        self._broken = False
        # An error that is being handled already is not one of whoever writes now.
        self._earlier_error = sys.exception()

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write at the position; return how many bytes were written."""
        self._checkClosed()
        return self._file.write(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Let the next write begin elsewhere."""
        self._checkClosed()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return where the next write begins."""
        self._checkClosed()
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend what was written; return its new size."""
        self._checkClosed()
        size = self._file.tell() if size is None else size
        self._file.truncate(size)
        return size

    def close(self) -> None:
        """Make the version, unless writing broke off or a transaction makes it."""
        if self.closed:
            return
        super().close()
        error = sys.exception()
        if self._broken or (error is not None and error is not self._earlier_error):
            _logger.warning("Nothing was stored at %s: writing to it broke off.", self.path)
            self.discard()
        elif self._autocommit:
            self.commit()

    def commit(self) -> None:
        """Make the version of what was written."""
        try:
            self._log(self.written())
        finally:
            self.discard()

    def discard(self) -> None:
        """Make none."""
        self._broken = True
        self._file.close()

    def written(self) -> list[Item]:
        """Return what is to become a version: one item, or none where writing broke off."""
        if self._broken:
            return []
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        return [Item(self.path, self._file.read() if size <= KEPT_BYTES_MAX else self._file)]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._broken = self._broken or kind is not None
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            self._dealloc_warn(self)
            self.close()

    def _dealloc_warn(self, source: object) -> None:
        """Note that this file, or the text file around it, was dropped without being closed; Python calls this."""
        warnings.warn(f"{source!r} was never closed, so nothing was stored.", ResourceWarning, stacklevel=2)
        self._broken = True
