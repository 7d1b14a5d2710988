"""An artifact root in the hand: looking, reading, writing, naming."""

from __future__ import annotations

import contextlib
import io
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import mlflow_versioned_store as mvs
from mlflow_versioned_store.api.uploads import Uploadable
from mlflow_versioned_store.errors import InvalidInput, NotFound

FIRST, SECOND = b"id,x\n1,2\n", b"id,x\n1,3\n"


@pytest.fixture
def table(root: mvs.ArtifactRoot) -> mvs.ArtifactRoot:
    """The root with two versions of data/t.csv, the first called gold, and a note."""
    root.upload(FIRST, "data/t.csv")
    time.sleep(0.002)  # times count milliseconds
    root.upload(SECOND, "data/t.csv")
    root.alias("data/t.csv", "gold", "v1")
    root.upload(b"note", "data/notes/n.txt")
    return root


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ("data/t.csv", 2),
        ("data/t.csv@v1", 1),
        ("data/t.csv@@v2", 2),
        ("data/t.csv@gold", 1),
        ("data@c1/t.csv", 1),
        ("@c2/data/t.csv", 2),
        ("data/t.csv@v1/t.csv", 1),
    ],
)
def test_addresses_lead_to_versions(table: mvs.ArtifactRoot, address: str, number: int) -> None:
    """Every form of an address is understood wherever a path is."""
    content = FIRST if number == 1 else SECOND
    assert table.get(address).number == number
    assert table.read_bytes(address) == content
    assert table.open(address).read() == content
    assert [entry.size for entry in table.list(address)] == [len(content)]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("data/t.csv@v0", "versions v1 to v2"),
        ("data/t.csv@v99", "versions v1 to v2"),
        ("data/t.csv@silver", "aliases are gold"),
        ("data/t.csv@c0", "newest is 4"),
        ("data/t.csv@2020-01-01T00:00:00Z", "first commit is of 20"),
        ("data/x.csv", "'t.csv'"),
        ("data", "is a folder"),
        ("", "is a folder"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(table: mvs.ArtifactRoot, address: str, says: str) -> None:
    """An address that leads to no file says what exists instead, whoever asks."""
    for ask in (table.get, table.read_bytes, table.open):
        with pytest.raises(NotFound, match=says):
            ask(address)


def test_listings(table: mvs.ArtifactRoot) -> None:
    """A folder is listed flat or with all that is below it, now or at any time."""
    assert [(entry.name, entry.is_folder) for entry in table.list()] == [("data", True)]
    assert [(entry.name, entry.path, entry.size) for entry in table.list("data")] == [
        ("notes", "data/notes", None),
        ("t.csv", "data/t.csv", len(SECOND)),
    ]
    assert [entry.name for entry in table.list("data", recursive=True)] == ["notes/n.txt", "t.csv"]
    version = table.get("data/t.csv@v1")
    for at in (1, "c1", version.when, version.when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")):
        (entry,) = table.list("data", at=at)
        assert (entry.name, entry.version) == ("t.csv", version)
    assert [entry.version for entry in table.list("data/t.csv", at="gold")] == [version]
    with pytest.raises(NotFound):
        table.list("data", at=version.when - timedelta(days=1))
    with pytest.raises(NotFound):
        table.list("no such")
    with pytest.raises(InvalidInput, match="time zone"):
        table.list(at=datetime.now(UTC).replace(tzinfo=None))


def test_empty_folders(root: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """A folder that was logged empty is a folder in every listing, and an empty root lists as nothing."""
    assert root.list() == []
    (tmp_path / "d/empty").mkdir(parents=True)
    root.upload(tmp_path / "d")
    assert [(entry.name, entry.is_folder, entry.version) for entry in root.list()] == [("empty", True, None)]
    assert [entry.is_folder for entry in root.list(recursive=True)] == [True]
    assert root.list("empty") == root.list("empty@@v1") == []
    for read in (root.get, root.read_bytes, root.open):
        with pytest.raises(NotFound, match="is a folder"):
            read("empty@@v1")


def test_versions_of_a_path(table: mvs.ArtifactRoot) -> None:
    """All there ever were, deleted ones too; of what never was it is said what there is."""
    assert [version.number for version in table.versions("data/t.csv")] == [1, 2]
    assert [version.number for version in table.versions("data/t.csv@gold")] == [1, 2]
    table.delete("data/t.csv")
    assert [version.status for version in table.versions("data/t.csv")] == ["live", "deleted"]
    with pytest.raises(NotFound, match=r"notes"):
        table.versions("data/u.csv")
    with pytest.raises(NotFound, match="folder"):
        table.versions("data")


def test_history(table: mvs.ArtifactRoot) -> None:
    """All commits, newest first, or those about a path and what is below it."""
    assert [commit.number for commit in table.history()] == [4, 3, 2, 1]
    assert [commit.number for commit in table.history("data/t.csv")] == [3, 2, 1]
    assert [commit.number for commit in table.history("data/notes")] == [4]
    assert [commit.number for commit in table.history("")] == [4, 3, 2, 1]


def test_what_can_be_uploaded(root: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """Files, directories, bytes and streams, under the path that is given or their own name."""
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/a").write_bytes(b"a")
    (tmp_path / "d/e/b").write_bytes(b"b")
    sources: list[tuple[Uploadable, str]] = [
        (tmp_path / "d/a", ""),
        (str(tmp_path / "d/a"), "in/"),
        (tmp_path / "d/a", "renamed"),
        (tmp_path / "d", "all"),
        (b"bytes", "bytes"),
        (io.BytesIO(b"stream"), "stream"),
        (bytearray(b"buffer"), "buffer"),
        (memoryview(b"a buffer")[2:], "view"),
    ]
    paths = [stored.path for source, path in sources for stored in root.upload(source, path)]
    assert paths == ["a", "in/a", "renamed", "all/a", "all/e/b", "bytes", "stream", "buffer", "view"]
    assert root.read_bytes("stream") == b"stream"
    assert root.read_bytes("buffer") == root.read_bytes("view") == b"buffer"
    (unchanged,) = root.upload(b"bytes", "bytes")
    assert (unchanged.version, unchanged.unchanged) == (1, True)
    (anew,) = root.upload(b"bytes", "bytes", anew=True)
    assert (anew.version, anew.unchanged) == (2, False)


@pytest.mark.parametrize("source", [None, 5, ["a"], io.StringIO("text")])
def test_what_cannot_be_uploaded(root: mvs.ArtifactRoot, source: Any) -> None:
    """What has no bytes is refused, and makes no folder of that name."""
    with pytest.raises(InvalidInput, match="cannot be uploaded"):
        root.upload(source, "x")
    assert root.list() == []


@pytest.mark.parametrize("path", ["", "folder/", "a@@v7", "a@@gold/b", "../x", "a//b", "_mvs/x"])
def test_names_that_cannot_be_uploaded(root: mvs.ArtifactRoot, path: str) -> None:
    """Bytes need a name, and one that can be read back; opening to write says so before anything is written."""
    with pytest.raises(InvalidInput):
        root.upload(b"", path)
    if path != "folder/":
        with pytest.raises(InvalidInput):
            root.open(path, "wb")
    assert root.list() == []


def test_a_literal_address_can_be_uploaded(root: mvs.ArtifactRoot) -> None:
    """A single "@" is part of a name, and wins over its reading."""
    root.upload(b"a", "a")
    root.upload(b"literal", "a@v1")
    assert root.read_bytes("a@v1") == b"literal"
    assert root.read_bytes("a@@v1") == b"a"


def test_missing_sources_store_nothing(root: mvs.ArtifactRoot, tmp_path: Path) -> None:
    """A file that is not there is refused, and an empty directory is nothing to store."""
    with pytest.raises(InvalidInput):
        root.upload(tmp_path / "missing", "a")
    assert root.upload(tmp_path, "") == []
    assert list(root.history()) == []


def test_a_file_that_is_written(root: mvs.ArtifactRoot) -> None:
    """It is a version once it is closed, and none when its block is left by an error or its mode is unknown."""
    with root.open("a", "wb") as file:
        file.write(b"x" * 2_000_000)
        assert root.list() == []
    assert root.get("a").size == 2_000_000
    with contextlib.suppress(ZeroDivisionError), root.open("a", "wb") as file:
        file.write(b"half")
        _ = 1 / 0
    assert [version.number for version in root.versions("a")] == [1]
    with pytest.raises(InvalidInput, match="'r'"):
        root.open("a", "r")  # type: ignore[call-overload]


def test_deleting(table: mvs.ArtifactRoot) -> None:
    """A path or folder ends and its versions stay; addresses and what is not there are refused."""
    with pytest.raises(InvalidInput, match="never change"):
        table.delete("data/t.csv@v1")
    with pytest.raises(NotFound):
        table.delete("no such")
    assert table.delete("data") == 2
    assert table.list() == []
    assert table.read_bytes("data/t.csv@v2") == SECOND


def test_aliases(table: mvs.ArtifactRoot) -> None:
    """An alias stands for a version or a commit, can be moved and removed, and never for what is not there."""
    assert table.aliases("data/t.csv") == {"gold": "v1"}
    table.alias("data/t.csv", "gold", "v2")
    table.alias("data", "release", "c1")
    assert table.read_bytes("data/t.csv@gold") == SECOND
    assert table.read_bytes("data@release/t.csv") == FIRST
    table.alias("data/t.csv", "gold", None)
    assert table.aliases("data/t.csv") == {}
    for path, name, to in [("data/t.csv", "x", "v9"), ("nothing", "x", "v1"), ("data/t.csv", "gold", None)]:
        with pytest.raises(NotFound):
            table.alias(path, name, to)
    for name, to in [("v1", "v1"), ("v0", "v1"), ("a/b", "v1"), ("x", "gold")]:
        with pytest.raises(InvalidInput):
            table.alias("data/t.csv", name, to)


def test_tags(table: mvs.ArtifactRoot) -> None:
    """Tags belong to one version, or to a folder; None removes one."""
    table.tag("data/t.csv@v1", {"a b": "1"}, stage="raw")
    table.tag("data/t.csv", stage="clean")
    table.tag("data", owner="ann")
    assert table.tags("data/t.csv@gold") == {"a b": "1", "stage": "raw"}
    assert table.tags("data/t.csv") == {"stage": "clean"}
    assert table.tags("data") == {"owner": "ann"}
    table.tag("data/t.csv", stage=None)
    assert table.tags("data/t.csv") == {}
    with pytest.raises(InvalidInput, match="text"):
        table.tag("data/t.csv", {"rows": 3})  # type: ignore[dict-item]
    with pytest.raises(NotFound, match="v1 to v2"):
        table.tag("data/t.csv@v3", stage="x")


def test_annotations(table: mvs.ArtifactRoot) -> None:
    """A plain path is annotated as such, the address of a version alone; aliases and tags are kept apart."""
    table.annotate("data/t.csv", {"columns": {"id": "key"}, "gone": 1})
    table.annotate("data/t.csv", {"gone": None})
    table.annotate("data/t.csv@v1", {"rows": 1})
    table.tag("data/t.csv@v1", stage="raw")
    assert table.annotations("data/t.csv") == {"columns": {"id": "key"}}
    assert table.annotations("data/t.csv@gold") == {"rows": 1}
    assert table.annotations("") == table.annotations("data") == {}
    for name in ("alias:x", "tag:x"):
        with pytest.raises(InvalidInput):
            table.annotate("data/t.csv", {name: "v1"})


def test_the_history_of_nothing_is_no_empty_one(table: mvs.ArtifactRoot) -> None:
    """A path that never was is an error at once; an address means its path, and a deleted path has a history."""
    with pytest.raises(NotFound):
        table.history("nope")
    assert len(list(table.history("data/t.csv@v1"))) == len(list(table.history("data/t.csv")))
    table.delete("data/t.csv")
    assert next(table.history("data/t.csv")).changes[0].operation == "delete"


def test_a_note_that_json_cannot_write_is_refused(table: mvs.ArtifactRoot) -> None:
    """NaN and the infinities, wherever they stand, change nothing; they would be kept as what removes a note."""
    table.annotate("data/t.csv", {"mean": 1})
    for value in (float("nan"), [float("inf")], {"low": -float("inf")}):
        with pytest.raises(InvalidInput, match="NaN"):
            table.annotate("data/t.csv", {"mean": value})
    assert table.annotations("data/t.csv") == {"mean": 1}


def test_comparing(table: mvs.ArtifactRoot, other: mvs.ArtifactRoot) -> None:
    """Two versions, a version and what is current, or the current and the one before; or two folders."""
    for diff in (table.diff("data/t.csv@v1", "data/t.csv"), table.diff("data/t.csv@v1"), table.diff("data/t.csv")):
        assert "t.csv@@v1" in diff.text()
        assert "t.csv@@v2" in diff.text()
    assert "notes/n.txt" in table.diff("data@c2", "data").text()
    with pytest.raises(InvalidInput, match="two of a kind"):
        table.diff("data/t.csv", "data")
    other.upload(b"1", "a")
    with pytest.raises(InvalidInput, match="before"):
        other.diff("a")


def test_restoring(table: mvs.ArtifactRoot) -> None:
    """An old version, or a folder as it was, becomes the newest; what came since stays."""
    (stored,) = table.restore("data/t.csv@gold")
    assert (stored.path, stored.version) == ("data/t.csv", 3)
    assert table.read_bytes("data/t.csv") == FIRST
    table.delete("data")
    table.upload(b"new", "data/new")
    assert [(one.path, one.version) for one in table.restore("data@c4")] == [
        ("data/notes/n.txt", 2),
        ("data/t.csv", 4),
    ]
    assert [entry.name for entry in table.list("data", recursive=True)] == ["new", "notes/n.txt", "t.csv"]
    with pytest.raises(NotFound, match="v1 to v4"):
        table.restore("data/t.csv@v9")


def test_copying(table: mvs.ArtifactRoot, other: mvs.ArtifactRoot) -> None:
    """Files and folders go to another root or another path, never onto themselves or into another store."""
    assert [one.path for one in table.copy("data/t.csv@v1", other)] == ["data/t.csv"]
    assert [one.path for one in table.copy("data/t.csv", other, "in/")] == ["in/t.csv"]
    assert [one.path for one in table.copy("data/t.csv", path="new.csv")] == ["new.csv"]
    assert [one.path for one in table.copy("data", other, "all")] == ["all/notes/n.txt", "all/t.csv"]
    assert [one.path for one in table.copy("@c1", other, "")] == ["data/t.csv"]
    assert other.read_bytes("data/t.csv") == FIRST
    assert other.read_bytes("in/t.csv") == SECOND
    for path in (None, "data/t.csv", "data/"):
        with pytest.raises(InvalidInput, match="itself"):
            table.copy("data/t.csv@v1", path=path)
    elsewhere = mvs.open_store(f"versioned-memory://{uuid.uuid4().hex}", create=True).root("")
    with pytest.raises(InvalidInput, match="another store"):
        table.copy("data", elsewhere)


def test_counts(root: mvs.ArtifactRoot) -> None:
    """The requests of a store are counted: a short read of a long file moves little of it."""
    root.upload(os.urandom(4 << 20), "long.bin")
    before = root.store.counts
    with root.open("long.bin") as file:
        file.seek(2 << 20)
        file.read(1000)
    read = root.store.counts - before
    assert 0 < read.bytes_down < 1 << 20
    assert (read.get > 0, read.put, read.bytes_up) == (True, 0, 0)
