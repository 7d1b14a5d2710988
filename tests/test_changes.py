"""What a change may hold, and what is said of what ended by it."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.changes import Item, checked_paths
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.testing.clients import new_store

CONTEXT = Context(user="ann")


@pytest.fixture
def root() -> ArtifactRoot:
    """An artifact root of a new store."""
    return new_store(open_memory("store")).root("1/" + "a" * 32 + "/artifacts")


@pytest.mark.parametrize("path", ["a@@v7", "a@@v0", "a@@gold", "d@@c1/x", "@@c1", "a@@20261101T120000Z", "a@v1@@v2"])
def test_doubled_addresses_are_refused(path: str) -> None:
    """What would always be read as an address could never be read back under its name."""
    with pytest.raises(InvalidInput, match="always be read as an address"):
        checked_paths([Item(path, b"")])


@pytest.mark.parametrize("path", ["a@v7", "a@@", "@@", "a@gold", "a@@/x", "mail@@?!.txt"])
def test_other_names_are_fine(path: str) -> None:
    """What is no doubled address is a name like any other."""
    assert checked_paths([Item(path, b"")]) == [path]


@pytest.mark.parametrize(("before", "after"), [("d/a", "d"), ("d", "d/a")])
def test_what_would_be_a_file_and_a_folder_is_refused(root: ArtifactRoot, before: str, after: str) -> None:
    """The error names both paths; nothing of the change is there, and what was, stays, until it is deleted."""
    root.upload([Item(before, b"1")], context=CONTEXT)
    items = [Item("beside", b"2"), Item(after, b"2")]
    with pytest.raises(InvalidInput, match="'d/a'") as refused:
        root.upload(items, context=CONTEXT)
    assert "'d'" in str(refused.value)
    assert [version.path for version in root.walk()] == [before]
    root.upload(items, context=CONTEXT, deleted=[before])
    assert [version.path for version in root.walk()] == ["beside", after]


def test_deletions_and_uploads_are_one_commit(root: ArtifactRoot) -> None:
    """What is deleted in an upload ends before the items are there."""
    root.upload([Item("d/a", b"1"), Item("x", b"1")], context=CONTEXT)
    (stored,) = root.upload([Item("d/a", b"1")], context=CONTEXT, deleted=["d", "x"])
    assert (stored.version, stored.unchanged) == (2, False)
    assert [version.path for version in root.walk()] == ["d/a"]
    assert root.upload([], context=CONTEXT, deleted=["d"]) == []
    assert root.upload([], context=CONTEXT) == []
    assert [commit.number for commit in root.history()] == [3, 2, 1]
