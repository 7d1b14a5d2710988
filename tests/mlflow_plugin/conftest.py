"""What the tests of the MLflow plugin share: repositories on stores of their own."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from mlflow_versioned_store._entry import artifact_repository
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

RUN = "0123456789abcdef0123456789abcdef"
Open = Callable[[str], VersionedArtifactRepository]


@pytest.fixture
def store_uri() -> str:
    """The URI of a store in memory that no other test uses."""
    return f"versioned-memory://{uuid.uuid4().hex}"


@pytest.fixture
def open_at(store_uri: str) -> Open:
    """Open a repository at a path of this test's store."""
    return lambda path: artifact_repository(f"{store_uri}/{path}" if path else store_uri)


@pytest.fixture
def repository(open_at: Open) -> VersionedArtifactRepository:
    """The repository of one run."""
    return open_at(f"1/{RUN}/artifacts")
