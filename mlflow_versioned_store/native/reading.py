"""Reading what is to be one plain object: in blocks, once or again, hashed as it goes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import BinaryIO, Self, overload

from mlflow_versioned_store.backends.s3_versions import PARTS_MAX
from mlflow_versioned_store.content.blocks import Stream, blocks_of_file, blocks_of_stream
from mlflow_versioned_store.content.hashing import Hashing
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.content.wanted import ignore
from mlflow_versioned_store.digests import Hasher
from mlflow_versioned_store.errors import LocalStorageFailed, SourceChanged

BLOCK_BYTES = 8 << 20
_NOTHING = memoryview(b"")
# Of a stream nobody knows how long it will be: this allows 160 GB.
_STREAM_BLOCK_BYTES = 16 << 20


class Content:
    """One source, open to be read.

    Args:
        source: A local path, bytes, or a readable binary stream.
        count: Is told of the bytes read for the first time.
        hasher: Makes the store's digest.

    Attributes:
        size: Its bytes; None for a stream.
        length: How many bytes it had, once its blocks were read.
        sha256: Its SHA-256, hex, by then.
        digest: Its digest, hex, by then.
    """

    def __init__(self, source: Source, count: Callable[[int], None], hasher: Callable[[], Hasher]):
        self._source = source
        self._hasher = hasher
        self._count = count
        self._counted = 0
        self._name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
        self._file: BinaryIO | Stream
        self._begun: os.stat_result | None = None
        self.size: int | None = None
        self.length = 0
        self.sha256 = self.digest = ""

    def __enter__(self) -> Self:
        source = self._source
        if isinstance(source, bytes):
            self._file, self.size = io.BytesIO(source), len(source)
        elif isinstance(source, (str, os.PathLike)):
            try:
                self._file = open(source, "rb", buffering=0)
                self._begun = os.fstat(self._file.fileno())
            except OSError as error:
                raise LocalStorageFailed(f"{self._name} cannot be read: {error.strerror}.", key=self._name) from error
            self.size = self._begun.st_size
        else:
            self._file = source
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._file, io.IOBase) and self._file is not self._source:
            self._file.close()

    @property
    def block_bytes(self) -> int:
        """Bytes of each of its blocks but the last."""
        return _STREAM_BLOCK_BYTES if self.size is None else max(BLOCK_BYTES, -(-self.size // (PARTS_MAX - 1)))

    def beginning(self) -> bytes:
        """Return the first bytes: all of them where they are fewer than a block. A stream is read on, not again."""
        return self._read(BLOCK_BYTES)

    def hashed(self, hasher: Hasher) -> str:
        """Return a digest of a file or of bytes, having read all of it."""
        self.seek(0)
        blocks = (
            blocks_of_file(self._file.fileno()) if isinstance(self._file, io.FileIO) else blocks_of_stream(self._file)
        )
        with self._failing(), contextlib.closing(blocks):
            final = False
            while not final:
                block, final = blocks.next(_NOTHING)
                hasher.update(block)
                self._note_progress(len(block))
        self.check()
        return hasher.hexdigest()

    def blocks(self, beginning: bytes = b"") -> Iterator[bytes]:
        """Yield all of it in blocks, and know length and digests afterwards.

        Args:
            beginning: What was read of a stream already; files and bytes are read again.

        Raises:
            SourceChanged: A file changed since it was opened.
        """
        if self.size is not None:
            self.seek(0)
            beginning = b""
        sha256, digest, length = Hashing(), self._hasher(), 0
        while block := beginning + self._read(self.block_bytes - len(beginning)):
            beginning = b""
            sha256.add(block, ())
            digest.update(block)
            length += len(block)
            # One that grows as fast as it is read would never end.
            self.check()
            yield block
        self.check()
        self.sha256, self.digest, self.length = sha256.hexdigest(), digest.hexdigest(), length

    def check(self) -> None:
        """Compare size and time of a file with what they were when it was opened.

        Raises:
            SourceChanged: It changed.
        """
        if self._begun is None or not isinstance(self._file, io.FileIO):
            return
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._begun.st_size, self._begun.st_mtime_ns):
            raise SourceChanged(f"{self._name} changed while it was read; log it when it is finished.")

    def seek(self, offset: int) -> None:
        """Go to a byte of a file or of bytes."""
        assert isinstance(self._file, io.IOBase), "a stream is only read on"
        self._file.seek(offset)

    def _read(self, size: int) -> bytes:
        pieces, left = [], size
        with self._failing():
            while left and (data := self._file.read(left)):
                pieces.append(data)
                left -= len(data)
        self._note_progress(size - left)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._begun is None:
                raise
            raise LocalStorageFailed(f"{self._name} cannot be read: {error.strerror}.", key=self._name) from error

    def _note_progress(self, size: int) -> None:
        at = self._file.tell() if self.size is not None and isinstance(self._file, io.IOBase) else self._counted + size
        if at > self._counted:
            self._count(at - self._counted)
            self._counted = at


class Blocks(Sequence[bytes]):
    """The blocks of a file or of bytes, read when they are asked for: a body that can be sent again."""

    def __init__(self, content: Content):
        assert content.size is not None, "a stream is only read on"
        self._content = content
        self._size = content.size

    def __len__(self) -> int:
        return (self._size + BLOCK_BYTES - 1) // BLOCK_BYTES

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes]: ...

    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        self._content.seek(at * BLOCK_BYTES)
        return self._content._read(min(BLOCK_BYTES, self._size - at * BLOCK_BYTES))  # noqa: SLF001 - of this module


@contextmanager
def spooled(content: Content, beginning: bytes) -> Iterator[Content]:
    """Keep all of a stream in a temporary file within a block, to be read again."""
    with tempfile.NamedTemporaryFile() as file:
        for block in content.blocks(beginning):
            file.write(block)
        file.flush()
        with Content(file.name, ignore, hashlib.sha256) as spool:
            yield spool
