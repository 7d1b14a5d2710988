"""On a real MinIO each role can do all of its job, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied
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
    """A store on MinIO with two experiments, each with chunks of its own, and users of any role."""

    def __init__(self, server: Minio, monkeypatch: pytest.MonkeyPatch):
        self.server = server
        self.bucket = server.new_bucket()
        server.client().put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.uri = f"versioned-s3://{self.bucket}/mlflow"
        self._monkeypatch = monkeypatch
        store = create_store(self.uri)
        change_settings(store.settings_log, {"dedup_scope": "experiment"}, {})
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


@pytest.mark.parametrize("experiment", [None, "1"])
def test_a_reader_reads_and_nothing_else(site: Site, experiment: str | None) -> None:
    """A reader lists and reads; writing and deleting are refused, by the store and by the server."""
    s3 = site.become("reader", experiment)
    root = site.opened().root(ONE)
    assert {version.path: root.read(version) for version in root.walk()} == {"d/large": LARGE, "small": b"small"}
    assert [version.number for version in root.versions("small")] == [1]
    with pytest.raises(AccessDenied):
        root.upload([Item("x", b"x")], context=CONTEXT)
    pack = site.keys("/packs/")[0]
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=pack, Body=b""))
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=pack))


@pytest.mark.parametrize("experiment", [None, "1"])
def test_a_writer_logs_reads_and_takes_nothing_away(
    site: Site, experiment: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer logs, also what resembles earlier versions, without one warning; nothing can be deleted."""
    s3 = site.become("writer", experiment)
    root = site.opened().root(ONE)
    root.upload([Item("d/large", LARGE + b"more"), Item("tiny", b"t")], context=CONTEXT)
    assert root.delete("tiny", context=CONTEXT) == 1
    again = site.opened().root(ONE)
    assert again.read(again.versions("d/large")[1]) == LARGE + b"more"
    assert caplog.records == []
    for key in (site.keys("/packs/")[0], site.keys("/_c/")[0], f"mlflow/{keys.MARKER}"):
        (version,) = s3_versions(site, key)
        assert refused(partial(s3.delete_object, Bucket=site.bucket, Key=key))
        assert refused(partial(s3.delete_object, Bucket=site.bucket, Key=key, VersionId=version))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=f"mlflow/{keys.MARKER}", Body=b"{}"))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key="mlflow/1/beside", Body=b""))


@pytest.mark.parametrize("role", ["reader", "writer", "auditor"])
def test_an_experiment_is_closed_to_others(site: Site, role: Role) -> None:
    """A role for experiment 1 sees neither names nor bytes of experiment 10."""
    s3 = site.become(role, "1")
    for read in (
        lambda: site.opened().root(TEN).walk(),
        lambda: site.opened().root(TEN).upload([Item("x", b"x")], context=CONTEXT),
    ):
        with pytest.raises(AccessDenied):
            read()
    (pack,) = [key for key in site.keys("/packs/") if "experiment-10" in key]
    assert refused(lambda: s3.get_object(Bucket=site.bucket, Key=pack))
    for prefix in ("", "mlflow/", "mlflow/_mvs/log/10/"):
        assert refused(partial(s3.list_objects_v2, Bucket=site.bucket, Prefix=prefix))


def test_an_auditor_sees_the_log_and_no_bytes(site: Site) -> None:
    """An auditor reads who did what and verifies the chain; the bytes stay closed."""
    s3 = site.become("auditor")
    root = site.opened().root(ONE)
    assert [change.operation for commit in root.history() for change in commit.changes] == ["upload"]
    (large,) = root.versions("d/large")
    with pytest.raises(AccessDenied):
        root.read(large)
    assert refused(lambda: s3.get_object(Bucket=site.bucket, Key=site.keys("/packs/")[0]))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=site.keys("/_c/")[0], Body=b""))


def test_a_collector_removes_packs_and_keeps_the_log(site: Site) -> None:
    """A collector deletes packs for good, by version, and cannot delete a commit."""
    s3 = site.become("collector")
    pack, commit = site.keys("/packs/")[0], site.keys("/_c/")[0]
    (version,) = s3_versions(site, pack)
    s3.delete_object(Bucket=site.bucket, Key=pack, VersionId=version)
    assert s3_versions(site, pack) == []
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=commit))
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=f"mlflow/{keys.MARKER}"))


def s3_versions(site: Site, key: str) -> list[str]:
    """Return the object versions of a key, as their owner sees them."""
    listed = site.server.client().list_object_versions(Bucket=site.bucket, Prefix=key)
    return [one["VersionId"] for one in listed.get("Versions", [])]
