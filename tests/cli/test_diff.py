"""`mvs diff`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Mvs, Put


@pytest.fixture(autouse=True)
def file(root: str, put: Put) -> str:
    """The URI of a text with three versions, in a folder."""
    for text in (b"one\n", b"two\n", b"three\n"):
        put("d/a.txt", text)
    return f"{root}/d/a.txt"


@pytest.mark.parametrize(
    ("old", "new", "labels"),
    [
        ("@v1", "@v2", ("d/a.txt@@v1", "d/a.txt@@v2")),
        ("@v1", None, ("d/a.txt@@v1", "d/a.txt@@v3")),
        ("", None, ("d/a.txt@@v2", "d/a.txt@@v3")),
        ("", "@v1", ("d/a.txt@@v3", "d/a.txt@@v1")),
    ],
)
def test_what_is_compared_with_what(mvs: Mvs, file: str, old: str, new: str | None, labels: tuple[str, str]) -> None:
    """Without another address, a version is compared with the current one, and that with the one before."""
    told = mvs.json("diff", file + old, *([new] if new else []))
    assert (told["a"]["label"], told["b"]["label"]) == labels


def test_lines_of_text_are_shown(mvs: Mvs, file: str) -> None:
    """What was is marked with "-", what is with "+"."""
    lines = mvs.lines("diff", f"{file}@v1", "@v2")
    assert lines[:2] == ["--- d/a.txt@@v1", "+++ d/a.txt@@v2"]
    assert lines[-2:] == ["-one", "+two"]


def test_folders_are_compared_by_their_files(mvs: Mvs, root: str, put: Put) -> None:
    """A folder now and as of a commit, or a whole root."""
    put("d/b.txt", b"new")
    for address in (f"{root}/d@c3", f"{root}@c3"):
        told = mvs.json("diff", address)
        assert told["counts"] == {"added": 1, "removed": 0, "changed": 0, "renamed": 0}


def test_a_local_file_is_a_side(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """What lies here is compared with what was logged, either way round; so are directories."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.txt").write_bytes(b"three\n")
    local = str(tmp_path / "d/a.txt")
    assert mvs.json("diff", file, local)["equal"] is True
    assert mvs.json("diff", local, file)["a"]["label"] == local
    assert mvs.json("diff", file.rpartition("/")[0], str(tmp_path / "d"))["unchanged"] == 1
    assert "local path" in mvs("diff", local, code=2).stderr


def test_two_stores_can_be_compared(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """The sides need not be of one store, though what they share is then unknown."""
    (tmp_path / "a.txt").write_bytes(b"x" * (1 << 20))
    others = [f"versioned-file://{tmp_path}/{name}/a.txt" for name in "pq"]
    for other in others:
        mvs("init", other.rpartition("/")[0])
        mvs("put", str(tmp_path / "a.txt"), other)
    assert mvs.json("diff", *others)["equal"] is True
    (tmp_path / "a.txt").write_bytes(b"y" * (1 << 20))
    mvs("put", str(tmp_path / "a.txt"), others[1])
    told = mvs.json("diff", *others)
    assert (told["equal"], told["sharing"]) == (False, None)


def test_a_page_is_written_beside(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """--html writes a page of its own, and the text is shown all the same."""
    page = tmp_path / "diff.html"
    told = mvs("diff", file, "--html", str(page))
    assert "-two" in told.stdout
    assert told.stderr == f"Written as a page to {page}.\n"
    assert mvs("diff", file, "--html", str(page), "--json").stderr == ""
    assert page.read_text().startswith("<!doctype html>")
    mvs("diff", file, "--html", str(tmp_path / "nowhere/diff.html"), code=1)


def test_a_page_replaces_nothing_unasked(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """The same page may be there already; other content ends with 8 and stays, unless forced; a folder always does."""
    page = tmp_path / "diff.html"
    page.write_text("mine")
    assert "--force" in mvs("diff", file, "--html", str(page), code=8).stderr
    assert page.read_text() == "mine"
    for force in (["--force"], []):
        mvs("diff", file, "--html", str(page), *force)
        assert page.read_text().startswith("<!doctype html>")
    mvs("diff", file, "--html", "/dev/null", "--force", code=8)
    assert list(tmp_path.iterdir()) == [page]


def test_a_page_that_cannot_be_written_leaves_nothing(
    mvs: Mvs, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk what was there stays, and no part of a page is left."""
    page = tmp_path / "diff.html"
    page.write_text("mine")
    write = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        write(path, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    mvs("diff", file, "--html", str(page), "--force", code=1)
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(page, "mine")]


def test_keys_and_kinds_can_be_given(mvs: Mvs, root: str, put: Put) -> None:
    """The columns that name a row, and what the files are to be read as."""
    put("t.csv", b"k,l,v\n1,1,a\n1,2,b\n")
    put("t.csv", b"k,l,v\n1,2,b\n1,1,c\n")
    told = mvs.json("diff", f"{root}/t.csv", "--key", "k,l")
    assert (told["kind"], told["detail"]["rows"]["changed"]) == ("table", 1)
    assert mvs.json("diff", f"{root}/t.csv", "--as", "text")["kind"] == "text"


def test_a_local_path_without_a_file_is_no_address(mvs: Mvs, file: str) -> None:
    """Where neither side is there, or only one, the message names what is missing and how addresses begin."""
    for sides in (("gone", "lost"), (file, "gone")):
        said = mvs("diff", *sides, code=6).stderr
        assert "no local file or directory 'gone'" in said
        assert "versioned-…://" in said


def test_what_cannot_be_compared_is_said(mvs: Mvs, root: str, file: str, put: Put) -> None:
    """A file and a folder are of two kinds, and a first version has nothing before it."""
    assert "folder" in mvs("diff", file, f"{root}/d", code=2).stderr
    put("b.txt", b"first")
    assert "before" in mvs("diff", f"{root}/b.txt", code=2).stderr
