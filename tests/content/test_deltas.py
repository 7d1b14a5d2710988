"""Skip chains: every base lies on its predecessor's chain, and chains stay short."""

from __future__ import annotations

from mlflow_versioned_store.content.deltas import base_number, next_in_chain
from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packs import FramePlace, PackRef
from tests.content.making import PACK

VERSIONS = 5000


def placed(number: int, ancestors: tuple[FramePlace, ...] = ()) -> Placed:
    """Return the frame of the change with this number; its place tells the number."""
    return Placed(bytes(32), 0, 100, PackRef(PACK), number, 100, number, ancestors)


def numbers(chain: tuple[FramePlace, ...]) -> list[int]:
    """Return the numbers of the frames of a chain."""
    return [frame.offset for frame in chain]


def test_the_base_of_every_change_is_on_the_chain_of_the_one_before() -> None:
    """Change n leans on n & (n − 1), that one on its own base, and so on down to the first."""
    row = placed(0)
    for number in range(1, VERSIONS):
        following = next_in_chain(row)
        assert following is not None
        assert following[0] == number
        expected = [number & (number - 1)]
        while expected[-1]:
            expected.append(base_number(expected[-1]))
        assert numbers(following[1]) == expected
        assert set(expected) <= {number - 1, *numbers(row.ancestors)}
        row = placed(number, following[1])


def test_chains_are_logarithmic() -> None:
    """Reading change n takes at most log2(n) + 1 frames below it, and at most 64 at any number there is."""
    for number in [*range(1, VERSIONS), (1 << 32) - 1]:
        steps, at = 0, number
        while at:
            at = base_number(at)
            steps += 1
        assert steps <= number.bit_length() <= CHAIN_STEPS_MAX


def test_ancestors_that_do_not_add_up_are_not_leaned_on() -> None:
    """A damaged index that forgets or invents ancestors costs a delta, never an error."""
    for number in (1, 3, 6, 7, 1 << 31):
        assert next_in_chain(placed(number)) is None or base_number(number + 1) == number
    assert next_in_chain(placed(3, (FramePlace(PACK, 2, 100),))) is None


def test_no_chain_grows_beyond_what_readers_accept() -> None:
    """A frame on top of 64 others is encoded plainly."""
    for depth in range(60, 70):
        following = next_in_chain(placed(0, tuple(FramePlace(PACK, at, 100) for at in range(depth))))
        assert (following is not None) == (depth + 1 <= CHAIN_STEPS_MAX)
