"""`mvs put`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import RUN, Mvs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with things to store, that commands run in."""
    (tmp_path / "data/x").mkdir(parents=True)
    (tmp_path / "data/x/a.txt").write_bytes(b"one")
    (tmp_path / "b.txt").write_bytes(b"two")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "below", "stored"),
    [
        (["b.txt"], "", ["b.txt"]),
        (["b.txt"], "/c.txt", ["c.txt"]),
        (["b.txt"], "/d/", ["d/b.txt"]),
        (["data"], "", ["x/a.txt"]),
        (["data"], "/d", ["d/x/a.txt"]),
        (["data", "b.txt"], "/d", ["d/b.txt", "d/x/a.txt"]),
    ],
)
def test_where_things_go(mvs: Mvs, root: str, sources: list[str], below: str, stored: list[str]) -> None:
    """A file becomes what the URI names, or goes below it; the content of a directory always goes below it."""
    mvs("put", *sources, root + below)
    assert mvs.lines("ls", "-R", root) == stored


def test_all_sources_are_one_commit(mvs: Mvs, root: str) -> None:
    """However many sources there are, there is one commit; what was current already is said to be so."""
    mvs("put", "data", "b.txt", root)
    assert mvs.lines("put", "data", "b.txt", root) == ["3 B  unchanged  x/a.txt@@v1", "3 B  unchanged  b.txt@@v1"]
    commits = mvs.json("log", root)["commits"]
    assert [len(commit["changes"][0]["entries"]) for commit in commits] == [0, 2]


def test_what_is_current_can_be_stored_anew(mvs: Mvs, root: str) -> None:
    """With --anew every file becomes a new version, whatever there is."""
    mvs("put", "b.txt", root)
    assert mvs.lines("put", "--anew", "data", "b.txt", root) == ["3 B  stored  x/a.txt@@v1", "3 B  stored  b.txt@@v2"]


def test_the_standard_input_is_a_source(mvs: Mvs, root: str) -> None:
    """It needs a name, which the URI gives."""
    mvs("put", "-", f"{root}/c.txt", stdin=b"three")
    assert mvs("cat", f"{root}/c.txt").stdout == "three"
    assert "name" in mvs("put", "-", f"{root}/", stdin=b"x", code=2).stderr


def test_the_first_upload_makes_the_store(mvs: Mvs, tmp_path: Path) -> None:
    """As it does through MLflow; where that is, is said."""
    told = mvs("put", "b.txt", f"versioned-file://{tmp_path}/store/1/{RUN}/artifacts")
    assert f"file://{tmp_path}/store" in told.stderr
    assert (tmp_path / "store/_mvs/store.json").exists()


def test_what_is_not_there_stores_nothing(mvs: Mvs, root: str) -> None:
    """One source that is missing ends with 2, and the others are not stored either."""
    assert "nothing.txt" in mvs("put", "b.txt", "nothing.txt", root, code=2).stderr
    assert mvs.lines("ls", "-R", root) == []


def test_programs_get_addresses(mvs: Mvs, root: str) -> None:
    """Each file with its new address, and whether it was there already."""
    assert mvs.json("put", "b.txt", root) == {
        "root": root,
        "stored": [{"address": f"{root}/b.txt@@v1", "path": "b.txt", "version": 1, "size": 3, "unchanged": False}],
    }
