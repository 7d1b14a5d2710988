"""`mvs versions`."""

from __future__ import annotations

import hashlib

from tests.cli.conftest import Mvs, Put


def test_all_versions_are_listed_with_what_became_of_them(mvs: Mvs, root: str, put: Put) -> None:
    """The oldest first; the current one is marked, and so are aliases and deletions."""
    put("a.txt", b"one")
    put("a.txt", b"three")
    mvs("alias", f"{root}/a.txt@v1", "gold")
    mvs("alias", f"{root}/a.txt@v1", "first")
    _, first, second = mvs.lines("versions", f"{root}/a.txt")
    assert (first.split()[0], first.split()[-2:]) == ("v1", ["@first,", "@gold"])
    assert (second.split()[0], second.split()[-1]) == ("v2", "current")
    mvs("rm", f"{root}/a.txt")
    put("a.txt", b"five")
    assert [line.split()[-1] for line in mvs.lines("versions", f"{root}/a.txt")][2:] == ["deleted", "current"]


def test_an_alias_of_a_commit_is_that_of_the_version_then(mvs: Mvs, root: str, put: Put) -> None:
    """Whatever an alias stands for, it is shown at the version that it leads to."""
    import mlflow_versioned_store as api

    put("a.txt", b"one")
    put("b.txt", b"two")
    put("a.txt", b"three")
    api.open_root(root).alias("a.txt", "then", "c2")
    first, second = mvs.json("versions", f"{root}/a.txt")["versions"]
    assert (first["aliases"], second["aliases"]) == (["then"], [])


def test_programs_get_sizes_digests_and_addresses(mvs: Mvs, root: str, put: Put) -> None:
    """All that is known of each version, its digest in full."""
    put("d/a.txt", b"one")
    told = mvs.json("versions", f"{root}/d/a.txt@v1")
    assert told["uri"] == f"{root}/d/a.txt"
    (version,) = told["versions"]
    assert version.pop("time").endswith("Z")
    assert version == {
        "address": f"{root}/d/a.txt@@v1",
        "path": "d/a.txt",
        "version": 1,
        "size": 3,
        "sha256": hashlib.sha256(b"one").hexdigest(),
        "commit": 1,
        "status": "live",
        "aliases": [],
    }


def test_only_files_have_versions(mvs: Mvs, root: str, put: Put) -> None:
    """A folder, and what never was, end with 6."""
    put("d/a.txt", b"one")
    assert "folder" in mvs("versions", f"{root}/d", code=6).stderr
    mvs("versions", f"{root}/nothing", code=6)
