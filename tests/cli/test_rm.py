"""`mvs rm`."""

from __future__ import annotations

from tests.cli.conftest import Mvs, Put


def test_a_deleted_file_keeps_its_versions(mvs: Mvs, root: str, put: Put) -> None:
    """It is no longer listed, and still read by its address."""
    put("a.txt", b"one")
    assert mvs.lines("rm", f"{root}/a.txt") == ["1 path deleted; the versions stay."]
    assert mvs.lines("ls", root) == []
    assert mvs("cat", f"{root}/a.txt@v1").stdout == "one"


def test_folders_are_deleted_only_when_asked_for(mvs: Mvs, root: str, put: Put) -> None:
    """Without -r a folder, and a whole root, end with 2 and stay."""
    put("d/a.txt", b"one")
    put("d/b.txt", b"two")
    for uri in (f"{root}/d", root):
        assert "-r" in mvs("rm", uri, code=2).stderr
    assert mvs.json("rm", "-r", f"{root}/d") == {"uri": f"{root}/d", "deleted": 2}


def test_all_below_a_folder_of_runs_is_deleted(mvs: Mvs, store: str, root: str, put: Put) -> None:
    """A path above artifact roots covers them."""
    put("a.txt", b"one")
    mvs("rm", "-r", f"{store}/1")
    assert mvs.lines("ls", "-R", store) == []


def test_versions_and_nothing_cannot_be_deleted(mvs: Mvs, root: str, put: Put) -> None:
    """An address of a version ends with 2, what is not there with 6."""
    put("a.txt", b"one")
    assert "versions never change" in mvs("rm", f"{root}/a.txt@v1", code=2).stderr
    mvs("rm", f"{root}/b.txt", code=6)
