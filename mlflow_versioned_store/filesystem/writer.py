"""Files that are written together: packed into one another, or several in one change."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from fsspec.transaction import Transaction

from mlflow_versioned_store.version_writer import VersionWriter

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Packing(io.RawIOBase):
    """A file that packs what is written to it into another one, which is closed with it.

    Args:
        packer: Packs, and does not close what it writes to.
        file: What it writes to.
    """

    def __init__(self, packer: BinaryIO, file: VersionWriter):
        super().__init__()
        self._packer = packer
        self._file = file

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Pack `data`; return its bytes."""
        return self._packer.write(data)

    def close(self) -> None:
        """Write what is left, and make the version."""
        if not self.closed:
            super().close()
            try:
                self._packer.close()
            finally:
                self._file.close()

    def _dealloc_warn(self, source: object) -> None:
        self._file._dealloc_warn(source)  # noqa: SLF001 - handed on


class OneChange(Transaction):  # type: ignore[misc]
    """A transaction of a file system: all files written in it become one change of each artifact root, or none."""

    def complete(self, commit: bool = True) -> None:
        """Make versions of all files written, or of none."""
        files: list[VersionWriter] = list(self.files)
        self.files.clear()
        try:
            if commit:
                self.fs.log([item for file in files for item in file.written()])
        finally:
            for file in files:
                file.discard()
            super().complete(commit=commit)
