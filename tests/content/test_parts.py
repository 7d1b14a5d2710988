"""Parts of a file: how ranges become parts, and what reaches their buffers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content.parts import Parts, Range, filled, merged

SIZE = 60
RANGES = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted).map(tuple), max_size=8)


def bytes_in(ranges: list[Range]) -> set[int]:
    """Return the offsets that ranges hold."""
    return {at for start, stop in ranges for at in range(start, stop)}


@given(ranges=RANGES, gap=st.integers(0, 5))
def test_merged_ranges_hold_what_the_ranges_hold(ranges: list[Range], gap: int) -> None:
    """All bytes and few others: no two that are left could be one, and every gap that was closed is small."""
    joined = merged(ranges, gap)
    assert bytes_in(ranges) <= bytes_in(joined)
    assert all(stop + gap < start for (_, stop), (start, _) in pairwise(joined))
    assert all(start < stop for start, stop in joined)
    if not gap:
        assert bytes_in(joined) == bytes_in(ranges)


@given(
    ranges=RANGES, cuts=st.sets(st.integers(1, SIZE - 1)), bounds=st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))
)
def test_buffers_get_their_part_of_the_file(ranges: list[Range], cuts: set[int], bounds: tuple[int, int]) -> None:
    """However the file comes in pieces, each part is a slice of it; touching and covering are what they say."""
    data = bytes(range(SIZE))
    apart = merged(ranges)
    buffers = [bytearray(stop - start) for start, stop in apart]
    parts = Parts([(start, memoryview(buffer)) for (start, _), buffer in zip(apart, buffers, strict=True)])
    cut = [0, *sorted(cuts), SIZE]
    for start, stop in pairwise(cut):
        parts.write(start, data[start:stop])
    assert parts.ranges == apart
    assert buffers == [data[start:stop] for start, stop in apart]
    assert list(parts.touched(cut)) == [at for at, piece in enumerate(pairwise(cut)) if parts.touch(*piece)]
    start, stop = sorted(bounds)
    asked = set(range(start, stop))
    if asked:
        assert parts.touch(start, stop) == bool(asked & bytes_in(apart))
        assert parts.cover(start, stop) == (asked <= bytes_in(apart))


@given(size=st.integers(0, 100))
def test_filled_bytes_are_what_was_written(size: int) -> None:
    """The bytes are those that were put into the buffer, which has their size."""

    def fill(view: memoryview) -> None:
        view[:] = bytes(range(len(view)))

    assert filled(size, fill) == bytes(range(size))


def test_parts_that_follow_each_other_cover_what_crosses_them() -> None:
    """Buffers without a gap are one wanted range, and what lies across them fills both."""
    first, second = bytearray(4), bytearray(4)
    parts = Parts([(2, memoryview(first)), (6, memoryview(second))])
    assert parts.cover(2, 10)
    assert not parts.cover(1, 10)
    assert not parts.cover(2, 11)
    parts.write(0, bytes(range(12)))
    assert (bytes(first), bytes(second)) == (bytes(range(2, 6)), bytes(range(6, 10)))
