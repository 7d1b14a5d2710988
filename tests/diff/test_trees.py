"""Directories, from sizes and digests alone."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.diff import TreeDiff, compare_trees


class Named:
    """A side of which only size and digest are known: reading it fails."""

    def __init__(self, path: str, content: str):
        self.label = self.path = path
        self.size = len(content)
        self.sha256 = content

    def open(self) -> BinaryIO:
        """Nobody may ask."""
        raise AssertionError

    def local(self) -> str:
        """Nobody may ask."""
        raise AssertionError


trees = st.dictionaries(
    st.sampled_from(["a", "b", "x/a", "x/b", "y/c"]), st.sampled_from(["", "1", "22", "333"]), max_size=5
)


def diff_of(a: dict[str, str], b: dict[str, str]) -> TreeDiff:
    """Compare two directories, given by contents."""
    return compare_trees(
        {path: Named(path, content) for path, content in a.items()},
        {path: Named(path, content) for path, content in b.items()},
    )


@given(trees, trees)
def test_changes_lead_from_one_to_the_other(a: dict[str, str], b: dict[str, str]) -> None:
    """Applied to the old directory, the changes make the new one, without looking into any file."""
    diff = diff_of(a, b)
    made = dict(a)
    for change in diff.changes:
        if change.kind == "removed":
            del made[change.path]
        if change.kind == "renamed":
            assert change.old_path is not None
            assert a[change.old_path] == b[change.path] != ""
            del made[change.old_path]
    for change in diff.changes:
        if change.kind != "removed":
            made[change.path] = b[change.path]
            assert change.b_size == len(b[change.path])
    assert made == b
    assert diff.unchanged == sum(content == b.get(path) != "" for path, content in a.items())
    assert sum(diff.counts.values()) == len(diff.changes)
    gone = {a[change.path] for change in diff.changes if change.kind == "removed"} - {""}
    assert not gone & {b[change.path] for change in diff.changes if change.kind == "added"}


def test_files_keep_their_names_when_they_move() -> None:
    """Of several files with one content, those of one name belong together."""
    diff = diff_of({"old/a": "1", "old/b": "1"}, {"new/b": "1", "new/a": "1"})
    assert {(change.old_path, change.path) for change in diff.changes} == {("old/a", "new/a"), ("old/b", "new/b")}


def test_digests_that_are_not_known_are_not_equal() -> None:
    """Files whose digests are not known are never taken for the same."""
    assert diff_of({"a": ""}, {"a": ""}).counts["changed"] == 1


def test_every_form(tmp_path: Path) -> None:
    """A comparison of directories is shown in the shell, as JSON and as a page."""
    diff = diff_of({"a": "1", "b": "22", "c": "333", "d": "4444"}, {"a": "x", "e": "333", "d": "4444", "f": "6"})
    assert diff.text(60).splitlines() == [
        "--- old",
        "+++ new",
        "1 added, 1 removed, 1 changed, 1 renamed, 1 the same.",
        "~  a      1 B → 1 B",
        "-  b      2 B",
        ">  c → e  3 B",
        "+  f      1 B",
    ]
    assert diff.json()["counts"] == {"added": 1, "removed": 1, "changed": 1, "renamed": 1}
    assert diff.json()["changes"][0]["path"] == "a"
    assert "<del>c</del> <ins>e</ins>" in diff.html()
