"""A server that goes silent while a process is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from mlflow_versioned_store.backends import objects, s3
from mlflow_versioned_store.backends.provider_errors import Answer, Request, error_for
from mlflow_versioned_store.backends.retry import RetryingBackend, RetryPolicy
from mlflow_versioned_store.changes import Item
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Unavailable, VersionedStoreError
from mlflow_versioned_store.history import appending
from mlflow_versioned_store.store import create_store
from mlflow_versioned_store.testing.clients import client
from tests.backends.buckets import once
from tests.servers.s3 import S3Server
from tests.servers.toxiproxy import Toxiproxy
from tests.test_store import noise

ROOT = f"1/{'a' * 32}/artifacts"


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
def test_an_upload_waits_for_one_silent_request(
    toxiproxy: Toxiproxy,
    minio: S3Server,
    s3_env: Callable[[S3Server], None],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """A warm process waits the stall limit once for a server gone silent; what else it asks has little time."""
    s3_env(minio)
    proxy = toxiproxy.proxy(minio.endpoint)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(s3, "STALL_SECONDS_MAX", 1)
    monkeypatch.setattr(appending, "UNCERTAIN_SECONDS_MAX", 1.1)
    waited: list[str] = []

    def noted(answer: Answer, request: Request) -> VersionedStoreError:
        if not threading.current_thread().name.startswith(("mvs-look-up", "mvs-history-look")):
            waited.append(request.action)
        return error_for(answer, request)

    bucket = minio.new_bucket()
    create_store(f"versioned-s3://{bucket}/store")
    root = client(RetryingBackend(once(bucket), RetryPolicy(seconds=0.8)), "store").root(ROOT)
    root.upload([Item("file", noise(size, 1))], context=Context())
    proxy.add("timeout", timeout=0)
    monkeypatch.setattr(objects, "error_for", noted)
    with pytest.raises(Unavailable):
        root.upload([Item("file", noise(size, 2))], context=Context())
    assert len(waited) == 1
