"""Where files are cut, pinned for ever, and that it depends on content alone."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.scan import Scanner
from mlflow_versioned_store.errors import Unsupported
from tests.content.making import BLAKE3, MIB, noise

NOISE_CUTS = [
    21126, 253099, 354652, 371148, 511264, 591912, 695852, 749235, 887851, 938089, 1004724, 1044596, 1135726, 1267709,
    1293245, 1363023, 1466674, 1590700, 1656473, 1762414, 1794734, 2013232, 2094239, 2097152,
]  # fmt: skip


def cuts(data: bytes, chunking: Chunking | None = None) -> list[int]:
    """Return the ends of the chunks of a whole file."""
    cutter = (chunking or Chunking()).cutter()
    ends = [0]
    while (length := cutter.cut(memoryview(data)[ends[-1] :], final=True)) is not None:
        ends.append(ends[-1] + length)
    return ends[1:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (noise("pinned", 2 * MIB), NOISE_CUTS),
        (bytes(600_000), [262144, 524288, 600000]),
        (bytes(range(256)) * 3000, [262144, 524288, 768000]),
        (noise("pinned", 16 << 10), [16384]),
        (b"x", [1]),
        (b"", []),
    ],
    ids=["noise", "zeros", "ramp", "smallest", "byte", "empty"],
)
def test_the_cuts_of_the_default_parameters_never_change(data: bytes, expected: list[int]) -> None:
    """A release of the library that cut elsewhere would store everything in every store anew."""
    assert cuts(data) == expected


@pytest.mark.parametrize(
    ("chunking", "size", "count", "digest"),
    [
        (Chunking(), 64 * MIB, 821, "e1d1f5ad9b391a4dbe80918b7752842f86d6eb4d3c07677c66508b183e0225e2"),
        (
            Chunking(average=4096, smallest=1024, largest=16384),
            MIB,
            199,
            "552fc1f2fdca321364495a4aa71dbaceb8a412425fcc10d4fd32755d6e49f8f0",
        ),
    ],
    ids=["default", "small"],
)
def test_many_cuts_never_change(chunking: Chunking, size: int, count: int, digest: str) -> None:
    """All cuts of a long file stay where they are, for more than one set of parameters."""
    ends = cuts(noise("pinned", size), chunking)
    assert len(ends) == count
    assert hashlib.sha256(repr(ends).encode()).hexdigest() == digest


def test_the_defaults_never_change() -> None:
    """A store's marker records its parameters; those of new stores are part of the format."""
    assert Chunking() == Chunking(average=65536, smallest=16384, largest=262144, algorithm="fastcdc2020-nc1")


def test_every_parameter_matters() -> None:
    """A parameter that was ignored would not be one of the format."""
    data = noise("pinned", 4 * MIB)
    for other in (Chunking(average=128 << 10), Chunking(smallest=32 << 10), Chunking(largest=128 << 10)):
        assert cuts(data, other) != cuts(data)


def test_chunks_keep_to_their_sizes() -> None:
    """No chunk is longer than the largest, and none but the last shorter than the smallest."""
    sizes = [end - start for start, end in pairwise([0, *cuts(noise("sizes", 16 * MIB))])]
    assert max(sizes) <= 256 << 10
    assert min(sizes[:-1]) >= 16 << 10
    assert 48 << 10 < sum(sizes) / len(sizes) < 96 << 10


@given(at=st.integers(0, 4 * MIB), inserted=st.binary(min_size=1, max_size=5000))
@settings(max_examples=20, deadline=None)
def test_an_insertion_moves_only_cuts_nearby(at: int, inserted: bytes) -> None:
    """Cuts before an insertion stay; within a MiB behind it they are the old ones again, moved by its length."""
    data = noise("insertion", 6 * MIB)
    before = cuts(data)
    after = cuts(data[:at] + inserted + data[at:])
    assert [end for end in after if end <= at - 1] == [end for end in before if end <= at - 1]
    far = at + MIB
    assert [end - len(inserted) for end in after if end - len(inserted) > far] == [end for end in before if end > far]


@given(start=st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_cuts_depend_on_what_comes_after_the_last_cut_only(start: int) -> None:
    """A file that begins at a cut of another is cut as that one is."""
    data = noise("suffix", 3 * MIB)
    before = cuts(data)
    skipped = before[min(start, len(before) - 2)]
    assert [skipped + end for end in cuts(data[skipped:])] == [end for end in before if end > skipped]


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 17])
def test_blocks_are_cut_as_the_whole(size: int) -> None:
    """What is read in blocks is cut exactly as if it had been in memory at once."""
    data = noise("blocks", size)
    scanner = Scanner([io.BytesIO(data)], Chunking(), BLAKE3)
    chunks = [chunk for segment in scanner.segments() for chunk in segment.chunks]
    lengths = [end - start for start, end in pairwise([0, *cuts(data)])]
    assert [len(chunk.data) for chunk in chunks] == lengths
    assert b"".join(chunk.data for chunk in chunks) == data


@given(size=st.integers(0, 600_000), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_a_cut_is_certain_only_with_what_follows(size: int, seed: int) -> None:
    """What may still grow is not cut; what is cut does not depend on what follows."""
    data = noise(seed, size)
    cutter = Chunking().cutter()
    at_the_end = cutter.cut(data, final=True)
    assert cutter.cut(data, final=False) == (None if at_the_end in (None, size) else at_the_end)
    if at_the_end is not None and at_the_end < size:
        assert cutter.cut(data + noise("more", 1000), final=True) == at_the_end


def test_an_unknown_algorithm_is_refused_by_name() -> None:
    """A store that is cut in another way would lose its deduplication if it were written by ours."""
    with pytest.raises(Unsupported, match="fastcdc2099"):
        Chunking(algorithm="fastcdc2099").cutter()


@pytest.mark.parametrize(
    "parameters",
    [
        {"smallest": 0},
        {"smallest": -1},
        {"smallest": 64 << 10},
        {"average": 256 << 10},
        {"average": 0},
        {"largest": 4 * MIB},
        {"largest": 1 << 40},
        {"largest": 32 << 10},
    ],
    ids=repr,
)
def test_parameters_out_of_bounds_are_refused(parameters: dict[str, Any]) -> None:
    """A store's marker cannot ask for chunks that no frame holds, or that no block ever shows the end of."""
    with pytest.raises(Unsupported, match="cuts files"):
        Chunking(**parameters).cutter()
