"""`mvs ls`."""

from __future__ import annotations

from tests.cli.conftest import RUN, Mvs, Put


def test_folders_are_told_from_files(mvs: Mvs, root: str, put: Put) -> None:
    """One name a line, sorted; a folder ends with a slash."""
    put("data/b.csv", b"b")
    put("a.txt", b"a")
    assert mvs.lines("ls", root) == ["a.txt", "data/"]
    assert mvs.lines("ls", f"{root}/data") == ["b.csv"]
    assert mvs.lines("ls", "-R", root) == ["a.txt", "data/b.csv"]


def test_a_store_is_listed_from_its_top(mvs: Mvs, store: str, root: str, put: Put) -> None:
    """Experiments and runs are folders, and all files below are found."""
    put("a.txt", b"a")
    assert mvs.lines("ls", store) == ["1/"]
    assert mvs.lines("ls", f"{store}/1") == [f"{RUN}/"]
    assert mvs.lines("ls", "-R", store) == [f"1/{RUN}/artifacts/a.txt"]
    (entry,) = mvs.json("ls", "-R", store)["entries"]
    assert entry["address"] == f"{root}/a.txt@@v1"


def test_a_file_is_listed_alone(mvs: Mvs, root: str, put: Put) -> None:
    """Its name is shown, whichever version is meant."""
    put("data/b.csv", b"b")
    put("data/b.csv", b"bbb")
    assert mvs.lines("ls", f"{root}/data/b.csv") == ["b.csv"]
    assert "v1" in mvs("ls", "-l", f"{root}/data/b.csv@v1").stdout


def test_the_past_is_listed_as_it_was(mvs: Mvs, root: str, put: Put) -> None:
    """A folder, or the whole root, as of a commit."""
    put("data/a", b"a")
    put("data/b", b"b")
    mvs("rm", f"{root}/data/a")
    assert mvs.lines("ls", f"{root}/data") == ["b"]
    assert mvs.lines("ls", f"{root}/data@c2") == ["a", "b"]
    assert mvs.lines("ls", "-R", f"{root}@c1") == mvs.lines("ls", "-R", f"{root}/@@c1") == ["data/a"]


def test_long_lists_say_size_version_and_time(mvs: Mvs, root: str, put: Put) -> None:
    """A folder has neither; sizes are flush right."""
    put("a.txt", b"a" * 2000)
    put("data/b", b"b")
    header, file, folder = mvs.lines("ls", "-l", root)
    assert header.split() == ["SIZE", "VERSION", "LOGGED", "(UTC)", "NAME"]
    assert file.startswith("1.95 KiB       v1  20")
    assert folder.split() == ["data/"]


def test_programs_get_addresses_that_stay(mvs: Mvs, root: str, put: Put) -> None:
    """Each file comes with the address of its version, which `mvs cat` takes; a folder with its name alone."""
    put("data/a", b"one")
    put("b", b"two")
    told = mvs.json("ls", root)
    assert told["uri"] == root
    file, folder = told["entries"]
    put("b", b"three")
    assert mvs("cat", file["address"]).stdout == "two"
    assert (file["kind"], file["size"], file["version"], file["commit"]) == ("file", 3, 1, 2)
    assert folder == {"name": "data", "kind": "folder"}


def test_where_nothing_is_the_answer_says_what_there_is(mvs: Mvs, root: str, put: Put) -> None:
    """An address that leads nowhere ends with 6, and names what exists instead."""
    put("a.txt", b"a")
    assert "'a.txt'" in mvs("ls", f"{root}/b", code=6).stderr
    assert "only version v1" in mvs("ls", f"{root}/a.txt@v99", code=6).stderr
    assert mvs("ls", "versioned-memory://nowhere/x", code=6).stderr.startswith("Error: There is no versioned store")
