"""Texts, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.diff.texts import TextDiff, _hunks, compare_texts, matching_blocks
from tests.diff.making import compared, sides

lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n", "only\n"]), max_size=30)


def diff_of(folder: Path, a: str, b: str) -> TextDiff:
    """Compare two texts."""
    diff, _ = compare_texts(*sides(folder, "t.txt", a, b))
    return diff


@given(lines, lines)
def test_blocks_are_the_same_lines_in_order(a: list[str], b: list[str]) -> None:
    """Blocks rise in both texts, do not touch, and hold the same lines."""
    a_stop = b_stop = -1
    for block in matching_blocks(a, b):
        assert block.size > 0
        assert block.a >= a_stop
        assert block.b >= b_stop
        assert (block.a, block.b) != (a_stop, b_stop)
        assert a[block.a : block.a + block.size] == b[block.b : block.b + block.size]
        a_stop, b_stop = block.a + block.size, block.b + block.size


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=60), st.sets(st.integers(0, 60)), st.integers(0, 60))
def test_unique_lines_are_aligned_at_best(numbers: list[int], gone: set[int], at: int) -> None:
    """Of lines that occur once, all that were kept are found again."""
    a = [f"{number}\n" for number in numbers]
    b = [line for place, line in enumerate(a) if place not in gone]
    kept = len(b)
    b.insert(at, "another\n")
    assert sum(block.size for block in matching_blocks(a, b)) == kept


@given(lines, lines)
def test_hunks_tell_the_whole_change(a: list[str], b: list[str]) -> None:
    """Applied to the old text, the hunks make the new one."""
    hunks, cut = _hunks(a, b, matching_blocks(a, b))
    assert not cut
    made: list[str] = []
    at = 0
    for hunk in hunks:
        made += a[at : hunk.a_start - 1]
        assert len(made) == hunk.b_start - 1
        made += [f"{line.text}\n" for line in hunk.lines if line.kind != "removed"]
        at = hunk.a_start - 1 + hunk.count("same", "removed")
    assert made + a[at:] == b


def test_a_change_stands_between_what_is_around_it(tmp_path: Path) -> None:
    """A hunk has three lines before and after the change, and says where it is."""
    a = [f"line {at}\n" for at in range(20)]
    b = [*a[:10], "new\n", *a[11:]]
    diff = compared(tmp_path, "t.txt", "".join(a), "".join(b))
    assert diff.text().splitlines()[4:] == [
        "@@ -8,7 +8,7 @@",
        " line 7",
        " line 8",
        " line 9",
        "-line 10",
        "+new",
        " line 11",
        " line 12",
        " line 13",
    ]


def test_many_equal_lines_are_no_work(tmp_path: Path) -> None:
    """Long runs of one line that changed in the middle are replaced as a whole: no time is spent on them."""
    a = "x\n" * 50_000 + "old\n" + "y\n" * 50_000
    b = "x\n" * 49_000 + "y\nnew\n" * 500 + "y\n" * 50_000
    diff = diff_of(tmp_path, a, b)
    assert diff.added >= 500
    assert diff.cut


def test_line_ends_are_said_to_differ(tmp_path: Path) -> None:
    """Texts that differ in how lines end are all change, and the reader is told why."""
    diff = compared(tmp_path, "t.txt", "a\r\nb\r\n", "a\nb\n")
    assert diff.warnings == ("Lines end in CR LF in one text and in LF in the other.",)


@pytest.mark.parametrize(
    ("a", "b", "removed", "added"),
    [("", "a\n", 0, 1), ("a\n", "", 1, 0), ("a", "a\n", 1, 1), ("a\x0bb\n", "a\x0bc\n", 1, 1), ("\n", "\n\n", 0, 1)],
)
def test_texts_of_next_to_nothing(tmp_path: Path, a: str, b: str, removed: int, added: int) -> None:
    """Lines end at line feeds alone; a last line without one is another line."""
    diff = diff_of(tmp_path, a, b)
    assert (diff.removed, diff.added) == (removed, added)


def test_large_texts_are_bytes(tmp_path: Path) -> None:
    """A text that is too large for its lines to be compared is compared as bytes, with a warning."""
    diff = compared(tmp_path, "t.log", "a\n" * (9 << 20), "b\n")
    assert (diff.kind, diff.detail) == ("data", None)
    assert "larger than 16 MiB" in diff.warnings[0]


def test_long_lines_are_cut(tmp_path: Path) -> None:
    """What is shown of one line is bounded."""
    diff = diff_of(tmp_path, "a" * 100_000, "b" * 100_000)
    assert all(len(line.text) < 2100 for hunk in diff.hunks for line in hunk.lines)
