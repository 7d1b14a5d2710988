"""Fixtures of the backends' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mlflow_versioned_store.backends import s3
from tests.backends.scripted import Proxy, Scripted, closing


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """An HTTP server that answers what a test scripts, and the environment that sends S3 clients to it."""
    server = Scripted()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "some-secret")
    with closing(server):
        yield server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A forward proxy."""
    server = Proxy()
    with closing(server):
        yield server


@pytest.fixture(params=["obstore", "boto3"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both clients in turn."""
    if request.param == "boto3":
        monkeypatch.setattr(s3, "obstore_lost", lambda: True)
    name: str = request.param
    return name
