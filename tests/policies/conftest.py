"""What the tests of policies share: a store on MinIO, whose process becomes one user after the other."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.policies import aws
from mlflow_versioned_store.policies.roles import Role, grants, scope
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

ONE, TEN = f"1/{'a' * 32}/artifacts", f"10/{'b' * 32}/artifacts"
CONTEXT = Context()
LARGE = bytes(range(256)) * 2048


class Site:
    """A store on MinIO with two experiments and users of any role.

    Args:
        server: The server.
        monkeypatch: Changes who this process is.
        dedup_scope: Whether the experiments share chunks.
    """

    def __init__(self, server: Minio, monkeypatch: pytest.MonkeyPatch, dedup_scope: str = "experiment"):
        self.server = server
        self.bucket = server.new_bucket(versioned=True)
        self.uri = f"versioned-s3://{self.bucket}/mlflow"
        self._monkeypatch = monkeypatch
        store = create_store(self.uri)
        change_settings(store.settings_log, {"dedup_scope": dedup_scope}, {})
        for root in (ONE, TEN):
            self.opened().root(root).upload([Item("d/large", LARGE), Item("small", b"small")], context=CONTEXT)

    def opened(self) -> Store:
        """Return a client with the credentials of now."""
        return client(*open_container(self.uri))

    def become(self, role: Role, experiment: str | None = None, *, native: bool = False) -> Any:
        """Go on as a new user of a role; return their own S3 client."""
        part = scope(dedup_scope="experiment", experiment=experiment)
        policy = aws.policy(role, grants(role, part, native=native), self.bucket, "mlflow", minio=True)
        key, secret = self.server.add_user(f"user-{uuid.uuid4().hex[:8]}", *policy["Statement"])
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        return self.server.service("s3", aws_access_key_id=key, aws_secret_access_key=secret)

    def keys(self, containing: str) -> list[str]:
        """Return the keys of objects, as their owner sees them."""
        return [key for key in self.server.keys(self.bucket) if containing in key]

    def leave(self) -> None:
        """Be the owner again."""
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", self.server.access_key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self.server.secret_key)

    def object_versions(self, key: str) -> list[str]:
        """Return the object versions of a key, as their owner sees them, newest first."""
        listed = self.server.client().list_object_versions(Bucket=self.bucket, Prefix=key)
        return [one["VersionId"] for one in listed.get("Versions", [])]


@pytest.fixture
def site(real_minio: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch) -> Site:
    """The store."""
    s3_env(real_minio)
    return Site(real_minio, monkeypatch)


def refused(call: Callable[[], object]) -> bool:
    """Tell whether the server refuses a request for lack of permission."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"]) == "AccessDenied"
    return False
