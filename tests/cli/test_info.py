"""`mvs info`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store

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
    assert ", 0.0 bytes logged for each" not in told.stdout


def test_an_empty_store_is_no_error(tmp_path: Path) -> None:
    """A store into which nothing was logged is told as that."""
    create_store(f"versioned-file://{tmp_path}/store")
    told = CliRunner().invoke(main, ["info", f"versioned-file://{tmp_path}/store"])
    assert told.exit_code == 0
    assert "never" in told.stdout
    assert CliRunner().invoke(main, ["info", f"versioned-file://{tmp_path}/other"]).exit_code == 6
