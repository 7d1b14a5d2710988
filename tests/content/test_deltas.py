"""Skip chains: every base lies on its predecessor's chain, chains stay short, and chunks of a file keep in step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content.deltas import Link, base_number, link, links, step
from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packs import FramePlace, PackRef
from tests.content.making import PACK

VERSIONS = 5000
PLAIN_BYTES = 10_000


def placed(number: int, ancestors: tuple[FramePlace, ...] = (), size: int = 100) -> Placed:
    """Return the frame of the change with this number; its place tells the number."""
    return Placed(bytes(32), 0, 100, PackRef(PACK), number, size, number, ancestors)


def numbers(chain: tuple[FramePlace, ...]) -> list[int]:
    """Return the numbers of the frames of a chain."""
    return [frame.offset for frame in chain]


def below(number: int) -> list[int]:
    """Return the numbers of the frames that a frame leans on."""
    found = []
    while number:
        number = base_number(number)
        found.append(number)
    return found


def versions(count: int, change_bytes: int) -> Placed:
    """Return a chunk that changed `count` times in a row; changes since a version are stored at their full length."""
    row = placed(0, size=PLAIN_BYTES)
    for number in range(1, count + 1):
        following = link(row, number)
        assert following is not None
        row = placed(number, following.chain, change_bytes * (number - base_number(number)))
    return row


def test_the_base_of_every_change_is_on_the_chain_of_the_one_before() -> None:
    """Change n leans on n & (n − 1), that one on its own base, and so on down to the first."""
    row = placed(0)
    for number in range(1, VERSIONS):
        following = link(row, number)
        assert following is not None
        assert following.number == number
        assert numbers(following.chain) == below(number)
        assert set(below(number)) <= {number - 1, *numbers(row.ancestors)}
        row = placed(number, following.chain)


def test_chains_are_logarithmic() -> None:
    """Reading change n takes at most log2(n) + 1 frames below it, and at most 64 at any number there is."""
    for number in [*range(1, VERSIONS), (1 << 32) - 1]:
        assert len(below(number)) <= number.bit_length() <= CHAIN_STEPS_MAX


@given(changed=st.lists(st.booleans(), min_size=1, max_size=200))
def test_a_chunk_that_lags_comes_as_near_as_its_chain_allows(changed: list[bool]) -> None:
    """It takes the last number up to the others' whose base it has, so it is in step at every power of two."""
    row = placed(0)
    for number, is_changed in enumerate(changed, 1):
        if not is_changed:
            continue
        following = link(row, number)
        assert following is not None
        bases = {row.chain, *numbers(row.ancestors)}
        assert following.number == max(one for one in range(1, number + 1) if base_number(one) in bases)
        assert numbers(following.chain) == below(following.number)
        if base_number(number) == 0:
            assert following.number == number
        row = placed(following.number, following.chain)


def test_nobody_waits_for_a_chunk_that_lags() -> None:
    """The step is that of most chunks, not that of the last, nor of a few that are ahead."""
    assert step([]) == 1
    assert step([placed(5)]) == 6
    assert step([placed(3)] * 3 + [placed(7)] * 20) == 8
    assert step([placed(31)] * 2 + [placed(0)] * 98) == 1


def test_changes_that_add_up_begin_a_chain_for_all() -> None:
    """Where what was stored since the base is a quarter of it, all chunks lean on it with number 0, small ones too."""
    found = links([versions(31, change_bytes=110)] * 9 + [versions(31, change_bytes=1)])
    assert [one and (one.number, numbers(one.chain)) for one in found] == [(0, [0])] * 10
    found = links([versions(31, change_bytes=60)] * 10)
    assert [one and one.number for one in found] == [32] * 10


@pytest.mark.parametrize(("below_bytes", "plainly"), [(1000, False), (4000, True)])
def test_a_chain_that_costs_readers_too_much_is_given_up(below_bytes: int, *, plainly: bool) -> None:
    """What leans on its beginning is stored plainly once a reader would fetch half again as much as that."""
    stands_alone = FramePlace(PACK, 99, PLAIN_BYTES)
    beginning = placed(0, (stands_alone,), below_bytes)
    following = link(beginning, 1)
    assert following is not None
    latest = placed(1, following.chain, 2000)
    (found,) = links([latest])
    assert (found is None) is plainly
    # Elsewhere in the chain nothing is decided.
    following = link(latest, 2)
    assert following is not None
    (found,) = links([placed(2, following.chain, 2000)])
    assert found is not None
    assert found.number == 3


def test_one_that_changes_more_often_keeps_the_step_of_the_others() -> None:
    """A chunk at the border of two regions changes with both; it repeats numbers instead of running ahead."""
    found = links([versions(9, change_bytes=1)] * 20 + [versions(11, change_bytes=1)])
    assert [one and (one.number, numbers(one.chain)) for one in found] == [(10, [8, 0])] * 21


def test_one_that_did_not_change_when_others_began_anew_follows() -> None:
    """It begins anew with its next change if it leans on what is far; near ones need not."""
    others = [placed(0, (FramePlace(PACK, 0, PLAIN_BYTES),), 1000)] * 20
    for change_bytes, number in ((100, 0), (1, 1)):
        found = links([*others, versions(30, change_bytes)])
        assert [one and (one.number, numbers(one.chain)) for one in found] == [(1, [0, 0])] * 20 + [(number, [0])]


def test_ancestors_that_do_not_add_up_are_not_leaned_on() -> None:
    """A damaged index that forgets or invents ancestors costs a delta, never an error."""
    for number in (1, 3, 6, 7, 1 << 31):
        assert link(placed(number), number + 1) is None
        assert links([placed(number)]) == [None]
    assert link(placed(3, (FramePlace(PACK, 2, 100),)), 4) is None


def test_numbers_beyond_what_frames_hold_are_not_given() -> None:
    """A frame's number has four bytes; the last one is repeated."""
    last = (1 << 32) - 1
    ancestors = tuple(FramePlace(PACK, at, 1 if at else PLAIN_BYTES) for at in below(last))
    (found,) = links([placed(last, ancestors, size=1)])
    assert found is not None
    assert found.number == last


def test_no_chain_grows_beyond_what_readers_accept() -> None:
    """A frame on top of 64 others is encoded plainly."""
    for depth in range(60, 70):
        following = link(placed(0, tuple(FramePlace(PACK, at, 100) for at in range(depth))), 1)
        assert isinstance(following, Link) is (depth + 1 <= CHAIN_STEPS_MAX)
