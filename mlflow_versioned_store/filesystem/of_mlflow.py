"""Artifacts by what MLflow calls them: the file systems of runs and models."""

from __future__ import annotations

import functools

from mlflow_versioned_store.filesystem.base import VersionedFileSystem


class _OfMlflow(VersionedFileSystem):
    def _check_form(self, path: str) -> None:
        """Check nothing: which names there can be, MLflow knows."""


class RunsFileSystem(_OfMlflow):
    """The artifacts of MLflow's runs: `versioned-runs://<run id>/data/train.csv@v2`.

    MLflow is asked once where the artifacts of a run are.
    """

    protocol = "versioned-runs"

    def _uri(self, path: str) -> str:
        run_id, _, inside = path.partition("/")
        return f"{_run_location(run_id)}/{inside}"


class ModelsFileSystem(_OfMlflow):
    """The artifacts of MLflow's models: `versioned-models://<name>/<version>/MLmodel`, `<name>@<alias>/…`, `m-<id>/…`.

    MLflow is asked every time, since aliases move.
    """

    protocol = "versioned-models"

    def _uri(self, path: str) -> str:
        return _location(f"models:/{path}")


@functools.lru_cache(maxsize=1024)
def _run_location(run_id: str) -> str:
    return _location(f"runs:/{run_id}")


def _location(uri: str) -> str:
    # Nothing else here needs MLflow, which takes seconds to import.
    from mlflow_versioned_store.mlflow_plugin.locating import artifact_location

    return artifact_location(uri).rstrip("/")
