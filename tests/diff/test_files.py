"""Files and versions, whatever they hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.diff import FileSide, VersionSide, compare, compare_trees
from mlflow_versioned_store.diff.kinds import Kind
from mlflow_versioned_store.testing.clients import new_store
from tests.content.making import MIB, noise
from tests.diff.making import compared, sides

OLD = "id,x\n1,a\n2,b\n"
NEW = "id,x\n1,a\n2,c\n"


@pytest.fixture
def root() -> ArtifactRoot:
    """An artifact root of an empty store."""
    return new_store(open_memory("diff")).root(f"1/{'a' * 32}/artifacts")


def versions(root: ArtifactRoot, folder: Path, path: str, *contents: bytes) -> list[VersionSide]:
    """Store contents as versions of one path, and return them as sides."""
    for content in contents:
        root.upload([Item(path, content)], context=Context())
    return [VersionSide(root, version, folder) for version in root.versions(path)]


@pytest.mark.parametrize(
    ("name", "a", "b", "kind"),
    [
        ("t.csv", OLD, NEW, "table"),
        ("d.ipynb", "{}", "[]", "json"),
        ("notes", "a", "b", "text"),
        ("README.md", "é" * 9000, "b", "text"),
        ("m.pkl", "\0", "b", "data"),
        ("m.bin", b"\xff\0", "b", "data"),
        ("empty", "", "b", "text"),
    ],
)
def test_kinds(tmp_path: Path, name: str, a: bytes | str, b: bytes | str, kind: Kind) -> None:
    """Files are what their names say, or else text where they begin like text."""
    assert compared(tmp_path, name, a, b).kind == kind


def test_names_that_say_two_things_say_nothing(tmp_path: Path) -> None:
    """A table and a picture are compared as what they both are."""
    (a, _), (_, b) = sides(tmp_path, "t.csv", OLD, NEW), sides(tmp_path, "t.json", "{}", "[]")
    assert compare(a, b).kind == "text"


def test_a_kind_may_be_given(tmp_path: Path) -> None:
    """The reader's word goes before the name."""
    assert compare(*sides(tmp_path, "t.csv", OLD, NEW), kind="text").kind == "text"


def test_equal_bytes_are_not_looked_into(tmp_path: Path) -> None:
    """Files with the same digest are the same, whatever they hold."""
    diff = compared(tmp_path, "t.parquet", b"no such thing", b"no such thing")
    assert (diff.equal, diff.warnings, diff.detail) == (True, (), None)
    assert "Both have the same bytes." in diff.text()


def test_versions_are_compared(root: ArtifactRoot, tmp_path: Path) -> None:
    """Versions of a store are compared like files, named by their addresses, and copied only into the given folder."""
    diff = compare(*versions(root, tmp_path, "data/t.csv", OLD.encode(), NEW.encode()))
    assert (diff.a.label, diff.b.label, diff.kind) == ("data/t.csv@@v1", "data/t.csv@@v2", "table")
    assert diff.text().splitlines()[-1] == "~ id=2, x=b → c"
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}


def test_a_version_and_a_file_are_compared(root: ArtifactRoot, tmp_path: Path) -> None:
    """A version is compared with what has become of it on this machine."""
    (version,) = versions(root, tmp_path, "notes.txt", b"old\n")
    (tmp_path / "mine.txt").write_text("new\n")
    diff = compare(version, FileSide(tmp_path / "mine.txt"))
    assert (diff.kind, diff.sharing) == ("text", None)


def test_what_versions_share_is_told(root: ArtifactRoot, tmp_path: Path) -> None:
    """Of versions nobody can look into, it is said how much of the new one the old one has."""
    data = noise("diff", 2 * MIB)
    a, b = versions(root, tmp_path, "m.bin", data, data[:MIB] + b"in the middle" + data[MIB:])
    diff = compare(a, b)
    assert diff.sharing is not None
    assert diff.sharing.shared > MIB
    assert "of it lie in chunks of the old version; the store keeps" in diff.text()
    tree = compare_trees({"m.bin": a}, {"m.bin": b})
    assert tree.changes[0].sharing == diff.sharing
    assert "more stored" in tree.text()
    assert "more stored" in tree.html()
    assert list(tmp_path.iterdir()) == []


def test_importing_it_is_light() -> None:
    """What tables, arrays and pictures need is imported when there are some."""
    code = "import sys, mlflow_versioned_store.diff; print([x for x in ('duckdb', 'numpy', 'PIL') if x in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
