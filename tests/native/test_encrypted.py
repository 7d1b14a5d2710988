"""Native objects under encryption that uploads ask for."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_arguments import VARIABLE
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.store import create_store
from mlflow_versioned_store.testing.clients import client
from tests.servers.minio import KMS_KEY
from tests.servers.s3 import S3Server

ROOT, OTHER = f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts"
LARGE = random.Random(1).randbytes(20 << 20)
CUSTOMER_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("server", "arguments", "said"),
    [
        ("minio_kms", {"ServerSideEncryption": "AES256"}, "AES256"),
        ("minio_kms", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}, "aws:kms"),
        ("minio_tls", {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": CUSTOMER_KEY}, None),
    ],
    ids=["sse-s3", "sse-kms", "sse-c"],
)
def test_native_objects_are_encrypted_as_asked(
    server: str,
    arguments: dict[str, str],
    said: str | None,
    request: pytest.FixtureRequest,
    s3_env: Callable[[S3Server], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Written whole, in parts and by copy, replaced, deleted and brought back, each version reads back."""
    minio: S3Server = request.getfixturevalue(server)
    s3_env(minio)
    monkeypatch.setenv(VARIABLE, json.dumps(arguments))
    bucket = minio.new_bucket()
    store = create_store(f"versioned-s3://{bucket}/lake")
    store.keep_natively(["**"], Context())
    for name in (ROOT, OTHER):
        root = client(*open_container(f"versioned-s3://{bucket}/lake")).root(name)
        root.upload([Item("small", b"1"), Item("large", LARGE)], context=Context())
        root.delete("small", context=Context())
        root.upload([Item("small", b"1")], context=Context())
        versions = root.log.state().all_versions()
        assert [root.read(version) for version in versions] == [LARGE, b"1", b"1"]
        assert root.settle() == 0
    key = {} if said else {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": bytes(range(32))}
    for name in ("small", "large"):
        found = minio.client().head_object(Bucket=bucket, Key=f"lake/{OTHER}/{name}", **key)
        assert found.get("ServerSideEncryption") == said
