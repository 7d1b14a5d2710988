"""Who needs which stored bytes, for every group of versions at once. Pure computation, no I/O.

Groups form a tree, such as store, experiment, artifact root, path. Each stretch of stored bytes that any version needs
carries the smallest group that holds all versions that need it: what carries a group, or one inside it, would be freed
if that group were deleted. And it carries the last group that was charged for it: where the next one differs, only
the levels at which the two differ are charged anew. So one pass over the versions, in the order of the tree, tells
everything about every group.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias


class Run(NamedTuple):
    """A stretch of stored bytes.

    Args:
        space: What they lie in: a number for each pack, each change's inline frames, each native object.
        start: From this byte of it.
        stop: To this one, which is not part of it.
    """

    space: int
    start: int
    stop: int


Bases: TypeAlias = Callable[[Run], Iterable[Run]]
"""Returns the frames that deltas inside a run lean on directly."""


class Group:
    """What is known of a group of versions; sizes in bytes.

    Attributes:
        name: Its name inside the group around it; "" is the whole.
        versions: How many versions it has.
        logged: Their sizes together, as they were logged.
        elsewhere: How much of that lies outside of the store, and is only referred to.
        stored: What they need of the store, the bases of deltas included.
        exclusive: What of that no other version needs: what deleting the group would free.
        groups: The groups inside it, by name.
    """

    def __init__(self, name: str, number: int, parent: Group | None):
        self.name = name
        self.number = number
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.versions = self.logged = self.elsewhere = self.stored = self.exclusive = 0
        self.groups: dict[str, Group] = {}

    @property
    def shared(self) -> int:
        """What it needs of the store and others need too."""
        return self.stored - self.exclusive

    def lineage(self) -> Iterator[Group]:
        """Yield the group and all around it, the whole last."""
        group: Group | None = self
        while group is not None:
            yield group
            group = group.parent


class Ledger:
    """Counts versions into groups.

    Takes some 24 bytes of memory a stretch of stored bytes that is needed in another way than its neighbours, and some
    200 a group.

    Args:
        bases: What the deltas in a run lean on.
    """

    def __init__(self, bases: Bases):
        self._bases = bases
        self._groups = [Group("", 0, None)]
        self._spaces: dict[int, _Space] = {}

    @property
    def whole(self) -> Group:
        """The group of all versions; `exclusive` counts only once `settle` was called."""
        return self._groups[0]

    def add(self, names: Sequence[str], *, logged: int, runs: Iterable[Run], elsewhere: int = 0) -> None:
        """Count one version. Versions of a group come one after the other, none of another group between them.

        Args:
            names: The groups it is in, from the outermost to the innermost.
            logged: Its size, bytes.
            runs: Where its own frames are; what those lean on is found.
            elsewhere: Bytes of it that the store only refers to.
        """
        group = self._group(names)
        for around in group.lineage():
            around.versions += 1
            around.logged += logged
            around.elsewhere += elsewhere
        pending = list(runs)
        while pending:
            run = pending.pop()
            space = self._spaces.setdefault(run.space, _Space())
            for start, stop in space.claim(run.start, run.stop, group.number, self._charge):
                pending.extend(self._bases(Run(run.space, start, stop)))

    def settle(self) -> Group:
        """Work out what is exclusive to each group, and return the whole."""
        for space in self._spaces.values():
            for size, number in space.sizes():
                for group in self._groups[number].lineage():
                    group.exclusive += size
        return self.whole

    def _group(self, names: Sequence[str]) -> Group:
        group = self.whole
        for name in names:
            known = group.groups.get(name)
            if known is None:
                known = group.groups[name] = Group(name, len(self._groups), group)
                self._groups.append(known)
            group = known
        return group

    def _charge(self, size: int, owner: int, last: int, number: int) -> int:
        """Charge group `number` for bytes that `owner` holds and `last` was charged for; return who holds them now."""
        group = self._groups[number]
        common = self._common(self._groups[last], group) if last >= 0 else None
        for around in group.lineage():
            if around is common:
                break
            around.stored += size
        return self._common(self._groups[owner], group).number if owner >= 0 else number

    @staticmethod
    def _common(one: Group, other: Group) -> Group:
        while one is not other:
            if one.depth >= other.depth:
                assert one.parent is not None, "only the whole has no parent, and it is in every lineage"
                one = one.parent
            else:
                assert other.parent is not None, "as above"
                other = other.parent
        return one


class _Space:
    """Stretches of bytes, sorted, none overlapping: where each begins and ends, who holds it, who was charged last."""

    __slots__ = ("_lasts", "_owners", "_starts", "_stops")

    def __init__(self) -> None:
        self._starts, self._stops = array("q"), array("q")
        self._owners, self._lasts = array("q"), array("q")

    def claim(
        self, start: int, stop: int, number: int, charge: Callable[[int, int, int, int], int]
    ) -> Iterator[tuple[int, int]]:
        """Give [start, stop) to group `number` too; yield what it was not charged for just before."""
        at = max(0, bisect_right(self._starts, start) - 1)
        while start < stop:
            if at < len(self._starts) and self._stops[at] <= start:
                at += 1
                continue
            if at == len(self._starts) or self._starts[at] > start:
                end = min(stop, self._starts[at]) if at < len(self._starts) else stop
                self._insert(at, start, end, -1, -1)
            elif self._lasts[at] == number:
                start = self._stops[at]
                continue
            elif self._starts[at] < start:
                self._split(at, start)
                at += 1
            if self._stops[at] > stop:
                self._split(at, stop)
            end = self._stops[at]
            self._owners[at] = charge(end - start, self._owners[at], self._lasts[at], number)
            self._lasts[at] = number
            yield start, end
            start = end

    def sizes(self) -> Iterator[tuple[int, int]]:
        """Yield the bytes of each stretch and who holds it."""
        for start, stop, owner in zip(self._starts, self._stops, self._owners, strict=True):
            yield stop - start, owner

    def _split(self, at: int, where: int) -> None:
        self._insert(at + 1, where, self._stops[at], self._owners[at], self._lasts[at])
        self._stops[at] = where

    def _insert(self, at: int, start: int, stop: int, owner: int, last: int) -> None:
        self._starts.insert(at, start)
        self._stops.insert(at, stop)
        self._owners.insert(at, owner)
        self._lasts.insert(at, last)
