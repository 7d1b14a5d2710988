"""Pieces of files and the batches in which they are fetched."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content.locations import Content, Extent, Packed
from mlflow_versioned_store.content.packs import FramePlace, PackName
from mlflow_versioned_store.content.pieces import BATCH_BYTES, FileProgress, Piece, batches
from mlflow_versioned_store.content.sinks import MemorySink
from mlflow_versioned_store.content.wanted import Wanted
from tests.content.making import MIB

PACKS = [PackName("all", f"{number:064x}", 200 * MIB, 100) for number in range(3)]


def progress() -> FileProgress:
    """Return a file on its way."""
    location = Packed((Extent(0, 24, 100, 100),))
    return FileProgress(Wanted("f@@v1", 100, "0" * 64, location, Content(), lambda: b"", MemorySink(100)))


@given(
    sizes=st.lists(
        st.tuples(
            st.sampled_from(PACKS), st.integers(24, 100 * MIB), st.integers(60, 20 * MIB), st.integers(0, 80 * MIB)
        ),
        max_size=40,
    )
)
def test_batches_hold_every_piece_once_within_their_bounds(sizes: list[tuple[PackName, int, int, int]]) -> None:
    """In the order of the packs, at most 16 MiB stored and 64 MiB raw together; a larger piece is alone."""
    file = progress()
    pieces = [
        Piece(file, number, 0, FramePlace(pack, offset, size), raw)
        for number, (pack, offset, size, raw) in enumerate(sizes)
    ]
    made = list(batches(pieces))
    assert sorted(piece.number for batch in made for piece in batch) == list(range(len(pieces)))
    starts = [(piece.run.pack, piece.run.offset) for batch in made for piece in batch]
    assert starts == sorted(starts)
    for batch in made:
        if len(batch) > 1:
            assert sum(piece.run.size for piece in batch) <= BATCH_BYTES
            assert sum(piece.raw for piece in batch) <= 4 * BATCH_BYTES


@given(order=st.permutations(range(6)))
def test_the_last_piece_completes_a_file_whatever_the_order(order: list[int]) -> None:
    """Exactly one of the pieces is told that it was the last."""
    file = progress()
    file.missing = 6
    assert [file.piece_done(number, [bytes([number])]) for number in order] == [False] * 5 + [True]


def test_what_leans_on_neighbours_is_read_together() -> None:
    """Pieces with chains come in the order of the last frames, where most bytes are, wherever their own are."""
    file = progress()
    own = [FramePlace(PACKS[number % len(PACKS)], 24 + 100 * number, 100) for number in range(6)]
    last = [FramePlace(PACKS[0], 24 + MIB * number, MIB) for number in (3, 0, 5, 1, 4, 2)]
    pieces = [Piece(file, number, 0, own[number], MIB, ((own[number], last[number]),)) for number in range(6)]
    assert [piece.number for batch in batches(pieces, 2 * MIB) for piece in batch] == [1, 3, 5, 0, 4, 2]
