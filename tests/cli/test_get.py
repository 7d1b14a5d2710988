"""`mvs get`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import RUN, Mvs, Put


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_file_comes_under_its_own_name(mvs: Mvs, root: str, put: Put, here: Path) -> None:
    """Or under another, or into a folder that is there."""
    put("data/a.txt", b"one")
    assert mvs.lines("get", f"{root}/data/a.txt") == [f"data/a.txt@@v1 → {here}/a.txt (3 B)"]
    mvs("get", f"{root}/data/a.txt@v1", "b.txt")
    (here / "into").mkdir()
    mvs("get", f"{root}/data/a.txt", "into")
    assert [path.read_bytes() for path in map(here.joinpath, ("a.txt", "b.txt", "into/a.txt"))] == [b"one"] * 3


def test_a_folder_comes_with_all_that_is_in_it(mvs: Mvs, root: str, put: Put, here: Path) -> None:
    """Now, or as of a commit; a whole root is named after what it is."""
    put("data/x/a.txt", b"one")
    put("data/b.txt", b"two")
    assert mvs.lines("get", f"{root}/data") == [f"data@@c2 → {here}/data (2 files, 6 B)"]
    assert (here / "data/x/a.txt").read_bytes() == b"one"
    mvs("get", f"{root}/data@c1", "then")
    assert [path.name for path in (here / "then").rglob("*")] == ["x", "a.txt"]
    mvs("get", root)
    assert (here / "artifacts/data/b.txt").read_bytes() == b"two"


def test_other_content_is_never_replaced_unasked(mvs: Mvs, root: str, put: Put, here: Path) -> None:
    """What is there with the same content is fine; other content ends with 8 and stays, unless forced."""
    put("a.txt", b"one")
    mvs("get", f"{root}/a.txt")
    mvs("get", f"{root}/a.txt")
    put("a.txt", b"two")
    told = mvs("get", f"{root}/a.txt", code=8)
    assert "force the download" in told.stderr
    assert (here / "a.txt").read_bytes() == b"one"
    assert "--force" in told.stderr
    mvs("get", f"{root}/a.txt", "--force")
    assert (here / "a.txt").read_bytes() == b"two"


def test_a_file_in_the_place_of_a_folder_stays(mvs: Mvs, root: str, put: Put, here: Path) -> None:
    """A folder cannot go where a file is, nor below one: that ends with 8."""
    put("d/a.txt", b"one")
    (here / "taken").write_bytes(b"mine")
    for to in ("taken", "taken/below"):
        assert "taken" in mvs("get", f"{root}/d", to, code=8).stderr
    assert (here / "taken").read_bytes() == b"mine"


def test_programs_get_where_and_what(mvs: Mvs, root: str, put: Put, here: Path) -> None:
    """The local path, the bytes, and each file with its address."""
    put("d/a.txt", b"one")
    told = mvs.json("get", f"{root}/d")
    assert (told["path"], told["size"]) == (str(here / "d"), 3)
    assert [file["address"] for file in told["files"]] == [f"{root}/d/a.txt@@v1"]


def test_ctrl_c_leaves_nothing_behind(mvs: Mvs, tmp_path: Path, here: Path) -> None:
    """A download that is interrupted ends with 130, at once, and leaves neither a file nor a part of one."""
    root = f"versioned-file://{tmp_path}/store/1/{RUN}/artifacts"
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    mvs("put", str(tmp_path / "big"), f"{root}/big.bin")
    # Every read of a pack takes a while, so that the signal comes in the middle.
    script = (
        "import sys, time; from mlflow_versioned_store.backends.files import FilesBackend as B; get = B.get\n"
        "def slow(self, key, **range):\n"
        "    if '/packs/' in key: print('reading', flush=True); time.sleep(0.5)\n"
        "    return get(self, key, **range)\n"
        "B.get = slow\n"
        "from mlflow_versioned_store.cli import main; main()"
    )
    command = [sys.executable, "-c", script, "get", f"{root}/big.bin"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "Interrupted.\n")
    assert os.listdir(here) == []
