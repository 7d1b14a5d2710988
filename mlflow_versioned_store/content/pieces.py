"""Splitting files into the pieces in which they are fetched, and pieces into batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.directories import Directories, Frame, frames_of_run
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.content.wanted import Wanted
from mlflow_versioned_store.errors import Damaged

BATCH_BYTES = 16 << 20
_GROUP_BYTES = 8 << 20


@dataclass(slots=True)
class FileProgress:
    """A file on its way: how many of its pieces are missing, and the digests of the chunks that came."""

    wanted: Wanted
    missing: int = 0
    _digests: dict[int, list[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def piece_done(self, number: int, digests: list[bytes]) -> bool:
        """Note a finished piece; True for the one that completes the file."""
        with self._lock:
            self._digests[number] = digests
            self.missing -= 1
            return self.missing == 0

    def finish(self, digest_name: str, only_chunk: Buffer) -> None:
        """Check the complete file and make it visible."""
        digests = [digest for number in sorted(self._digests) for digest in self._digests[number]]
        self.wanted.check(digest_name, digests, only_chunk)
        self.wanted.sink.finish()


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Frames in a row that go to one place of one file.

    Args:
        file: The file.
        number: Its position among the pieces of the file.
        offset: Where in the file its bytes belong.
        run: The pack and byte range of the frames.
        raw: Bytes of the file that it holds.
        chains: Where deltas take part: for each frame, its place and those it leans on. None: the run is read as it is.
    """

    file: FileProgress
    number: int
    offset: int
    run: FramePlace
    raw: int
    chains: tuple[tuple[FramePlace, ...], ...] | None = None

    def places(self) -> Iterable[FramePlace]:
        """Return all that must be fetched for it."""
        return (self.run,) if self.chains is None else (place for chain in self.chains for place in chain)


def split(wanted: Wanted, directories: Directories) -> list[Piece]:
    """Return the pieces of a packed file. Where deltas take part, its packs' directories are read first.

    Raises:
        Damaged, ObjectMissing: What commit and directories say does not fit together.
    """
    file = FileProgress(wanted)
    pieces = list(_with_deltas(file, directories) if wanted.content.leans else _plain(file))
    file.missing = len(pieces)
    return pieces


def batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Yield pieces that are fetched together: in the order of their packs, up to 16 MiB stored or 64 MiB raw."""
    batch: list[Piece] = []
    stored = raw = 0
    for piece in sorted(pieces, key=lambda piece: (piece.run, piece.number)):
        size = sum(place.size for place in piece.places())
        if batch and (stored + size > BATCH_BYTES or raw + piece.raw > 4 * BATCH_BYTES):
            yield batch
            batch, stored, raw = [], 0, 0
        batch.append(piece)
        stored, raw = stored + size, raw + piece.raw
    if batch:
        yield batch


def _plain(file: FileProgress) -> Iterator[Piece]:
    offset = 0
    for number, extent in enumerate(file.wanted.location.extents):
        yield Piece(file, number, offset, file.wanted.run(extent), extent.raw)
        offset += extent.raw


def _with_deltas(file: FileProgress, directories: Directories) -> Iterator[Piece]:
    wanted = file.wanted
    known = directories.load((*wanted.content.packs, *wanted.content.leans))
    number = offset = 0
    for extent in wanted.location.extents:
        run = wanted.run(extent)
        end = offset + extent.raw
        for group in _groups(frames_of_run(known, run)):
            raw = sum(frame.raw for frame in group)
            start, last = group[0].chain[0].offset, group[-1].chain[0]
            place = FramePlace(run.pack, start, last.offset + last.size - start)
            yield Piece(file, number, offset, place, raw, tuple(frame.chain for frame in group))
            number, offset = number + 1, offset + raw
        if offset != end:
            key = run.pack.key
            raise Damaged(f"The directory of the pack {key} and the commit tell different lengths.", key=key)


def _groups(frames: Iterable[Frame]) -> Iterator[Sequence[Frame]]:
    group: list[Frame] = []
    size = 0
    for frame in frames:
        group.append(frame)
        size += frame.raw
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
