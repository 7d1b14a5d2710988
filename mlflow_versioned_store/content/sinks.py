"""Where downloaded bytes go: files that appear under their name only when they are complete, or memory."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import Protocol

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.errors import Conflict, LocalStorageFailed

PART_SUFFIX = ".mvs-part"
_WRITE_FLAGS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class Sink(Protocol):
    """Takes the bytes of one version, in any order, from any thread."""

    def write(self, offset: int, data: Buffer) -> None:
        """Take bytes that belong at `offset`."""

    def finish(self, *, empty: bool = False) -> None:
        """All bytes were taken and checked: make them visible; `empty` where there were none."""

    def abandon(self) -> None:
        """Something failed: leave nothing behind."""


class FileSink:
    """Writes a temporary file beside `path`, and renames it when it is complete.

    Args:
        path: The absolute local path; its folder exists.
        replace: Whether a file that has the name by then is replaced.
    """

    def __init__(self, path: str, *, replace: bool = True):
        self._path = path
        self._replace = replace
        folder, name = os.path.split(path)
        # A long name leaves no room for a suffix; the random part alone tells temporary files apart.
        self._part = os.path.join(folder, f"{name[:100]}.{secrets.token_hex(4)}{PART_SUFFIX}")

    def write(self, offset: int, data: Buffer) -> None:
        """Write bytes at `offset`. The file is opened anew each time: a plan may have thousands of files under way.

        Raises:
            LocalStorageFailed: The disk is full, or the folder cannot be written.
        """
        try:
            descriptor = os.open(self._part, _WRITE_FLAGS, 0o666)
            try:
                _write_all(descriptor, data, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._failed(error) from error

    def finish(self, *, empty: bool = False) -> None:
        """Give the file its name; an `empty` one is made first.

        Raises:
            Conflict: A file has the name, and is not to be replaced.
            LocalStorageFailed: It cannot be renamed.
        """
        if empty:
            self.write(0, b"")
        try:
            if self._replace or not self._linked():
                os.replace(self._part, self._path)
        except OSError as error:
            raise self._failed(error) from error

    def abandon(self) -> None:
        """Remove the temporary file."""
        with contextlib.suppress(OSError):
            os.unlink(self._part)

    def _linked(self) -> bool:
        """Give the file its name unless another one has it; return False where that cannot be done in one step."""
        try:
            os.link(self._part, self._path)
        except OSError as error:
            if os.path.lexists(self._path):
                raise Conflict(
                    f"{self._path} was made by somebody else meanwhile and stays as it is. Choose another destination, "
                    "or force the download to replace it.",
                    key=self._path,
                ) from error
            return False
        os.unlink(self._part)
        return True

    def _failed(self, error: OSError) -> LocalStorageFailed:
        advice = "Free some space and download again." if error.errno == errno.ENOSPC else "Check the folder."
        return LocalStorageFailed(f"{self._path} cannot be written: {error.strerror}. {advice}", key=self._path)


class MemorySink:
    """Collects bytes in memory; `data` holds `size` bytes."""

    def __init__(self, size: int):
        self.data = bytearray(size)

    def write(self, offset: int, data: Buffer) -> None:
        """Copy bytes to `offset`."""
        self.data[offset : offset + len(data)] = data

    def finish(self, *, empty: bool = False) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Forget the bytes."""
        self.data = bytearray()


def _write_all(descriptor: int, data: Buffer, offset: int) -> None:
    view = memoryview(data)
    if offset:
        os.lseek(descriptor, offset, os.SEEK_SET)
    while view:
        view = view[os.write(descriptor, view) :]
