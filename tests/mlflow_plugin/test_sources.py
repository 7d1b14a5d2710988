"""Local files and folders, as items of one change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlflow_versioned_store.errors import InvalidInput, LocalStorageFailed
from mlflow_versioned_store.mlflow_plugin import sources


def _logged(folder: Path, into: str = "") -> dict[str, bool]:
    return {item.path: item.source is not None for item in sources.directory(folder, into)}


def test_a_file_keeps_its_name_in_the_folder(tmp_path: Path) -> None:
    """`log_artifact(f, "d")` makes `d/f`; the size is known for the progress bar."""
    (tmp_path / "a.txt").write_bytes(b"12345")
    logged = sources.file(tmp_path / "a.txt", "d")
    assert logged.path == "d/a.txt"
    assert sources.size([logged]) == 5


def test_a_directory_is_walked_sorted_with_its_empty_folders(tmp_path: Path) -> None:
    """Files and empty folders appear, folders with content do not."""
    (tmp_path / "z.txt").write_bytes(b"1")
    (tmp_path / "b" / "empty").mkdir(parents=True)
    (tmp_path / "b" / "c.txt").write_bytes(b"22")
    (tmp_path / "a").mkdir()
    logged = sources.directory(tmp_path, "into")
    assert [(item.path, item.source is None) for item in logged] == [
        ("into/z.txt", False),
        ("into/a", True),
        ("into/b/c.txt", False),
        ("into/b/empty", True),
    ]
    assert sources.size(logged) == 3


def test_an_empty_directory_is_one_empty_folder(tmp_path: Path) -> None:
    """Logged into a folder it leaves that folder; logged into the root, nothing."""
    assert _logged(tmp_path, "d") == {"d": False}
    assert _logged(tmp_path) == {}


def test_links_to_files_are_followed_and_links_to_directories_left_out(tmp_path: Path) -> None:
    """As MLflow's S3 repository does; a folder with nothing but such a link is empty."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_bytes(b"1")
    (tmp_path / "file-link").symlink_to(tmp_path / "real" / "f")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert _logged(tmp_path) == {"file-link": True, "folder": False, "real/f": True}


@pytest.mark.parametrize("make", ["missing", "dangling", "below-a-file"])
def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path, make: str) -> None:
    """The path is named, and it is the caller's mistake."""
    path = tmp_path / "gone"
    if make == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    if make == "below-a-file":
        path.write_bytes(b"")
        path = path / "x"
    with pytest.raises(InvalidInput, match="gone"):
        sources.file(path, "")


def test_a_directory_is_no_file_and_a_file_no_directory(tmp_path: Path) -> None:
    """Each call says which one takes what."""
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(InvalidInput, match="log_artifacts a directory"):
        sources.file(tmp_path, "")
    with pytest.raises(InvalidInput, match="no directory"):
        sources.directory(tmp_path / "f", "")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in the file system")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Reading a pipe would hang for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="no regular file"):
        sources.directory(tmp_path, "")


def test_a_directory_that_cannot_be_read_fails_the_whole_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently leaving it out would lose data."""
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(LocalStorageFailed, match="closed"):
        sources.directory(tmp_path, "")
