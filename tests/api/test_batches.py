"""Many changes in one commit."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import mlflow_versioned_store as mvs
from mlflow_versioned_store.errors import InvalidInput, NotFound


def test_a_batch_is_one_commit(root: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Files, bytes and written files are made together, after what is deleted has ended."""
    root.upload(b"old", "old/x")
    (tmp_path / "f").write_bytes(b"file")
    with root.batch() as batch:
        batch.upload(tmp_path / "f")
        batch.upload(b"bytes", "b")
        with batch.open("w", "wb") as file:
            file.write(b"written")
        batch.delete("old")
        batch.upload(b"new", "old/y")
        assert [commit.number for commit in root.history()] == [1]
    assert [stored.path for stored in batch.stored] == ["f", "b", "w", "old/y"]
    assert [commit.number for commit in root.history()] == [2, 1]
    assert {entry.path: root.read_bytes(entry.path) for entry in root.list(recursive=True)} == {
        "b": b"bytes",
        "f": b"file",
        "old/y": b"new",
        "w": b"written",
    }


def test_an_error_makes_nothing(root: mvs.ArtifactRoot) -> None:
    """A batch that is left by an error leaves no trace."""
    batch = root.batch()

    def interrupted() -> None:
        with batch:
            batch.upload(b"1", "a")
            batch.open("b").write(b"2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(root.history()) == []
    assert batch.stored == []


def test_of_one_path_the_last_counts(root: mvs.ArtifactRoot) -> None:
    """What is added again replaces what was added; what is deleted afterwards is not made."""
    with root.batch() as batch:
        batch.upload(b"1", "a")
        batch.open("a").write(b"2")
        batch.upload(b"3", "d/b")
        batch.delete("d")
    assert [(stored.path, stored.version) for stored in batch.stored] == [("a", 1)]
    assert root.read_bytes("a") == b"2"


def test_deletions_alone(root: mvs.ArtifactRoot) -> None:
    """A batch may only delete, or do nothing, which is no commit."""
    root.upload(b"1", "a")
    with root.batch():
        pass
    with root.batch() as batch:
        batch.delete("a")
        with pytest.raises(NotFound):
            batch.delete("b")
        with pytest.raises(InvalidInput, match="never change"):
            batch.delete("a@v1")
    assert root.list() == []
    assert [commit.number for commit in root.history()] == [2, 1]


def test_a_file_whose_writing_broke_off_is_left_out(root: mvs.ArtifactRoot) -> None:
    """An error that the block survives costs that file alone."""
    with root.batch() as batch:
        batch.upload(b"1", "a")
        with contextlib.suppress(ZeroDivisionError), batch.open("b") as file:
            file.write(b"half")
            _ = 1 / 0
    assert [stored.path for stored in batch.stored] == ["a"]


def test_what_can_never_work_is_said_at_once(root: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Names, sources and modes are checked when they are added, and nothing is added once the batch has ended."""
    with root.batch() as batch:
        with pytest.raises(InvalidInput):
            batch.upload(tmp_path / "missing")
        with pytest.raises(InvalidInput):
            batch.open("a@@v1")
        with pytest.raises(InvalidInput, match="type int cannot be uploaded"):
            batch.upload(5, "a")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="'rb'"):
            batch.open("a", "rb")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="ended"):
        batch.upload(b"", "a")
    assert list(root.history()) == []
