"""Locations in MLflow's tracking database move to another place, and back."""

from __future__ import annotations

import copy
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlflow_versioned_store.errors import InvalidInput, NotFound, Unavailable
from mlflow_versioned_store.mlflow_plugin.relocating import Rewritten, relocate
from tests.servers.tracking import mlflow_at


class Database:
    """A tracking database with a run, a registered model and a trace at "file://<folder>/old"."""

    def __init__(self, folder: Path):
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.file = folder / "mlflow.db"
        self.old = f"file://{folder}/old"
        self.new = f"versioned-file://{folder}/old"
        with mlflow_at(self.uri):
            experiment = mlflow.create_experiment("e", artifact_location=self.old)
            # Begins alike, and lies elsewhere.
            mlflow.create_experiment("other", artifact_location=f"{self.old}er/place")
            with mlflow.start_run(experiment_id=experiment) as run:
                mlflow.log_text("text", "a.txt")
                client = mlflow.MlflowClient()
                client.create_registered_model("model")
                client.create_model_version("model", f"{run.info.artifact_uri}/model", run.info.run_id)
            self.run_id = run.info.run_id

    def dump(self) -> list[str]:
        """Return all that is in the database."""
        with sqlite3.connect(self.file) as connection:
            lines = list(connection.iterdump())
        connection.close()
        return lines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database, which takes MLflow seconds to make."""
    return Database(tmp_path_factory.mktemp("relocating"))


@pytest.fixture
def database(made: Database, tmp_path: Path) -> Database:
    """A copy of it."""
    copied = copy.copy(made)
    copied.file = Path(shutil.copy(made.file, tmp_path))
    copied.uri = f"sqlite:///{copied.file}"
    return copied


def rows(found: list[Rewritten]) -> dict[str, int]:
    """Return how many rows of each column are meant, where there are some."""
    return {f"{one.table}.{one.column}": one.rows for one in found if one.rows}


def test_looking_changes_nothing(database: Database) -> None:
    """A dry run counts what lies at the old place, not what only begins like it."""
    before = database.dump()
    found = relocate(database.uri, database.old, database.new, write=False)
    assert rows(found)["experiments.artifact_location"] == 1
    assert rows(found)["runs.artifact_uri"] == 1
    assert rows(found)["model_versions.source"] == 1
    (run,) = [one for one in found if one.table == "runs"]
    assert run.example == f"{database.old}/{database.run_id}/artifacts"
    assert run.becomes == f"{database.new}/{database.run_id}/artifacts"
    assert database.dump() == before


def test_locations_move_and_come_back(database: Database) -> None:
    """Every location follows; exchanged places undo it to the byte."""
    before = database.dump()
    moved = relocate(database.uri, database.old + "/", database.new, write=True)
    with mlflow_at(database.uri):
        client = mlflow.MlflowClient()
        assert client.get_run(database.run_id).info.artifact_uri == f"{database.new}/{database.run_id}/artifacts"
        locations = {one.name: one.artifact_location for one in client.search_experiments()}
        assert (locations["e"], locations["other"]) == (database.new, f"{database.old}er/place")
        assert str(client.get_model_version("model", "1").source).startswith(database.new + "/")
    assert rows(relocate(database.uri, database.old, database.new, write=False)) == {}
    assert rows(relocate(database.uri, database.new, database.old, write=True)) == rows(moved)
    assert database.dump() == before


def test_what_does_not_fit_is_refused_whole(database: Database) -> None:
    """A place too long for a column changes nothing at all."""
    before = database.dump()
    with pytest.raises(InvalidInput, match="room for 200"):
        relocate(database.uri, database.old, f"versioned-s3://bucket/{'x' * 170}", write=True)
    assert database.dump() == before


@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "file:///mlruns", "nonsense", "mysql+nothing://x"])
def test_only_a_database_can_be_changed(uri: str) -> None:
    """Servers and folders are refused, and no message repeats a URI, which may hold a password."""
    with pytest.raises((InvalidInput, Unavailable)) as caught:
        relocate(uri, "s3://a/b", "versioned-s3://a/b", write=True)
    assert uri not in str(caught.value)


def test_another_database_is_refused(tmp_path: Path) -> None:
    """A database that is not MLflow's stays as it is."""
    (tmp_path / "other.db").touch()
    with pytest.raises(InvalidInput, match="not MLflow's"):
        relocate(f"sqlite:///{tmp_path}/other.db", "s3://a/b", "versioned-s3://a/b", write=True)


@pytest.mark.parametrize(
    "places", [("s3://a", "s3://a/"), ("a/b", "s3://b"), ("s3://a?x", "s3://b"), ("s3://a", "s3://")]
)
def test_places_are_uris(database: Database, places: tuple[Any, Any]) -> None:
    """What is no place, or the same one, is refused."""
    with pytest.raises(InvalidInput):
        relocate(database.uri, *places, write=True)


def test_no_database_is_made(tmp_path: Path) -> None:
    """A file that is not there is told as that, and SQLite does not make it."""
    with pytest.raises(NotFound, match="does not exist"):
        relocate(f"sqlite:///{tmp_path}/no.db", "s3://a/b", "versioned-s3://a/b", write=True)
    assert list(tmp_path.iterdir()) == []
