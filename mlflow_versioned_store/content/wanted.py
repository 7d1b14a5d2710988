"""One packed version that is to be read, and the check of all its bytes against its commit."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content import frames
from mlflow_versioned_store.content.digests import Digest, tree_hasher
from mlflow_versioned_store.content.locations import INLINE, Content, Extent, Packed
from mlflow_versioned_store.content.packs import HEAD_BYTES, RESTORE, FramePlace
from mlflow_versioned_store.content.sinks import Sink
from mlflow_versioned_store.errors import Damaged

LOG_ANEW = "Or log the file again with mvs put --anew."
_RESTORED_FROM = RESTORE.partition(" a ")[0]


def ignore(_: int) -> None:
    """Take no notice of bytes that came."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """One packed version to read.

    Args:
        name: How messages name it, path and version.
        size: Its bytes.
        sha256: Its SHA-256, hex.
        location: Where its bytes are.
        content: What its extents count.
        inline: Returns the inline frames of its change.
        sink: Where its bytes go.
    """

    name: str
    size: int
    sha256: str
    location: Packed
    content: Content
    inline: Callable[[], Buffer]
    sink: Sink

    @property
    def is_inline(self) -> bool:
        """Whether all its frames lie in its commit."""
        return all(extent.pack == INLINE for extent in self.location.extents)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Let damage that is found within a block say once which version it is of, and how to get that back."""
        prefix = f"{self.name}: "
        try:
            yield
        except Damaged as error:
            said = str(error)
            if said.startswith(prefix):
                raise
            if _RESTORED_FROM not in said:
                said = f"{said} {RESTORE}"
            raise type(error)(f"{prefix}{said} {LOG_ANEW}", key=error.key) from error

    def run(self, extent: Extent) -> FramePlace:
        """Return where the frames of an extent are.

        Raises:
            Damaged: The commit names no such pack, or one that has no such bytes.
        """
        if not 0 <= extent.pack < len(self.content.packs):
            raise Damaged(f"Its commit names no pack number {extent.pack}.")
        pack = self.content.packs[extent.pack]
        if extent.offset < HEAD_BYTES or extent.offset + extent.stored > pack.size - pack.tail:
            raise Damaged(f"Its commit names bytes that are no frames of the pack {pack.key}.", key=pack.key)
        return FramePlace(pack, extent.offset, extent.stored)

    def check(self, digest_name: str, chunk_digests: list[bytes], only_chunk: Buffer) -> None:
        """Check a complete file against its commit: by the tree of its chunks, or by SHA-256 where it is one chunk.

        Raises:
            Damaged: The chunks are good in themselves, but not the ones that were committed.
        """
        if len(chunk_digests) > 1:
            hasher = tree_hasher(digest_name)
            for digest in chunk_digests:
                hasher.update(digest)
            good = hasher.hexdigest() == self.location.tree
        else:
            good = hashlib.sha256(only_chunk).hexdigest() == self.sha256
        if not good:
            raise Damaged("The stored chunks are not the ones that were committed.")


def inline_chunks(wanted: Wanted, digest: Digest) -> Iterator[tuple[frames.Header, Buffer]]:
    """Yield header and checked chunk of each inline frame of a version.

    Raises:
        Damaged: The commit's frames are not what its entry says.
    """
    frames_area = memoryview(wanted.inline()) if wanted.location.extents else memoryview(b"")
    for extent in wanted.location.extents:
        at, stop = extent.offset, extent.offset + extent.stored
        if stop > len(frames_area):
            raise Damaged("Its commit holds fewer inline bytes than it says.")
        while at < stop:
            header, chunk, at = frames.decode(frames_area[:stop], at, digest)
            yield header, chunk
