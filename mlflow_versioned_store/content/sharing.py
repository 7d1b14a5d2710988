"""How much two versions have in common, from where their chunks are: nothing of either is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlflow_versioned_store.content.directories import Directories, FramesOfRun
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.content.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a version has in common with an older one.

    Args:
        shared: Bytes of it that lie in chunks of the older one.
        added: Bytes that the store holds for it and not for the older one: its other chunks, encoded, and what those
            lean on.
    """

    shared: int
    added: int


def sharing(old: Wanted, new: Wanted, directories: Directories) -> Sharing | None:
    """Return what a version has in common with an older one of the same store; None where that cannot be told.

    Costs one request for each pack of either whose directory is not known yet, in one parallel round trip.

    Raises:
        Damaged, ObjectMissing: What a commit and the directories of its packs say does not fit together.
    """
    if old.is_inline or new.is_inline:
        # They are small, and chunks inside commits are shared with nothing.
        return None
    old_runs, new_runs = (dict.fromkeys(_runs(one)) for one in (old, new))
    if old_runs.keys() == new_runs.keys():
        return Sharing(new.size, 0)
    packs = [run.pack for run in (*old_runs, *new_runs)]
    known = directories.load([*packs, *old.content.leans, *new.content.leans])
    chunks: set[FramePlace] = set()
    needed: set[FramePlace] = set()
    for run in old_runs:
        for frame in FramesOfRun(known, run):
            chunks.add(frame.chain[0])
            needed.update(frame.chain)
    shared = 0
    added: set[FramePlace] = set()
    for run in _runs(new):
        for frame in FramesOfRun(known, run):
            shared += frame.raw if frame.chain[0] in chunks else 0
            added.update(place for place in frame.chain if place not in needed)
    return Sharing(shared, sum(place.size for place in added))


def _runs(wanted: Wanted) -> Iterator[FramePlace]:
    return (wanted.run(extent) for extent in wanted.location.extents)
