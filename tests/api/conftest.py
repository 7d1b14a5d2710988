"""Artifact roots of a store in memory."""

from __future__ import annotations

import uuid

import pytest

import mlflow_versioned_store as mvs

RUN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def uri() -> str:
    """The URI of an artifact root in a new store."""
    store = f"versioned-memory://{uuid.uuid4().hex}"
    mvs.open_store(store, create=True)
    return f"{store}/1/{RUN}/artifacts"


@pytest.fixture
def root(uri: str) -> mvs.ArtifactRoot:
    """That artifact root."""
    return mvs.open_root(uri)


@pytest.fixture
def other(root: mvs.ArtifactRoot) -> mvs.ArtifactRoot:
    """Another artifact root of that store."""
    return root.store.root(f"2/{OTHER}/artifacts")
