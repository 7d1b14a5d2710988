"""Skip chains: against which ancestor the next change of a chunk is stored. Pure.

Change n is encoded against the ancestor numbered n & (n − 1), which lies on the chain of its predecessor. So a chunk
changed n times is read in at most log2(n) steps, and its storage grows with n log n at worst.

The chunks of a file keep in step: one that did not change in a version skips a number, one that changed more often than
the others repeats one. So all lean on frames of the same few versions, and readers fetch few long ranges. Why:
docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packs import FramePlace

# Where changes add up to a quarter of what they lean on, the newest begins a chain on top of the old one, for the next
# to lean on.
_FAR = 0.25
# A chain is given up where readers of its next link would fetch half again as much as they would of a plain chunk.
_READ_MAX = 1.5
# Of the chunks of a file, this share may be ahead of the others' step.
_AHEAD = 1 / 8
_NUMBER_MAX = (1 << 32) - 1


class Link(NamedTuple):
    """Where the next change of a chunk stands.

    Args:
        number: Its number in its skip chain; 0 begins one on top of the old one.
        chain: The frames it leans on, nearest first.
        expected: Bytes that it is expected to take, as far as that can be known.
    """

    number: int
    chain: tuple[FramePlace, ...]
    expected: float


def base_number(number: int) -> int:
    """Return the number of the frame that frame `number` (from 1) is encoded against."""
    return number & (number - 1)


def links(predecessors: Sequence[Placed]) -> list[Link | None]:
    """Return where the next changes of neighbouring chunks of a file stand; None for those to be stored plainly.

    Those are where a predecessor's ancestors do not add up (a damaged index), where a chain would grow too long, and
    where readers would have to fetch too much.
    """
    number = step(predecessors)
    found = [link(predecessor, number) for predecessor in predecessors]
    # Those ahead changed more often than the others, or did not when they began anew: each is judged by itself.
    ahead = [predecessor.chain >= number for predecessor in predecessors]
    together = [one for one, is_ahead in zip(found, ahead, strict=True) if one is not None and not is_ahead]
    # Chains part where a link leans on their beginning.
    plainly = base_number(number) == 0 and _reads_much(together)
    anew = _is_far(together)
    return [
        one and (_settled(one, _reads_much([one]), _is_far([one])) if is_ahead else _settled(one, plainly, anew))
        for one, is_ahead in zip(found, ahead, strict=True)
    ]


def step(predecessors: Iterable[Placed]) -> int:
    """Return the number that the next changes of neighbouring chunks have; a few of these may be ahead of it."""
    numbers = sorted((predecessor.chain for predecessor in predecessors), reverse=True)
    return min(numbers[int(len(numbers) * _AHEAD)] + 1, _NUMBER_MAX) if numbers else 1


def link(predecessor: Placed, number: int) -> Link | None:
    """Return where the next change of a chunk stands: with the last number up to `number` whose base is on its chain.

    None where its ancestors do not add up, or its chain would grow too long.
    """
    chain = (predecessor.place(), *predecessor.ancestors)
    at, depth = predecessor.chain, 0
    best = base = above = 0
    while True:
        if (last := _last_after(at, number)) > best:
            best, base, above = last, at, depth
        if at == 0:
            break
        at, depth = base_number(at), depth + 1
        if depth == len(chain):
            return None
    if len(chain) - above > CHAIN_STEPS_MAX:
        return None
    # What lies between was stored in steps, which together are about as long as one.
    between = sum(place.size for place in chain[:above])
    changes = max(best, predecessor.chain + 1) - base
    return Link(best, chain[above:], between * changes / (changes - 1) if between else 0.0)


def _last_after(base: int, most: int) -> int:
    """Return the last number up to `most` whose base is `base`; 0 where there is none."""
    room = min(most - base, (base & -base) - 1) if base else most
    return base + (1 << (room.bit_length() - 1)) if room > 0 else 0


def _settled(link: Link, plainly: bool, anew: bool) -> Link | None:
    if plainly:
        return None
    return link._replace(number=0) if anew else link


def _is_far(links: Sequence[Link]) -> bool:
    return sum(link.expected for link in links) > _FAR * sum(link.chain[-1].size for link in links)


def _reads_much(links: Sequence[Link]) -> bool:
    read = sum(link.expected + sum(place.size for place in link.chain) for link in links)
    return read > _READ_MAX * sum(link.chain[-1].size for link in links)
