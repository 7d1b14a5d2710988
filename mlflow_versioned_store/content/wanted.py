"""One packed version that is to be read, and the check of all its bytes against its commit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content import frames
from mlflow_versioned_store.content.digests import Digest, tree_hasher
from mlflow_versioned_store.content.locations import INLINE, Content, Packed
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.sinks import Sink
from mlflow_versioned_store.errors import Damaged


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

    def pack(self, number: int) -> PackName:
        """Return the pack with this number in the commit.

        Raises:
            Damaged: The commit names no such pack.
        """
        if not 0 <= number < len(self.content.packs):
            raise Damaged(f"{self.name}: its commit names no pack number {number}.")
        return self.content.packs[number]

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
            raise Damaged(f"{self.name}: the stored chunks are not the ones that were committed.")


def inline_chunks(wanted: Wanted, digest: Digest) -> Iterator[tuple[frames.Header, Buffer]]:
    """Yield header and checked chunk of each inline frame of a version.

    Raises:
        Damaged: The commit's frames are not what its entry says.
    """
    frames_area = memoryview(wanted.inline()) if wanted.location.extents else memoryview(b"")
    for extent in wanted.location.extents:
        at, stop = extent.offset, extent.offset + extent.stored
        if stop > len(frames_area):
            raise Damaged(f"{wanted.name}: its commit holds fewer inline bytes than it says.")
        while at < stop:
            try:
                header, chunk, at = frames.decode(frames_area[:stop], at, digest)
            except Damaged as error:
                raise Damaged(f"{wanted.name}: {error}") from error
            yield header, chunk
