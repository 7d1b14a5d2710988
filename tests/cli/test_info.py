"""`mvs info`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.catalog.inventory import take_inventory
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store
from tests.engine.uploads import noise

ROOT = f"1/{'a' * 32}/artifacts"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a store with two versions of one file."""
    uri = f"versioned-file://{tmp_path}/store"
    for content in (b"one", b"three"):
        create_store(uri).root(ROOT).upload([Item("a.txt", content)], context=Context())
    return uri


def store_at(uri: str) -> Store:
    """Return the store."""
    return create_store(uri)


def test_what_a_store_holds_is_a_document(uri: str) -> None:
    """All facts of the store are there for programs, sizes in bytes."""
    store = store_at(uri)
    change_settings(store.settings_log, {"quota:1": 10}, {})
    document = json.loads(CliRunner().invoke(main, ["info", f"{uri}/{ROOT}", "--json"]).stdout)
    assert (document["id"], document["location"], document["format"]) == (store.id, store.location, 1)
    assert (document["roots"], document["files"], document["versions"], document["logged"]) == (1, 1, 2, 8)
    assert document["stored"] == sum(info.size for info in store.backend.list(""))
    assert document["savings"] == 8 / document["stored"]
    assert document["settings"]["quotas"] == {"1": 10}
    assert document["newest"]["root"] == ROOT
    assert document["objects"]["commits"]["objects"] == 3


def test_people_read_it_as_a_table(uri: str) -> None:
    """The same in words."""
    told = CliRunner().invoke(main, ["info", uri])
    assert told.exit_code == 0
    assert "2 versions of 1 file in 1 artifact root" in told.stdout
    assert "all as by default" in told.stdout
    assert f"in {ROOT}" in told.stdout


def test_what_is_stored_is_compared_with_what_was_logged(uri: str) -> None:
    """As a part of it where there is less, and as a multiple in a store of a few bytes, which is mostly commits."""
    found = take_inventory(store_at(uri))
    small = f", {found.stored / found.logged:,.1f} times what was logged\n"
    assert small in CliRunner().invoke(main, ["info", uri]).stdout
    store_at(uri).root(ROOT).upload([Item(f"{n}.bin", noise(9, 300_000)) for n in range(3)], context=Context())
    found = take_inventory(store_at(uri))
    assert (
        f", 1/{found.logged / found.stored:.1f} of what was logged\n" in CliRunner().invoke(main, ["info", uri]).stdout
    )


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    """A store into which nothing was logged is told as that."""
    create_store(f"versioned-file://{tmp_path}/store")
    told = CliRunner().invoke(main, ["info", f"versioned-file://{tmp_path}/store"])
    assert told.exit_code == 0
    assert "never" in told.stdout
    assert "what was logged" not in told.stdout
    assert CliRunner().invoke(main, ["info", f"versioned-file://{tmp_path}/other"]).exit_code == 6


def test_what_is_exclusive_and_what_is_shared_is_told(tmp_path: Path) -> None:
    """With --usage, of the file, run, experiment or store at the URI; as `mvs stats` tells it."""
    uri, other = f"versioned-file://{tmp_path}/store", f"1/{'b' * 32}/artifacts"
    for root, own in ((ROOT, 1), (other, 2)):
        items = [Item("d/shared", noise(9, 300_000)), Item("own", noise(own, 100_000))]
        create_store(uri).root(root).upload(items, context=Context())

    def usage(where: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(CliRunner().invoke(main, ["info", where, "--usage", "--json"]).stdout)
        return found["usage"]  # type: ignore[no-any-return]

    groups = json.loads(CliRunner().invoke(main, ["stats", f"{uri}/1", "--json"]).stdout)["groups"]
    for group in groups:
        told = usage(f"{uri}/{group['name']}")
        assert {name: group[name] for name in told if name != "name"} | {"name": group["name"]} == told
        assert told["shared"] >= 300_000 > told["exclusive"] >= 100_000
    assert usage(f"{uri}/{ROOT}/own@v1")["name"] == "own"
    assert usage(f"{uri}/{ROOT}/d")["name"] == ROOT
    assert (usage(f"{uri}/1")["name"], usage(uri)["name"], usage(uri)["shared"]) == ("1", "", 0)
    assert "which deleting it would free" in CliRunner().invoke(main, ["info", uri, "--usage"]).stdout
