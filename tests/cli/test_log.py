"""`mvs log`."""

from __future__ import annotations

from mlflow_versioned_store.backends.counting import counts_of
from mlflow_versioned_store.backends.opening import open_container
from tests.cli.conftest import RUN, Mvs, Put


def test_a_root_tells_what_happened(mvs: Mvs, root: str, put: Put) -> None:
    """The newest commit first, with who, when, for which run, and what became of which path."""
    put("a.txt", b"one")
    mvs("tag", f"{root}/a.txt", "stage=raw")
    mvs("rm", f"{root}/a.txt")
    lines = mvs.lines("log", root)
    assert lines[0].split() == ["COMMIT", "TIME", "(UTC)", "WHO", "RUN,", "MODEL", "OR", "TRACE", "WHAT"]
    assert [line.split()[0] for line in lines[1:]] == ["c3", "c2", "c1"]
    assert [line.partition(RUN)[2].strip() for line in lines[1:]] == [
        "delete a.txt@@v1",
        "annotate a.txt@@v1 (tag:stage=raw)",
        "upload a.txt@@v1",
    ]


def test_a_path_tells_what_happened_to_it(mvs: Mvs, root: str, put: Put) -> None:
    """Commits that did nothing to it are left out; a folder has what happened below it."""
    put("d/a.txt", b"one")
    put("b.txt", b"two")
    put("d/a.txt", b"three")
    for address in ("d/a.txt", "d/a.txt@v1", "d"):
        assert [commit["commit"] for commit in mvs.json("log", f"{root}/{address}")["commits"]] == [3, 1]


def test_what_is_deleted_still_has_a_history(mvs: Mvs, root: str, put: Put) -> None:
    """The path of a deleted file leads to all that happened to it."""
    put("a.txt", b"one")
    mvs("rm", f"{root}/a.txt")
    assert [commit["commit"] for commit in mvs.json("log", f"{root}/a.txt")["commits"]] == [2, 1]


def test_long_histories_are_cut_and_say_so(mvs: Mvs, root: str, put: Put) -> None:
    """-n limits how many commits are read; people are told that there are more, and programs too."""
    for number in range(4):
        put("a.txt", b"%d" % number)
    told = mvs("log", root, "-n", "2")
    assert told.stdout.count("upload") == 2
    assert "Older commits" in told.stderr
    assert mvs.json("log", root, "-n", "2")["more"] is True
    whole = mvs("log", root, "-n", "0")
    assert (whole.stdout.count("upload"), whole.stderr) == (4, "")
    assert mvs.json("log", root, "-n", "4")["more"] is False


def test_what_never_was_has_no_history(mvs: Mvs, root: str, put: Put) -> None:
    """Such a path ends with 6, without a look at the whole log, and the message says what there is."""
    put("a.txt", b"one")
    assert "'a.txt'" in mvs("log", f"{root}/b.txt", code=6).stderr


def test_many_files_of_one_change_are_counted(mvs: Mvs, root: str, put: Put) -> None:
    """The first are named, the others and those that were current already are counted."""
    from mlflow_versioned_store.api.opening import open_root

    put("0", b"0")
    with open_root(root).batch() as batch:
        for number in range(6):
            batch.upload(b"%d" % number, f"{number}")
    assert "upload 1@@v1, 2@@v1, 3@@v1 and 2 more, 1 unchanged" in mvs("log", root, "-n", "1").stdout


def test_programs_get_everything_that_was_recorded(mvs: Mvs, root: str, put: Put) -> None:
    """Identities with how they are known, the MLflow context, and each entry."""
    put("a.txt", b"one")
    told = mvs.json("log", root)
    assert (told["root"], told["path"], told["more"]) == (root, "", False)
    ((change,),) = (commit["changes"] for commit in told["commits"])
    assert change["operation"] == "upload"
    assert change["who"]["user"]["known"] == "claimed"
    assert change["context"]["run_id"] == RUN
    (entry,) = change["entries"]
    assert (entry["path"], entry["action"], entry["version"], entry["size"]) == ("a.txt", "make", 1, 3)


def test_a_file_is_looked_for_down_to_its_first_version(mvs: Mvs, root: str, put: Put) -> None:
    """What happened before there was such a file is not read."""
    for number in range(90):  # more than a process keeps
        put("a.txt", b"%d" % number)
    put("b.txt", b"one")
    counted = open_container(root)[0]
    before = counts_of(counted)
    mvs("log", f"{root}/b.txt")
    assert (counts_of(counted) - before).get < 8
