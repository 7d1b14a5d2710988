"""Stores that the file system's tests work in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from mlflow_versioned_store.backends.counting import Counts, counts_of
from mlflow_versioned_store.filesystem import VersionedFileSystem
from mlflow_versioned_store.store import create_store, open_store
from tests.servers.s3 import S3Server

ROOT = f"1/{'a' * 32}/artifacts"


def counted(store: str) -> Counts:
    """Return what this process has asked of a store's container so far."""
    return counts_of(open_store(store)[0].backend)


@pytest.fixture
def memory_store() -> str:
    """The URI of a fresh store in memory."""
    uri = f"versioned-memory://{uuid.uuid4().hex}/store"
    create_store(uri)
    return uri


@pytest.fixture
def files_store(tmp_path: Path) -> str:
    """The URI of a fresh store in a directory."""
    uri = f"versioned-file://{tmp_path / 'store'}"
    create_store(uri)
    return uri


@pytest.fixture
def minio_store(minio: S3Server, s3_env: Callable[[S3Server], None]) -> str:
    """The URI of a fresh store on MinIO; clients of this test find it."""
    s3_env(minio)
    uri = f"versioned-s3://{minio.new_bucket()}/store"
    create_store(uri)
    return uri


@pytest.fixture(params=["memory", "files", "minio"])
def store(request: pytest.FixtureRequest) -> str:
    """The URI of a fresh store of each kind."""
    uri: str = request.getfixturevalue(f"{request.param}_store")
    return uri


@pytest.fixture
def root(store: str) -> str:
    """The URI of an artifact root in it."""
    return f"{store}/{ROOT}"


@pytest.fixture
def filesystem(store: str) -> VersionedFileSystem:
    """The file system of the store, as fsspec finds it."""
    found = fsspec.filesystem(store.partition("://")[0])
    assert isinstance(found, VersionedFileSystem)
    return found
