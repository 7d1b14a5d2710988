"""Everything of a store at or below a path: across artifact roots, and at one moment."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.store import Item, Store
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import FaultyBackend
from mlflow_versioned_store.tree import Moment, Tree

RUN, OTHER = f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts"


@pytest.fixture
def faulty() -> FaultyBackend:
    """A store in memory whose requests are listed."""
    return FaultyBackend(open_memory("tree"))


@pytest.fixture
def store(faulty: FaultyBackend) -> Store:
    """A store with two artifact roots, and a file of its own."""
    store = new_store(faulty)
    Tree(store, "").upload([Item(f"{RUN}/d/a.txt", b"1"), Item(f"{OTHER}/b.txt", b"22"), Item("own.txt", b"333")])
    return store


def names(tree: Tree, path: str = "") -> list[str]:
    """Return the names directly in a folder."""
    return [entry.name for entry in tree.children(path)]


def test_a_tree_crosses_artifact_roots(store: Store) -> None:
    """From the top every folder leads down, whether the store's own, above artifact roots or inside of one."""
    top = Tree(store, "")
    assert names(top) == ["1", "own.txt"]
    assert names(top, "1") == ["a" * 32, "b" * 32]
    assert names(top, f"1/{'a' * 32}") == ["artifacts"]
    assert names(Tree(store, f"{RUN}/d")) == ["a.txt"]
    assert {found.path for found in top.files("")} == {f"{RUN}/d/a.txt", f"{OTHER}/b.txt", "own.txt"}
    assert {found.path for found in Tree(store, "1").files("")} == {
        f"{'a' * 32}/artifacts/d/a.txt",
        f"{'b' * 32}/artifacts/b.txt",
    }


@pytest.mark.parametrize("path", ["", "1", f"1/{'a' * 32}", RUN, f"{RUN}/d", f"{RUN}/d@c1"])
def test_folders_are_folders(store: Store, path: str) -> None:
    """So are the store, what lies above an artifact root, the root, and what lies in it."""
    assert Tree(store, path).is_folder("")
    assert Tree(store, path).file("") is None


@pytest.mark.parametrize("path", ["2", "own.txt", f"{RUN}/d/a.txt", f"{RUN}/e", f"1/{'c' * 32}/artifacts"])
def test_what_is_none_is_none(store: Store, path: str) -> None:
    """A file, what is missing, and an artifact root without a history are no folders."""
    assert not Tree(store, path).is_folder("")


def test_an_empty_folder_is_all_there_is_at_its_path(store: Store) -> None:
    """It is found alone, now and as it was, from its root and from above; not once something lies in it."""
    tree = Tree(store, RUN)
    tree.upload([Item("hollow", None)])
    assert [(found.path, found.version.kind) for found in tree.files("hollow")] == [("", "folder")]
    Tree(store, RUN).upload([Item("hollow/a", b"1")])
    assert [found.path for found in Tree(store, f"{RUN}/hollow").files("")] == ["a"]
    assert [found.path for found in Tree(store, "").files(f"{RUN}/hollow@c2")] == [""]
    Tree(store, RUN).delete("hollow")
    assert Tree(store, RUN).files("hollow") == []


def test_a_version_is_found_by_its_address(store: Store) -> None:
    """As is what was deleted since; what is missing says what there is."""
    tree = Tree(store, RUN)
    assert tree.delete("d") == 1
    assert Tree(store, RUN).file("d/a.txt") is None
    found = Tree(store, RUN).file("d/a.txt@v1")
    assert found is not None
    assert found.root.read(found.version) == b"1"
    with pytest.raises(NotFound, match="deleted since its version v1"):
        Tree(store, RUN).check("d/a.txt")
    for refused in (Tree(store, RUN).check_plain, Tree(store, RUN).delete):
        with pytest.raises(InvalidInput, match="versions never change"):
            refused("d/a.txt@v1")


def test_a_moment_is_read_once(store: Store, faulty: FaultyBackend) -> None:
    """However many paths are looked at, each artifact root is asked for once, and what comes later does not show."""
    mine = client(faulty)
    moment = Moment()
    tree = Tree(mine, RUN, moment=moment)
    assert names(tree, "d") == ["a.txt"]
    Tree(store, RUN).upload([Item("d/later.txt", b"4")])
    before = len(faulty.calls)
    assert names(Tree(mine, RUN, moment=moment), "d") == ["a.txt"]
    assert tree.file("d/later.txt") is None
    assert len(faulty.calls) == before
    assert names(Tree(mine, RUN), "d") == ["a.txt", "later.txt"]


def test_a_folder_above_many_artifact_roots_is_one_listing(store: Store, faulty: FaultyBackend) -> None:
    """Listing an experiment does not look into its runs."""
    Tree(store, "").upload([Item(f"1/{number:032x}/artifacts/a", b"1") for number in range(20)])
    tree = Tree(store, "1")
    before = len(faulty.calls)
    assert len(names(tree)) == 22
    assert sum(call.verb == "folders" for call in faulty.calls[before:]) == 1


def test_an_artifact_root_is_no_file(store: Store) -> None:
    """Nothing is logged in the place of one."""
    with pytest.raises(InvalidInput, match="where an artifact root is"):
        Tree(store, "").upload([Item(RUN, b"1")])
