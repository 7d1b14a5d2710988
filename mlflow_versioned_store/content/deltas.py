"""Skip chains: against which ancestor the next change of a chunk is stored. Pure.

The nth change of a chunk is encoded against the ancestor numbered n & (n − 1), which always lies on the chain of its
predecessor. So a chunk changed n times is read in at most log2(n) steps, and its storage grows with n log n at worst.
A poor delta begins a new chain on top of the old one: a step more for those who read it, 64 in all.
"""

from __future__ import annotations

from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packs import FramePlace


def base_number(number: int) -> int:
    """Return the number of the frame that frame `number` (from 1) is encoded against."""
    return number & (number - 1)


def next_in_chain(predecessor: Placed) -> tuple[int, tuple[FramePlace, ...]] | None:
    """Return the number of the frame after `predecessor` and the frames it leans on, nearest first.

    None where the predecessor's ancestors do not add up (a damaged index) or the chain would grow too long.
    """
    number = predecessor.chain + 1
    wanted = base_number(number)
    chain = (predecessor.place(), *predecessor.ancestors)
    at = predecessor.chain
    while at != wanted and chain:
        at, chain = base_number(at), chain[1:]
    return (number, chain) if chain and len(chain) <= CHAIN_STEPS_MAX else None
