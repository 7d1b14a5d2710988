"""The SHA-256 of a file, computed beside its reader: as it comes, or not at all while the file may be a known one.

A file all of whose chunks are those of a known file, in order, has that file's SHA-256. Hashing it is put off as long
as that is possible, and made up for by a second reading, checked against the chunks of the first, once it is not.

The SHA-256 is then taken from an index, which any writer of the domain may have written: whoever can lie there could as
well have logged other bytes. What a reader gets is checked against the chunks that were read here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future
from io import FileIO
from typing import Protocol

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.digests import Digest
from mlflow_versioned_store.content.indexes import FileRows, Placed
from mlflow_versioned_store.content.workers import computing

# By then the first segment was looked up and the second one is read: what is not known now will not be.
_PUT_OFF_BYTES_MAX = 40 << 20


class KnownFiles(Protocol):
    """What an upload knows of stored files; asked by the thread that reads."""

    def files_from(self, digest: bytes) -> Sequence[tuple[FileRows, Sequence[Placed]]]:
        """Return the large files that start with the chunk with this digest, and their rows."""


class FileChangedError(Exception):
    """A file's second reading did not give what the first one did."""


class Hashing:
    """The SHA-256 of bytes that come block by block, computed by another thread meanwhile."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._running: Future[None] | None = None

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:  # noqa: ARG002 - for those who put off
        """Take the next bytes, which are these chunks (digest, bytes)."""
        if self._running is not None:
            self._running.result()
        self._running = computing.submit(self._sha256.update, data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all that was added."""
        if self._running is not None:
            self._running.result()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Wait until nobody reads any more."""
        if self._running is not None:
            self._running.exception()


class PutOffHashing(Hashing):
    """The SHA-256 of a file, put off while the file may turn out to be a known one.

    Once it does not, another thread reads again what was put off.

    Args:
        file: The file, opened once more, to read again what was put off.
        size: Its bytes.
        known: What is known.
        digest: The store's digest function.
    """

    def __init__(self, file: FileIO, size: int, known: KnownFiles, digest: Digest):
        super().__init__()
        self._again = file
        self._size = size
        self._known = known
        self._digest = digest
        self._waits = True
        self._put_off: list[tuple[bytes, int]] = []
        self._added = 0
        self._file: FileRows | None = None
        self._rows: Sequence[Placed] = ()
        self._matched = 0

    def add(self, data: Buffer, chunks: Sequence[tuple[bytes, int]]) -> None:
        """Take the next bytes, which are these chunks.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        if not self._waits:
            super().add(data, chunks)
            return
        self._put_off.extend(chunks)
        self._added += len(data)
        if not self._may_be_known(chunks):
            self._stop_waiting()

    def hexdigest(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            FileChangedError: Bytes that were put off are not there any more.
        """
        if self._waits:
            if self._file is not None and (self._matched, self._added) == (self._file.length, self._file.size):
                return self._file.sha256
            self._stop_waiting()
        return super().hexdigest()

    def _may_be_known(self, chunks: Sequence[tuple[bytes, int]]) -> bool:
        if self._file is None and self._put_off:
            files = self._known.files_from(self._put_off[0][0])
            alike = next((known for known in files if known[0].size == self._size), None)
            if alike is None:
                return not files and self._added <= _PUT_OFF_BYTES_MAX
            self._file, self._rows = alike
            chunks = self._put_off
        rows = self._rows[self._matched : self._matched + len(chunks)]
        self._matched += len(chunks)
        return [digest for digest, _ in chunks] == [row.digest for row in rows]

    def _stop_waiting(self) -> None:
        self._waits = False
        self._running = computing.submit(self._catch_up)

    def _catch_up(self) -> None:
        for digest, size in self._put_off:
            data = self._again.read(size)
            if self._digest(data) != digest:
                raise FileChangedError
            self._sha256.update(data)
        self._put_off.clear()
