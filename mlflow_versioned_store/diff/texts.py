"""What differs between two texts, line by line.

Lines are aligned by those that occur once in both, as people read a change; what lies between two of them is aligned
closely where that is cheap and taken as replaced elsewhere. So the cost stays near the length of the texts.
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple, TypeAlias

from mlflow_versioned_store.diff.encodings import ON_ERROR, Encoding, encoding_of, notes_on
from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.errors import Unsupported

TEXT_BYTES_MAX = 16 << 20
_CONTEXT_LINES = 3
_SHOWN_LINES_MAX = 2000
_SHOWN_CHARACTERS_MAX = 2000
# Lines of one gap that are aligned at the square of their number, at worst more.
_CLOSE_LINES_MAX = 200

LineKind: TypeAlias = Literal["same", "removed", "added"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk: what happened to it, and its text without the line end."""

    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changed lines that lie close to each other, with some that are the same around them.

    Args:
        a_start: Number of its first line in the old text, from 1.
        b_start: Number of its first line in the new one.
        lines: Its lines.
    """

    a_start: int
    b_start: int
    lines: tuple[Line, ...]

    def count(self, *kinds: LineKind) -> int:
        """Return how many of its lines are of some kinds."""
        return sum(line.kind in kinds for line in self.lines)


@dataclass(frozen=True, slots=True)
class TextDiff:
    """Two texts, line by line.

    Args:
        added: How many lines were added.
        removed: How many were removed; a changed line is one removed and one added.
        hunks: The first changes, up to 2,000 lines.
        cut: Whether there are more.
    """

    added: int
    removed: int
    hunks: tuple[Hunk, ...]
    cut: bool


class Block(NamedTuple):
    """Lines that are the same in both texts: where they start in each, and how many they are."""

    a: int
    b: int
    size: int


def compare_texts(a: Side, b: Side) -> tuple[TextDiff, tuple[str, ...]]:
    """Compare two texts; return what differs, and what the reader must know about the comparison.

    Raises:
        Unsupported: One is larger than 16 MiB.
    """
    (old, a_encoding), (new, b_encoding) = (_lines(side) for side in (a, b))
    blocks = matching_blocks(old, new)
    same = sum(block.size for block in blocks)
    hunks, cut = _hunks(old, new, blocks)
    diff = TextDiff(len(new) - same, len(old) - same, hunks, cut)
    notes = notes_on(a_encoding, b_encoding)
    if _ends_with_cr(old) != _ends_with_cr(new):
        notes += ("Lines end in CR LF in one text and in LF in the other.",)
    return diff, notes


def matching_blocks(a: Sequence[str], b: Sequence[str]) -> list[Block]:
    """Return the lines that are taken for the same, in their order; no two blocks touch in both texts."""
    found: list[Block] = []
    for block in _matches(a, b):
        last = found[-1] if found else Block(-1, -1, 0)
        if (last.a + last.size, last.b + last.size) == (block.a, block.b):
            found[-1] = Block(last.a, last.b, last.size + block.size)
        else:
            found.append(block)
    return found


def _matches(a: Sequence[str], b: Sequence[str]) -> Iterator[Block]:
    # Gaps to fill and blocks to yield, the next one last.
    waiting: list[tuple[int, int, int, int] | Block] = [(0, len(a), 0, len(b))]
    while waiting:
        gap = waiting.pop()
        if isinstance(gap, Block):
            yield gap
            continue
        a_start, a_stop, b_start, b_stop = gap
        head = _equal(a, b, a_start, b_start, 1, min(a_stop - a_start, b_stop - b_start))
        if head:
            yield Block(a_start, b_start, head)
        a_start, b_start = a_start + head, b_start + head
        tail = _equal(a, b, a_stop - 1, b_stop - 1, -1, min(a_stop - a_start, b_stop - b_start))
        a_stop, b_stop = a_stop - tail, b_stop - tail
        if tail:
            waiting.append(Block(a_stop, b_stop, tail))
        if a_start == a_stop or b_start == b_stop:
            continue
        anchors = _anchors(a, b, a_start, a_stop, b_start, b_stop)
        if anchors:
            rest = []
            for a_next, b_next in [*anchors, (a_stop, b_stop)]:
                rest.append((a_start, a_next, b_start, b_next))
                a_start, b_start = a_next, b_next
            waiting.extend(reversed(rest))
        elif max(a_stop - a_start, b_stop - b_start) <= _CLOSE_LINES_MAX:
            matcher = SequenceMatcher(None, a[a_start:a_stop], b[b_start:b_stop], autojunk=False)
            found = [Block(a_start + one.a, b_start + one.b, one.size) for one in matcher.get_matching_blocks()]
            waiting.extend(block for block in reversed(found) if block.size)


def _equal(a: Sequence[str], b: Sequence[str], a_at: int, b_at: int, step: int, limit: int) -> int:
    """Return how many lines are the same from two places on, in one direction."""
    count = 0
    while count < limit and a[a_at + step * count] == b[b_at + step * count]:
        count += 1
    return count


def _anchors(
    a: Sequence[str], b: Sequence[str], a_start: int, a_stop: int, b_start: int, b_stop: int
) -> list[tuple[int, int]]:
    """Return places of lines that occur once in both parts, as many as follow each other in both."""
    a_counts, b_counts = Counter(a[a_start:a_stop]), Counter(b[b_start:b_stop])
    b_places = {b[at]: at for at in range(b_start, b_stop) if b_counts[b[at]] == 1}
    common = [(at, b_places[a[at]]) for at in range(a_start, a_stop) if a_counts[a[at]] == 1 and a[at] in b_places]
    # The longest rising run: the last place of the best one of each length, and who came before whom.
    lasts: list[int] = []
    of_length: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(common):
        length = bisect_left(lasts, place)
        lasts[length : length + 1] = [place]
        of_length[length : length + 1] = [number]
        before.append(of_length[length - 1] if length else -1)
    rising = []
    at = of_length[-1] if of_length else -1
    while at >= 0:
        rising.append(common[at])
        at = before[at]
    return rising[::-1]


def _lines(side: Side) -> tuple[list[str], Encoding]:
    if side.size > TEXT_BYTES_MAX:
        raise Unsupported(f"{side.label} is larger than {TEXT_BYTES_MAX >> 20} MiB: it is not compared line by line.")
    with side.open() as file:
        data = file.read()
    encoding = encoding_of([data])
    # At line feeds alone, as editors count lines.
    return list(io.StringIO(data.decode(encoding, ON_ERROR), newline="\n")), encoding


def _ends_with_cr(lines: Sequence[str]) -> bool:
    return 2 * sum(line.endswith("\r\n") for line in lines) > len(lines)


def _hunks(old: Sequence[str], new: Sequence[str], blocks: Sequence[Block]) -> tuple[tuple[Hunk, ...], bool]:
    hunks: list[Hunk] = []
    lines: list[Line] = []
    room = _SHOWN_LINES_MAX
    start = a_at = b_at = 0
    b_first = 0
    for block in [*blocks, Block(len(old), len(new), 0)]:
        changed = [Line("removed", _shown(old[at])) for at in range(a_at, block.a)]
        changed += [Line("added", _shown(new[at])) for at in range(b_at, block.b)]
        if changed and not lines:
            context = min(_CONTEXT_LINES, a_at)
            start, b_first = a_at - context, b_at - context
            lines = [Line("same", _shown(old[at])) for at in range(start, a_at)]
        lines += changed
        a_at, b_at = block.a + block.size, block.b + block.size
        ends = block.size > 2 * _CONTEXT_LINES or (a_at, b_at) == (len(old), len(new))
        if lines:
            kept = min(block.size, _CONTEXT_LINES) if ends else block.size
            lines += [Line("same", _shown(old[at])) for at in range(block.a, block.a + kept)]
        if lines and ends:
            hunks.append(Hunk(start + 1, b_first + 1, tuple(lines[:room])))
            room -= len(lines)
            lines = []
        if room <= 0:
            return tuple(hunks), room < 0 or b_at < len(new) or a_at < len(old)
    return tuple(hunks), False


def _shown(line: str) -> str:
    text = line.rstrip("\r\n")
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]} …"
