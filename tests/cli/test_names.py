"""`mvs alias`, `mvs tag` and `mvs annotate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Mvs, Put


@pytest.fixture(autouse=True)
def file(root: str, put: Put) -> str:
    """The URI of a file with two versions."""
    put("d/a.txt", b"one")
    put("d/a.txt", b"three")
    return f"{root}/d/a.txt"


def test_an_alias_leads_to_its_version(mvs: Mvs, file: str) -> None:
    """It can be moved and removed, and is listed with what it stands for."""
    assert mvs.json("alias", f"{file}@v1", "gold") == {"uri": file, "aliases": {"gold": "v1"}}
    assert mvs("cat", f"{file}@gold").stdout == "one"
    mvs("alias", file, "gold")
    assert mvs("cat", f"{file}@gold").stdout == "three"
    assert [line.split() for line in mvs.lines("alias", file)] == [["ALIAS", "STANDS", "FOR"], ["gold", "v2"]]
    mvs("alias", file, "gold", "--remove")
    assert "none" in mvs("cat", f"{file}@gold", code=6).stderr


def test_an_alias_of_a_folder_stands_for_a_commit(mvs: Mvs, root: str) -> None:
    """The folder is read as it was."""
    mvs("alias", f"{root}/d@c1", "first")
    assert mvs("cat", f"{root}/d@first/a.txt").stdout == "one"


@pytest.mark.parametrize("name", ["v7", "c1", "a/b", "x y"])
def test_what_reads_otherwise_is_no_alias(mvs: Mvs, file: str, name: str) -> None:
    """A name that reads as a version, a commit or a path ends with 2."""
    mvs("alias", file, name, code=2)


def test_aliases_that_are_not_there_cannot_be_removed(mvs: Mvs, file: str) -> None:
    """The message says which there are, and a name is asked for."""
    assert "gold" in mvs("alias", file, "gold", "--remove", code=6).stderr
    mvs("alias", file, "--remove", code=2)


def test_tags_belong_to_a_version(mvs: Mvs, file: str) -> None:
    """They are set, listed and removed; another version has its own."""
    mvs("tag", f"{file}@v1", "stage=raw", "rows=2=3")
    assert mvs.json("tag", f"{file}@v1")["tags"] == {"rows": "2=3", "stage": "raw"}
    assert mvs.json("tag", f"{file}@v1", "rows=")["tags"] == {"stage": "raw"}
    assert mvs.json("tag", file)["tags"] == {}
    assert mvs.lines("tag", f"{file}@v1") == ["TAG    VALUE", "stage  raw"]
    assert "NAME=VALUE" in mvs("tag", file, "stage", code=2).stderr


def test_notes_are_json_or_text(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """A value is JSON where it reads as that, text otherwise, or the JSON in a file."""
    (tmp_path / "columns.json").write_text('{"id": "of the row"}')
    mvs("annotate", file, "description=Without test rows", "rows=2", f"columns=@{tmp_path}/columns.json", "gone=1")
    notes = mvs.json("annotate", file, "gone=")["notes"]
    assert notes == {"columns": {"id": "of the row"}, "description": "Without test rows", "rows": 2}
    assert mvs.lines("annotate", file)[1] == 'columns      {"id": "of the row"}'
    assert mvs.json("annotate", f"{file}@v1")["notes"] == {}


def test_a_file_of_notes_that_is_no_json_is_refused(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """Nothing is recorded of what cannot be read."""
    (tmp_path / "columns.json").write_text("{")
    for name in ("columns.json", "nothing.json"):
        assert name in mvs("annotate", file, f"columns=@{tmp_path}/{name}", code=2).stderr
    assert mvs.json("annotate", file)["notes"] == {}


def test_what_only_python_takes_for_json_is_a_text(mvs: Mvs, file: str, tmp_path: Path) -> None:
    """NaN is kept as it is written; a number too large to be one, and a file with NaN in it, are refused."""
    mvs("annotate", file, "mean=NaN", "low=-Infinity")
    assert mvs.json("annotate", file)["notes"] == {"mean": "NaN", "low": "-Infinity"}
    mvs("annotate", file, "mean=1e999", code=2)
    (tmp_path / "notes.json").write_text('{"mean": NaN}')
    mvs("annotate", file, f"mean=@{tmp_path}/notes.json", code=2)
    assert mvs.json("annotate", file)["notes"]["mean"] == "NaN"
