"""The ledger against brute force: every byte looked at on its own."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.catalog.ledger import Group, Ledger, Run

FRAMES, FRAME_BYTES, SPACES = 6, 10, 3
NAMES = st.tuples(st.sampled_from("12"), st.sampled_from("rst"), st.sampled_from("ab"))
# A frame is a space and a position in it; a delta leans on one that is smaller, so that none leans on itself.
FRAME = st.tuples(st.integers(0, SPACES - 1), st.integers(0, FRAMES - 1))
BASES = st.dictionaries(FRAME, FRAME).map(lambda bases: {delta: base for delta, base in bases.items() if base < delta})
VERSIONS = st.lists(
    st.tuples(NAMES, st.lists(st.tuples(FRAME, st.integers(1, 3)), max_size=4), st.integers(0, 50)), max_size=12
)
Frame = tuple[int, int]
Version = tuple[tuple[str, ...], list[tuple[Frame, int]], int]


def _run(frame: Frame, count: int) -> Run:
    return Run(frame[0], frame[1] * FRAME_BYTES, (frame[1] + count) * FRAME_BYTES)


def _filled(versions: list[Version], bases: dict[Frame, Frame]) -> Group:
    def lean(run: Run) -> Iterable[Run]:
        frames = range(run.start // FRAME_BYTES, run.stop // FRAME_BYTES)
        return [_run(bases[run.space, at], 1) for at in frames if (run.space, at) in bases]

    ledger = Ledger(lean)
    for names, runs, logged in sorted(versions, key=lambda version: version[0]):
        ledger.add(names, logged=logged, runs=[_run(frame, count) for frame, count in runs], elsewhere=logged // 2)
    return ledger.settle()


def _needed(version: Version, bases: dict[Frame, Frame]) -> set[Frame]:
    pending = [(space, at + step) for (space, at), count in version[1] for step in range(count)]
    needed: set[Frame] = set()
    while pending:
        frame = pending.pop()
        if frame not in needed:
            needed.add(frame)
            pending += [bases[frame]] if frame in bases else []
    return needed


def _groups(group: Group, names: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], Group]]:
    yield names, group
    for name, inner in group.groups.items():
        yield from _groups(inner, (*names, name))


@given(VERSIONS, BASES)
def test_every_group_is_charged_what_it_needs(versions: list[Version], bases: dict[Frame, Frame]) -> None:
    """Stored is what the versions of a group need, exclusive what nobody else does, bases of deltas included."""
    needed = [_needed(version, bases) for version in versions]
    groups = dict(_groups(_filled(versions, bases)))
    assert set(groups) == {names[:depth] for names, _, _ in versions for depth in range(4)} | {()}
    for names, group in groups.items():
        inside = [version[0][: len(names)] == names for version in versions]
        own = set().union(*(frames for frames, mine in zip(needed, inside, strict=True) if mine))
        others = set().union(*(frames for frames, mine in zip(needed, inside, strict=True) if not mine))
        assert group.stored == len(own) * FRAME_BYTES
        assert group.exclusive == len(own - others) * FRAME_BYTES
        assert group.shared == len(own & others) * FRAME_BYTES
        sizes = [version[2] for version, mine in zip(versions, inside, strict=True) if mine]
        assert (group.versions, group.logged) == (len(sizes), sum(sizes))
        assert group.elsewhere == sum(size // 2 for size in sizes)


def test_a_group_is_charged_once_for_what_it_holds_many_times() -> None:
    """A hundred versions of the same bytes need them once."""
    ledger = Ledger(lambda run: ())
    for _ in range(100):
        ledger.add(["a"], logged=10, runs=[Run(0, 0, 10), Run(0, 5, 10)])
    whole = ledger.settle()
    assert (whole.logged, whole.stored, whole.groups["a"].exclusive) == (1000, 10, 10)
