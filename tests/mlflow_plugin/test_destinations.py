"""Where downloads land on the local disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.mlflow_plugin import destinations
from mlflow_versioned_store.mlflow_plugin.destinations import Destinations


def test_a_file_lands_at_the_path_that_was_asked_for(tmp_path: Path) -> None:
    """Its parent directory is made."""
    path = Destinations(str(tmp_path)).file("data/t.csv@v2")
    assert path == str(tmp_path / "data" / "t.csv@v2")
    assert (tmp_path / "data").is_dir()


def test_versions_of_one_file_have_different_names(tmp_path: Path) -> None:
    """Fetched into one folder they do not overwrite each other."""
    local = Destinations(str(tmp_path))
    assert len({local.file(name) for name in ("t.csv", "t.csv@v1", "t.csv@v2", "t.csv@@v2")}) == 4


@pytest.mark.parametrize("inside", ["link", "link/deeper"])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, inside: str) -> None:
    """Somebody else's link in the destination must not redirect what is written, not even a new directory."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "link").symlink_to(outside, target_is_directory=True)
    with pytest.raises(InvalidInput, match="leads out"):
        Destinations(str(tmp_path / "to")).file(f"{inside}/a.txt")
    assert list(outside.iterdir()) == []


def test_a_climbing_name_is_refused(tmp_path: Path) -> None:
    """Names come from a store that may be hostile."""
    (tmp_path / "to").mkdir()
    with pytest.raises(InvalidInput, match="leads out"):
        Destinations(str(tmp_path / "to")).file("../a.txt")


def test_a_destination_behind_a_link_is_fine(tmp_path: Path) -> None:
    """The folder itself is the user's own choice; macOS has /tmp behind a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert Destinations(str(tmp_path / "link")).file("d/a") == str(tmp_path / "link" / "d" / "a")


def test_the_destination_must_be_an_existing_directory(tmp_path: Path) -> None:
    """MLflow's own words, and its codes through the error classes."""
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(NotFound, match="does not exist"):
        destinations.folder(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="must be a directory"):
        destinations.folder(tmp_path / "f")


def test_names_that_differ_in_case_are_refused_only_where_the_disk_ignores_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them would silently replace the other."""
    local = Destinations(str(tmp_path))
    sensitive = not os.path.exists(str(tmp_path).upper())
    if sensitive:
        local.check(["d/A.txt", "d/a.txt"])
    monkeypatch.setattr(Destinations, "_ignores_case", lambda _: True)
    with pytest.raises(InvalidInput, match=r"d/A\.txt.*d/a\.txt"):
        local.check(["d/A.txt", "d/a.txt"])
    local.check(["d/a.txt", "d/b.txt"])


def test_looking_whether_the_disk_ignores_case_leaves_nothing_behind(tmp_path: Path) -> None:
    """The answer matches the disk, and the folder stays empty."""
    ignores = Destinations(str(tmp_path))._ignores_case()
    (tmp_path / "x").write_bytes(b"")
    assert ignores == (tmp_path / "X").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_names_are_legal_on_windows_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time with colons is written with underscores; two names that become one are refused."""
    monkeypatch.setattr(os, "name", "nt")
    assert destinations.local_name("d/t.csv@2026-11-01T12:00:00Z") == "d/t.csv@2026-11-01T12_00_00Z"
    with pytest.raises(InvalidInput, match="one file"):
        Destinations(str(tmp_path)).check(["a:b", "a_b"])


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("CON", "CON_"),
        ("aux/x", "aux_/x"),
        ("d/nul.txt", "d/nul_.txt"),
        ("d/COM1.tar.gz", "d/COM1_.tar.gz"),
        ("d./end. ", "d_/end__"),
        ("line\nfeed\tx", "line_feed_x"),
        ("console/com10/aux-x/.hidden/a.b c", "console/com10/aux-x/.hidden/a.b c"),
    ],
)
def test_names_that_windows_gives_another_meaning(monkeypatch: pytest.MonkeyPatch, path: str, local: str) -> None:
    """Devices, control characters, and ends that it would drop are changed there, and nowhere else."""
    assert destinations.local_name(path) == path
    monkeypatch.setattr(os, "name", "nt")
    assert destinations.local_name(path) == local


def test_an_earlier_download_is_not_replaced_under_a_name_of_another_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk ignores case; the same name again, and new ones beside it, are as ever."""
    monkeypatch.setattr(Destinations, "_ignores_case", lambda _: True)
    (tmp_path / "D").mkdir()
    (tmp_path / "D" / "A.txt").write_bytes(b"earlier")
    local = Destinations(str(tmp_path))
    local.check(["D/A.txt", "D/b.txt", "e/A.txt", "d/other"])
    for path in ("D/a.txt", "d/A.txt"):
        with pytest.raises(InvalidInput, match=r"would replace 'D/A\.txt'"):
            local.check([path])
