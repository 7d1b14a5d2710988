"""`mvs restore`."""

from __future__ import annotations

from tests.cli.conftest import Mvs, Put


def test_an_old_version_becomes_the_newest(mvs: Mvs, root: str, put: Put) -> None:
    """It is a new version with the old content; a deleted file comes back."""
    put("a.txt", b"one")
    put("a.txt", b"three")
    assert mvs.lines("restore", f"{root}/a.txt@v1") == ["3 B  stored  a.txt@@v3"]
    assert mvs("cat", f"{root}/a.txt").stdout == "one"
    mvs("rm", f"{root}/a.txt")
    mvs("restore", f"{root}/a.txt@v2")
    assert mvs("cat", f"{root}/a.txt").stdout == "three"
    assert "restore a.txt@@v4 (from a.txt@@v2)" in mvs("log", root).stdout


def test_versions_that_never_were_are_not_restored(mvs: Mvs, root: str, put: Put) -> None:
    """The message says which there are."""
    put("a.txt", b"one")
    assert "only version v1" in mvs("restore", f"{root}/a.txt@v9", code=6).stderr
