"""Where MLflow keeps the artifacts of runs and models."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from mlflow_versioned_store.errors import NotFound
from mlflow_versioned_store.mlflow_plugin.locating import artifact_location
from tests.servers.tracking import Tracking


@pytest.mark.parametrize(
    "uri", [f"runs:/{'a' * 32}/x", "models:/churn/1", "models:/churn@gold", f"models:/m-{'a' * 32}"]
)
def test_looking_makes_no_database(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow would make a database to look into, there is nothing to find, and nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="MLFLOW_TRACKING_URI"):
        artifact_location(uri)
    assert list(tmp_path.iterdir()) == []


def test_looking_makes_no_registry(tracking: Tracking, tmp_path: Path) -> None:
    """The same holds for a model registry of its own, which runs do not need."""
    run = tracking.new_run("versioned-memory://store")
    mlflow.set_registry_uri(f"sqlite:///{tmp_path}/registry.db")
    with pytest.raises(NotFound, match="MLFLOW_REGISTRY_URI"):
        artifact_location("models:/churn/1")
    assert not (tmp_path / "registry.db").exists()
    assert artifact_location(f"runs:/{run}/x") == f"versioned-memory://store/{run}/artifacts/x"
