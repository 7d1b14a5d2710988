"""What reading sources gives: chunks with their two names, and stretches of chunks that are stored already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.indexes import Index, Placed
from mlflow_versioned_store.content.sha256 import State


# Thousands of these live at a time and none is ever part of a cycle, so the garbage collector need not visit them.
class Scanned(msgspec.Struct, eq=False, gc=False):
    """One source as it was read.

    `size` (bytes), `sha256` (hex) and its `states` on the way are final once its last chunk was taken.
    """

    size: int = 0
    sha256: str = ""
    states: Sequence[State] = ()


class Chunk(msgspec.Struct, eq=False, gc=False):
    """A piece of a source: its bytes (a view that lives as long as the chunk) and its two names."""

    source: Scanned
    data: Buffer
    digest: bytes
    tail: int


class Stretch(msgspec.Struct, eq=False, gc=False):
    """Neighbouring chunks of a source that are, in order, the rows `start` to `stop` of an index, by their digests.

    What is the same as before comes in thousands of chunks; handled together they cost next to nothing each.
    """

    source: Scanned
    data: memoryview
    index: Index
    start: int
    stop: int

    @property
    def rows(self) -> Sequence[Placed]:
        """The stored chunks that these are."""
        return self.index.rows[self.start : self.stop]

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        at = 0
        for row in self.rows:
            yield Chunk(self.source, self.data[at : at + row.raw], row.digest, row.tail)
            at += row.raw


Item: TypeAlias = Chunk | Stretch


@dataclass(slots=True)
class Segment:
    """What was read, in order, about 16 MiB of it, possibly of many sources."""

    items: list[Item] = field(default_factory=list)
    size: int = 0

    @property
    def count(self) -> int:
        """How many chunks it has."""
        return sum(1 if isinstance(item, Chunk) else item.stop - item.start for item in self.items)

    @property
    def chunks(self) -> list[Chunk]:
        """All of it, chunk by chunk."""
        chunks: list[Chunk] = []
        for item in self.items:
            if isinstance(item, Chunk):
                chunks.append(item)
            else:
                chunks.extend(item.chunks())
        return chunks
