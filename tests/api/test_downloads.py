"""Versions as local files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import mlflow_versioned_store as mvs
from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.sinks import FileSink
from mlflow_versioned_store.errors import Conflict, InvalidInput, NotFound, Unavailable


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def filled(root: mvs.ArtifactRoot) -> mvs.ArtifactRoot:
    """The root with d/a in two versions and a larger d/e/b."""
    root.upload(b"one", "d/a")
    root.upload(b"two", "d/a")
    root.upload(os.urandom(500_000), "d/e/b")
    return root


def test_where_a_file_lands(filled: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Under the name that is given, or under its own in a directory."""
    assert filled.download("d/a@v1", tmp_path / "x") == tmp_path / "x"
    assert filled.download("d/a@v1", tmp_path) == tmp_path / "a"
    assert filled.download("d/a", f"{tmp_path}/new/") == tmp_path / "new/a"
    assert filled.download("d/a", tmp_path / "deep/er/y") == tmp_path / "deep/er/y"
    assert files(tmp_path) == {"x": b"one", "a": b"one", "new/a": b"two", "deep/er/y": b"two"}


def test_a_folder_lands_in_a_directory(filled: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Its content, as it is or was, with empty folders."""
    (tmp_path / "source/empty").mkdir(parents=True)
    filled.upload(tmp_path / "source", "d")
    assert filled.download("d", tmp_path / "now") == tmp_path / "now"
    assert files(tmp_path / "now") == {"a": b"two", "e/b": filled.read_bytes("d/e/b")}
    assert (tmp_path / "now/empty").is_dir()
    filled.download("@c1", tmp_path / "then")
    assert files(tmp_path / "then") == {"d/a": b"one"}


def test_other_content_is_never_overwritten_unasked(filled: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Nothing at all is written where one file differs, and everything when it is forced; the same content stays."""
    (tmp_path / "e").mkdir()
    (tmp_path / "a").write_bytes(b"own")
    with pytest.raises(Conflict, match="'a'"):
        filled.download("d", tmp_path)
    with pytest.raises(Conflict, match="'a'"):
        filled.download("d/a", tmp_path / "a")
    assert files(tmp_path) == {"a": b"own"}
    filled.download("d", tmp_path, force=True)
    assert files(tmp_path) == {"a": b"two", "e/b": filled.read_bytes("d/e/b")}
    before = (tmp_path / "a").stat().st_mtime_ns
    filled.download("d", tmp_path)
    assert (tmp_path / "a").stat().st_mtime_ns == before


def test_links_are_replaced_not_followed(filled: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """A link in a file's place counts as other content, and what it leads to stays as it is."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a").symlink_to(tmp_path / "secret")
    (tmp_path / "out/e").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="leads out"):
        filled.download("d", tmp_path / "out", force=True)
    (tmp_path / "out/e").unlink()
    filled.download("d", tmp_path / "out", force=True)
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert not (tmp_path / "out/a").is_symlink()


def test_an_interruption_leaves_nothing_behind(
    filled: mvs.ArtifactRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half file, no temporary file and no folder that was not there; and it goes on where it stopped."""
    write = FileSink.write

    def interrupted(sink: FileSink, offset: int, data: Buffer) -> None:
        write(sink, offset, data)
        if offset:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileSink, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            filled.download("d/e/b", tmp_path / "new/deep/x")
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(KeyboardInterrupt):
            filled.download("d", tmp_path / "new/deep/x")
        assert files(tmp_path) == {"new/deep/x/a": b"two"}
        assert not (tmp_path / "new/deep/x/e").exists()
    filled.download("d", tmp_path / "new/deep/x")
    assert files(tmp_path / "new/deep/x") == {"a": b"two", "e/b": filled.read_bytes("d/e/b")}


def test_kinds_that_do_not_fit(filled: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """A directory in a file's place and a file in a folder's are said, forced or not, and stay."""
    (tmp_path / "x/a").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="directory"):
        filled.download("d", tmp_path / "x", force=True)
    (tmp_path / "y").write_bytes(b"y")
    with pytest.raises(Conflict):
        filled.download("d", tmp_path / "y", force=True)
    (tmp_path / "z").mkdir()
    (tmp_path / "z/e").write_bytes(b"e")
    with pytest.raises(Conflict):
        filled.download("d", tmp_path / "z", force=True)
    assert (tmp_path / "y").read_bytes() == b"y"
    with pytest.raises(NotFound):
        filled.download("no such", tmp_path)


def test_a_store_that_fails_leaves_nothing_behind(
    filled: mvs.ArtifactRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the store is told as it is, and no folder is left."""

    def fail(*_: object, **__: object) -> None:
        raise Unavailable("not now")

    monkeypatch.setattr(filled.engine, "download", fail)
    with pytest.raises(Unavailable):
        filled.download("d", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
