"""Artifacts by what MLflow calls them."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import mlflow
import pytest

from tests.servers.tracking import Tracking


def test_runs_and_models_are_file_systems(tracking: Tracking, tmp_path: Path) -> None:
    """A run's artifacts by its id, and a model's by name and version or alias: listed, read by address, written."""
    experiment = tracking.new_experiment(f"versioned-memory://{uuid.uuid4().hex}/mlflow")
    with mlflow.start_run(experiment_id=experiment) as run:
        for text in ("one", "two"):
            mlflow.log_text(text, "data/a.txt")
    uri = f"versioned-runs://{run.info.run_id}"
    runs = fsspec.filesystem("versioned-runs")
    assert runs.find(uri) == [f"{run.info.run_id}/data/a.txt"]
    assert fsspec.open(f"{uri}/data/a.txt@v1", "r").open().read() == "one"
    assert runs.cat(f"{uri}@c1/data/a.txt") == runs.cat(f"{uri}@@c1/data/a.txt") == b"one"
    assert runs.find(f"{uri}@c1") == [f"{run.info.run_id}@c1/data/a.txt"]
    for cache in ("simplecache", "filecache", "blockcache"):
        with fsspec.open(f"{cache}::{uri}/data/a.txt@v1", **{cache: {"cache_storage": str(tmp_path / cache)}}) as file:
            assert file.read() == b"one"
    runs.pipe(f"{uri}/data/a.txt", b"three")
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/data/a.txt") == "three"
    tracking.client.create_registered_model("churn")
    tracking.client.create_model_version("churn", f"{run.info.artifact_uri}/data", run.info.run_id)
    tracking.client.set_registered_model_alias("churn", "best", "1")
    models = fsspec.filesystem("versioned-models")
    assert models.ls("versioned-models://churn/1", detail=False) == ["churn/1/a.txt"]
    assert models.cat("versioned-models://churn@best/a.txt@v2") == b"two"
    with pytest.raises(FileNotFoundError, match=r"0{32}"):
        runs.ls(f"versioned-runs://{'0' * 32}")
