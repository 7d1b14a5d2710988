"""The inventory of a store."""

from __future__ import annotations

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.catalog.inventory import take_inventory
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store
from tests.engine.uploads import noise

CONTEXT = Context()
ROOTS = [f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts", f"2/models/m-{'c' * 32}/artifacts", ""]


@pytest.fixture
def store() -> Store:
    """A store of which everybody wrote into another root, the last one twice."""
    store = new_store(open_memory("inventory"), "some/where")
    for number, root in enumerate([*ROOTS, ROOTS[0]]):
        store.root(root).upload([Item("big", noise(number, 200_000)), Item("small", b"same")], context=CONTEXT)
    return store


def test_every_object_is_counted_once(store: Store) -> None:
    """Kinds add up to all objects and bytes of the store, and the roots are those that have a history."""
    change_settings(store.settings_log, {"delta": False}, {})
    listed = list(store.backend.list(""))
    found = take_inventory(client(store.backend))
    assert sum(kind.objects for kind in found.kinds.values()) == len(listed)
    assert found.stored == sum(info.size for info in listed)
    assert found.kinds["packs"].size >= 5 * 200_000
    assert found.kinds["commits"].objects == 6
    assert found.roots == sorted(ROOTS)
    commits = [info for info in listed if keys.log_of_commit(info.key) is not None]
    assert found.newest == max(info.modified for info in commits)


def test_what_was_logged_is_counted_by_versions(store: Store) -> None:
    """A version counts while it can be read, a file while it is current; unchanged content is no version."""
    found = take_inventory(store)
    assert (found.files, found.versions, found.logged) == (8, 9, 5 * 200_000 + 4 * 4)
    assert found.savings == found.logged / found.stored
    store.root(ROOTS[0]).delete("big", context=CONTEXT)
    found = take_inventory(store)
    assert (found.files, found.versions) == (7, 9)


def test_an_empty_store_saves_nothing() -> None:
    """Where nothing was logged there is no ratio."""
    found = take_inventory(new_store(open_memory("empty")))
    assert (found.roots, found.newest, found.savings) == ([], None, None)
    assert set(found.kinds) == {"marker"}
