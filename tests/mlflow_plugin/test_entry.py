"""The entry point is light, tolerant and what MLflow loads."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from mlflow_versioned_store import _entry
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

SCHEMES = ["versioned-az", "versioned-file", "versioned-gs", "versioned-hdfs", "versioned-memory", "versioned-s3"]
URI = "versioned-memory://entry/1/0123456789abcdef0123456789abcdef/artifacts"


def test_importing_the_entry_point_imports_neither_mlflow_nor_clients() -> None:
    """MLflow may load the entry point while it is half imported itself."""
    script = (
        "import sys, mlflow_versioned_store._entry;"
        "print([name for name in ('mlflow', 'boto3', 'obstore', 'fsspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_plugin_imports_before_mlflow() -> None:
    """User code that imports the package first still finds every scheme registered."""
    script = (
        "import mlflow_versioned_store._entry;"
        "from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry as registry;"
        "print(sorted(name for name in registry._registry if name.startswith('versioned-')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_is_a_plain_named_function(scheme: str) -> None:
    """MLflow reads `__name__` of what is registered, to make a data set source of every scheme."""
    (point,) = entry_points(group="mlflow.artifact_repository", name=scheme)
    assert point.load().__name__ == "artifact_repository"


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [
        ([URI], {}),
        ([URI, "sqlite://"], {}),
        ([URI], {"tracking_uri": "sqlite://"}),
        ([URI], {"tracking_uri": "sqlite://", "registry_uri": "sqlite://", "something_new": 1}),
    ],
)
def test_every_way_that_mlflow_constructs_repositories_works(arguments: list[str], keywords: dict[str, object]) -> None:
    """MLflow 2 passes the URI alone, 3.1 a positional tracking URI, later releases keywords."""
    repository = _entry.artifact_repository(*arguments, **keywords)  # type: ignore[arg-type]
    assert isinstance(repository, VersionedArtifactRepository)
    assert repository.artifact_uri == URI
