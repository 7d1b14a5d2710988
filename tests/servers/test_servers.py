"""The servers of the suite themselves: what other tests take for granted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers.azurite import Azurite
from tests.servers.fake_gcs import FakeGcs
from tests.servers.minio import KMS_KEY, Minio
from tests.servers.process import listens
from tests.servers.s3 import S3Server
from tests.servers.toxiproxy import Toxiproxy
from tests.servers.tracking import Tracking, TrackingServer


@pytest.mark.parametrize("name", ["minio", "versitygw", "moto_server", "rclone_s3"])
def test_s3_server_keeps_an_object(name: str, request: pytest.FixtureRequest) -> None:
    """A fresh bucket is empty, and what is put there is listed and read back."""
    server: S3Server = request.getfixturevalue(name)
    bucket = server.new_bucket()
    assert server.keys(bucket) == {}
    server.client().put_object(Bucket=bucket, Key="a/b", Body=b"content")
    assert server.keys(bucket) == {"a/b": 7}
    assert server.client().get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"content"


@pytest.mark.parametrize("name", ["minio", "versitygw", "moto_server"])
def test_s3_server_keeps_versions(name: str, request: pytest.FixtureRequest) -> None:
    """A versioned bucket gives every put a version of its own."""
    server: S3Server = request.getfixturevalue(name)
    bucket = server.new_bucket(versioned=True)
    put = [server.client().put_object(Bucket=bucket, Key="a", Body=body) for body in (b"1", b"2")]
    assert put[0]["VersionId"] != put[1]["VersionId"]


def test_minio_survives_a_crash(real_minio: Minio) -> None:
    """An object is there after the server was killed and started again."""
    bucket = real_minio.new_bucket()
    real_minio.client().put_object(Bucket=bucket, Key="a", Body=b"kept")
    real_minio.restart()
    assert real_minio.keys(bucket) == {"a": 4}


def test_minio_enforces_policies(real_minio: Minio) -> None:
    """A user may do what the policy allows and nothing else."""
    bucket = real_minio.new_bucket()
    allowed = {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": [f"arn:aws:s3:::{bucket}/mine/*"]}
    access_key, secret_key = real_minio.add_user("alice", allowed)
    client = real_minio.client(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    client.put_object(Bucket=bucket, Key="mine/a", Body=b"")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_object(Bucket=bucket, Key="others/a", Body=b"")


def test_minio_serves_tls_of_a_private_authority(minio_tls: Minio) -> None:
    """A client that trusts the authority is served; its endpoint is https."""
    assert minio_tls.endpoint.startswith("https://")
    assert minio_tls.keys(minio_tls.new_bucket()) == {}


def test_minio_encrypts_with_its_key(minio_kms: Minio) -> None:
    """An object put with SSE-KMS says which key encrypts it."""
    bucket = minio_kms.new_bucket()
    options = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}
    minio_kms.client().put_object(Bucket=bucket, Key="a", Body=b"secret", **options)
    assert minio_kms.client().head_object(Bucket=bucket, Key="a")["ServerSideEncryption"] == "aws:kms"


ALL_OF_S3 = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}


def test_minio_gives_temporary_keys(real_minio: Minio) -> None:
    """Temporary keys of a user work, and only with their session token."""
    keys = real_minio.assume_role(*real_minio.add_user("bob", ALL_OF_S3))
    assert _client_with(real_minio, keys).list_buckets()["Buckets"] is not None
    with pytest.raises(ClientError, match=r"InvalidAccessKeyId|InvalidTokenId|AccessDenied"):
        _client_with(real_minio, keys | {"SessionToken": None}).list_buckets()


def test_minio_gives_keys_that_end_in_seconds(minio_tls: Minio) -> None:
    """Short-lived keys work, then they do not."""
    keys = minio_tls.short_lived_keys(ALL_OF_S3, seconds=4)
    client = _client_with(minio_tls, keys)
    client.list_buckets()

    def refused() -> bool:
        try:
            client.list_buckets()
        except ClientError:
            return True
        return False

    _wait_until(refused, "the keys did not end")


def _client_with(server: S3Server, keys: Mapping[str, str | None]) -> Any:
    return server.client(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


def test_azurite_keeps_a_blob(azurite: Azurite) -> None:
    """A new container takes a blob."""
    from azure.storage.blob import BlobServiceClient

    container = azurite.new_bucket()
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_blob_client(container, "a").upload_blob(b"content")
        assert service.get_blob_client(container, "a").download_blob().readall() == b"content"


def test_fake_gcs_keeps_an_object(fake_gcs: FakeGcs) -> None:
    """A new bucket takes an object."""
    bucket = fake_gcs.new_bucket()
    upload = f"{fake_gcs.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=a"
    with urllib.request.urlopen(urllib.request.Request(upload, data=b"content", method="POST"), timeout=10):
        pass
    with urllib.request.urlopen(f"{fake_gcs.endpoint}/storage/v1/b/{bucket}/o/a?alt=media", timeout=10) as answer:
        assert answer.read() == b"content"


def test_toxiproxy_refuses_on_demand(toxiproxy: Toxiproxy, minio: S3Server) -> None:
    """A proxied server is reached, then not, then again."""
    proxy = toxiproxy.proxy(minio.endpoint)
    port = int(proxy.endpoint.rpartition(":")[2])
    client = minio.client(endpoint_url=proxy.endpoint)
    client.list_buckets()
    proxy.disable()
    assert not listens(port)
    proxy.enable()
    proxy.add("latency", latency=1)
    client.list_buckets()
    proxy.clear()
    proxy.close()


def test_tracking_is_empty_and_apart(tracking: Tracking, tmp_path: Path) -> None:
    """MLflow's calls go to this test's own database."""
    import mlflow

    with mlflow.start_run(run_id=tracking.new_run(f"file://{tmp_path}/artifacts")) as run:
        mlflow.log_metric("one", 1)
    assert tracking.client.get_run(run.info.run_id).data.metrics == {"one": 1.0}
    assert len(tracking.client.search_experiments()) == 2


@pytest.mark.slow
def test_mlflow_server_keeps_an_artifact(mlflow_server: Callable[..., TrackingServer], tmp_path: Path) -> None:
    """A file goes through the server's workers into its destination, and no worker outlives the server."""
    server = mlflow_server(f"file://{tmp_path}/kept", workers=2)
    run = server.new_run()
    server.client.log_text(run, "hello", "a.txt")
    assert [path.read_text() for path in (tmp_path / "kept").rglob("a.txt")] == ["hello"]
    server.stop()
    _wait_until(lambda: not listens(int(server.uri.rpartition(":")[2])), "a worker outlived its server")


def test_servers_die_with_the_test_process(tmp_path: Path) -> None:
    """A test process that is killed leaves no server behind."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.servers.process import Process
process = Process([sys.executable, "-c", "import time; time.sleep(600)"], log=Path("log"), ready=lambda: True)
process.start()
print(process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", script]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    _wait_until(lambda: not _runs(int(outcome.stdout)), "the server outlived its test process")


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
