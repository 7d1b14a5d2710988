"""Splitting files into the pieces in which they are fetched, and pieces into batches."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content import fetch
from mlflow_versioned_store.content.directories import Directories, Frame, FramesOfRun
from mlflow_versioned_store.content.packs import Directory, FramePlace, PackName
from mlflow_versioned_store.content.parts import Parts
from mlflow_versioned_store.content.wanted import Wanted
from mlflow_versioned_store.errors import Damaged

BATCH_BYTES = 16 << 20
_GROUP_BYTES = 8 << 20
# The frames at both ends of what is wanted hold more than that: the last one is no share of its own.
_ENDS_BYTES = 512 << 10


@dataclass(slots=True)
class FileProgress:
    """A file on its way: how many of its pieces are missing, and the digests of the chunks that came.

    Args:
        wanted: The file.
        whole: Whether all of it is read, so that it can be checked as a whole.
        missing: How many pieces have not come yet.
    """

    wanted: Wanted
    whole: bool = True
    missing: int = 0
    _digests: dict[int, list[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def piece_done(self, number: int, digests: list[bytes]) -> bool:
        """Note a finished piece; True for the one that completes a file that is read whole."""
        if not self.whole:
            return False
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


def split(wanted: Wanted, directories: Directories, parts: Parts | None = None) -> list[Piece]:
    """Return the pieces of a packed file. The directories of its packs are read first, where they are needed.

    Args:
        wanted: The file.
        directories: The directories known to this process.
        parts: What is wanted of it; None is all of it.

    Raises:
        Damaged, ObjectMissing: What commit and directories say does not fit together.
    """
    file = FileProgress(wanted, whole=parts is None)
    runs = [run for run in _runs(wanted) if parts is None or parts.touch(run.offset, run.stop)]
    alone = not wanted.content.bases
    # Frames that stand alone and are all wanted are read as they are.
    cut = [run for run in runs if not (alone and (parts is None or parts.cover(run.offset, run.stop)))]
    known = directories.load((*(run.place.pack for run in cut), *wanted.content.leans)) if cut else {}
    least = _GROUP_BYTES if parts is None else _share(parts)
    pieces: list[Piece] = []
    for run in runs:
        if run.place.pack not in known:
            pieces.append(Piece(file, len(pieces), run.offset, run.place, run.stop - run.offset))
            continue
        for offset, group in _groups(_frames(run, known, parts), least):
            start, last = group[0].chain[0].offset, group[-1].chain[0]
            place = FramePlace(last.pack, start, last.offset + last.size - start)
            raw = sum(frame.raw for frame in group)
            chains = tuple(frame.chain for frame in group)
            leaning = any(len(chain) > 1 for chain in chains)
            pieces.append(Piece(file, len(pieces), offset, place, raw, chains if leaning else None))
    file.missing = len(pieces)
    return pieces


def batches(pieces: Iterable[Piece], most: int = BATCH_BYTES) -> Iterator[list[Piece]]:
    """Yield pieces that are fetched together, up to `most` bytes stored and 4 × that raw.

    They come in the order of their packs, or where deltas take part, of the packs of what they lean on.
    """
    batch: list[Piece] = []
    stored = raw = 0
    for piece in sorted(pieces, key=_where_read):
        size = sum(place.size for place in piece.places())
        if batch and (stored + size > most or raw + piece.raw > 4 * most):
            yield batch
            batch, stored, raw = [], 0, 0
        batch.append(piece)
        stored, raw = stored + size, raw + piece.raw
    if batch:
        yield batch


def _where_read(piece: Piece) -> tuple[tuple[tuple[object, ...], int], int]:
    # Most bytes of a chain are in its last frame, and chunks that are neighbours lean on neighbours.
    return fetch.order(piece.run if piece.chains is None else piece.chains[0][-1]), piece.number


class _Run(NamedTuple):
    """An extent: where its frames are, and which bytes [offset, stop) of the file they hold."""

    place: FramePlace
    offset: int
    stop: int


def _runs(wanted: Wanted) -> Iterator[_Run]:
    offset = 0
    for extent in wanted.location.extents:
        yield _Run(wanted.run(extent), offset, offset + extent.raw)
        offset += extent.raw


def _frames(run: _Run, known: dict[PackName, Directory], parts: Parts | None) -> Iterator[tuple[int, Frame]]:
    """Yield the frames of a run that are wanted, and where in the file they belong."""
    frames = FramesOfRun(known, run.place)
    offsets = list(accumulate(frames.raws, initial=run.offset))
    if offsets[-1] != run.stop:
        key = run.place.pack.key
        raise Damaged(f"The directory of the pack {key} and the commit tell different lengths.", key=key)
    for at in range(len(frames)) if parts is None else parts.touched(offsets):
        yield offsets[at], frames[at]


def _share(parts: Parts) -> int:
    """Return the bytes of the equal shares in which parts are read."""
    total = sum(stop - start for start, stop in parts.ranges)
    return -(-total // max(1, round(total / parts.at_once))) + _ENDS_BYTES


def _groups(frames: Iterable[tuple[int, Frame]], least: int) -> Iterator[tuple[int, Sequence[Frame]]]:
    """Yield frames that follow each other, hardly more than `least` bytes, and where the first belongs."""
    group: list[Frame] = []
    first = stop = 0
    for offset, frame in frames:
        if group and (offset != stop or stop - first >= least):
            yield first, group
            group = []
        if not group:
            first = offset
        group.append(frame)
        stop = offset + frame.raw
    if group:
        yield first, group
