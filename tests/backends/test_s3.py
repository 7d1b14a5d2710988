"""S3 on real servers: absence, permissions, encryption, TLS, proxies, expiring keys, bad networks."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.backends import s3
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_arguments import VARIABLE
from mlflow_versioned_store.errors import (
    AccessDenied,
    CredentialsMissing,
    InvalidInput,
    LocalStorageFailed,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from tests.backends.buckets import once
from tests.backends.scripted import Proxy
from tests.servers.minio import KMS_KEY, Minio
from tests.servers.s3 import S3Server
from tests.servers.toxiproxy import Toxiproxy

Environment = Callable[[S3Server], None]


class TestMinio:
    """On MinIO: absence, permissions, encryption, TLS, proxies, forks, bad networks."""

    @pytest.mark.usefixtures("client")
    def test_a_missing_bucket_is_never_empty(self, minio: S3Server, s3_env: Environment) -> None:
        """Every call on a bucket that is not there says that the bucket is not there."""
        s3_env(minio)
        backend = once("no-such-bucket")
        for call in (
            lambda: list(backend.list("")),
            lambda: backend.folders(""),
            lambda: backend.get("a"),
            lambda: backend.put("a", b"", create=True),
            lambda: backend.put("a", b""),
        ):
            with pytest.raises(NotFound, match="s3://no-such-bucket does not exist"):
                call()
        with pytest.raises(NotFound):
            backend.head("a")

    @pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
    def test_wrong_keys(
        self, real_minio: Minio, s3_env: Environment, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        """Wrong keys are told apart from missing permissions, for every call."""
        s3_env(real_minio)
        monkeypatch.setenv(variable, "wrong")
        backend = once(real_minio.new_bucket())
        for call in (
            lambda: backend.get("a"),
            lambda: backend.head("a"),
            lambda: list(backend.list("")),
            lambda: backend.put("a", b"", create=True),
            lambda: backend.delete(["a"]),
        ):
            with pytest.raises(CredentialsMissing, match="Configure or renew"):
                call()

    def test_a_missing_permission_is_named(
        self, real_minio: Minio, s3_env: Environment, monkeypatch: pytest.MonkeyPatch, client: str
    ) -> None:
        """Who may not write or delete learns which action on which object, and the store is not empty to them."""
        bucket = real_minio.new_bucket()
        real_minio.client().put_object(Bucket=bucket, Key="a", Body=b"1")
        user = f"reader-{client}"
        allowed = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
        key, secret = real_minio.add_user(user, allowed)
        s3_env(real_minio)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        backend = once(bucket)
        assert bytes(backend.get("a").data) == b"1"
        for call, says in (
            (lambda: backend.put("b", b"", create=True), f"may not create s3://{bucket}/b"),
            (lambda: backend.put("b", b""), f"may not write s3://{bucket}/b"),
            (lambda: backend.delete(["a"]), f"may not delete s3://{bucket}/a"),
            (lambda: list(backend.list("")), f"may not list s3://{bucket}"),
        ):
            with pytest.raises(AccessDenied, match=says):
                call()

    @pytest.mark.usefixtures("client")
    def test_encryption_is_asked_for(
        self, minio_kms: Minio, s3_env: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a KMS key in the arguments every object is encrypted under it, and reads back."""
        s3_env(minio_kms)
        bucket = minio_kms.new_bucket()
        monkeypatch.setenv(VARIABLE, json.dumps({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}))
        backend = once(bucket)
        backend.put("a", b"secret", create=True)
        assert bytes(backend.get("a", start=1).data) == b"ecret"
        assert backend.head("a").size == 6
        described = minio_kms.client().head_object(Bucket=bucket, Key="a")
        assert described["ServerSideEncryption"] == "aws:kms"
        assert described["SSEKMSKeyId"].endswith(KMS_KEY)

    @pytest.mark.usefixtures("client")
    def test_a_customer_key(self, minio_tls: Minio, s3_env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Over TLS a customer's key encrypts, and who does not have it reads nothing."""
        s3_env(minio_tls)
        bucket = minio_tls.new_bucket()
        plain = once(bucket)
        monkeypatch.setenv(VARIABLE, json.dumps({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}))
        backend = once(bucket)
        backend.put("a", b"secret", create=True)
        assert bytes(backend.get("a", start=1, stop=3).data) == b"ec"
        assert backend.head("a").size == 6
        assert [info.key for info in backend.list("")] == ["a"]
        with pytest.raises(InvalidInput):
            plain.get("a")

    @pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
    @pytest.mark.usefixtures("client")
    def test_tls_with_a_private_authority(
        self, minio_tls: Minio, s3_env: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """AWS_CA_BUNDLE makes a private certificate trusted; without it the error says what is wrong."""
        bucket = minio_tls.new_bucket()
        s3_env(minio_tls)
        trusting = once(bucket)
        trusting.put("a", b"1", create=True)
        assert trusting.now() is not None
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            once(bucket).get("a")
        monkeypatch.setenv("MLFLOW_S3_IGNORE_TLS", "true")
        assert bytes(once(bucket).get("a").data) == b"1"

    @pytest.mark.usefixtures("scripted")
    def test_an_unreadable_bundle(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A bundle that is not there is an error when the bucket is opened."""
        monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere/bundle.pem")
        with pytest.raises(LocalStorageFailed, match="AWS_CA_BUNDLE"):
            once()

    @pytest.mark.parametrize("server", ["minio", "minio_tls"])
    @pytest.mark.usefixtures("client")
    def test_a_forward_proxy(
        self,
        request: pytest.FixtureRequest,
        server: str,
        proxy: Proxy,
        s3_env: Environment,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Requests go through HTTP_PROXY and HTTPS_PROXY, and past it for hosts in NO_PROXY."""
        running: S3Server = request.getfixturevalue(server)
        bucket = running.new_bucket()
        s3_env(running)
        for variable in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, proxy.endpoint)
        backend = once(bucket)
        backend.put("a", b"1", create=True)
        assert bytes(backend.get("a").data) == b"1"
        backend.now()
        host = running.endpoint.partition("://")[2]
        assert proxy.seen
        assert all(host in seen for seen in proxy.seen)
        proxy.seen.clear()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert bytes(once(bucket).get("a").data) == b"1"
        assert proxy.seen == []

    def test_keys_that_the_provider_refuses_are_renewed(
        self, real_minio: Minio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Keys of a credential program that are revoked in the middle of the work are replaced, unnoticed."""
        everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        users = [real_minio.add_user(f"temporary-{number}", everything) for number in range(2)]
        keys = [{"AccessKeyId": key, "SecretAccessKey": secret, "Expiration": end} for key, secret in users]
        _credential_program(tmp_path, monkeypatch, keys)
        bucket = real_minio.new_bucket()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", real_minio.endpoint)
        backend = once(bucket)
        backend.put("a", b"1")
        real_minio.admin().user_disable(users[0][0])
        (tmp_path / "revoked").write_text(users[0][0])
        backend.put("b", b"1", create=True)
        assert sorted(real_minio.keys(bucket)) == ["a", "b"]

    def test_keys_that_expire_in_the_middle_are_renewed(
        self, minio_tls: Minio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Temporary keys that end during the work are renewed in time; their program is not run for each request."""
        everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
        short, long = (minio_tls.short_lived_keys(everything, seconds=seconds) for seconds in (5, 600))
        _credential_program(tmp_path, monkeypatch, [short, long])
        bucket = minio_tls.new_bucket()
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", minio_tls.endpoint)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(minio_tls.ca_bundle))
        backend = once(bucket)
        for number in range(20):
            backend.put(f"early/{number}", b"1", create=True)
        assert len((tmp_path / "asked").read_text()) <= 4
        expired = minio_tls.client(
            aws_access_key_id=short["AccessKeyId"],
            aws_secret_access_key=short["SecretAccessKey"],
            aws_session_token=short["SessionToken"],
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            backend.put("meanwhile", b"1")
            try:
                expired.head_bucket(Bucket=bucket)
            except ClientError:
                break
            time.sleep(0.2)
        else:
            pytest.fail("the short-lived keys never expired")
        backend.put("late", b"1", create=True)

    def test_a_dead_endpoint_fails_soon(
        self, s3_env: Environment, minio: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody listening: an error within seconds, after the retries, that names the endpoint's trouble."""
        s3_env(minio)
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
        backend, _ = open_container("versioned-s3://some-bucket/a")
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"cannot be reached.*refused") as failed:
            backend.get("a")
        assert time.monotonic() - began < 15
        assert failed.value.attempts > 1
        with pytest.raises(Unavailable, match="cannot be reached") as create:
            backend.put("a", b"", create=True)
        assert create.type is Unavailable, "nothing was sent, so nothing is uncertain"

    def test_a_silent_endpoint_fails_soon(
        self, toxiproxy: Toxiproxy, minio: S3Server, s3_env: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A server that accepts and never answers is given up after the stall limit; a create is then uncertain."""
        s3_env(minio)
        proxy = toxiproxy.proxy(minio.endpoint)
        proxy.add("timeout", timeout=0)
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.endpoint)
        monkeypatch.setattr(s3, "STALL_SECONDS_MAX", 1)
        backend = once()
        with pytest.raises(Unavailable, match=r"timed out|did not answer"):
            backend.get("a")
        with pytest.raises(OutcomeUnknown):
            backend.put("a", b"", create=True)

    def test_a_restarted_server_is_waited_for(self, real_minio: Minio, s3_env: Environment) -> None:
        """What is asked while a server restarts is answered, late."""
        s3_env(real_minio)
        backend, _ = open_container(f"versioned-s3://{real_minio.new_bucket()}")
        backend.put("a", b"1")
        restart = threading.Thread(target=real_minio.restart)
        restart.start()
        while restart.is_alive():
            assert bytes(backend.get("a").data) == b"1"
        restart.join()
        assert [info.key for info in backend.list("")] == ["a"]

    def test_an_answer_that_is_lost(
        self, toxiproxy: Toxiproxy, minio: S3Server, s3_env: Environment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A create whose answer is cut off is uncertain, and has happened."""
        s3_env(minio)
        bucket = minio.new_bucket()
        proxy = toxiproxy.proxy(minio.endpoint)
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", proxy.endpoint)
        backend = once(bucket)
        proxy.add("limit_data", bytes=1)
        with pytest.raises(OutcomeUnknown):
            backend.put("a", b"1", create=True)
        proxy.clear()
        assert bytes(backend.get("a").data) == b"1"


def _credential_program(folder: Path, monkeypatch: pytest.MonkeyPatch, keys: list[dict[str, str]]) -> None:
    """Set up a profile whose keys come from a program: the first that have a second left; each run leaves an "x"."""
    program = folder / "keys.py"
    program.write_text(
        "import json\n"
        "from datetime import datetime, timedelta, timezone\n"
        f"with open({str(folder / 'asked')!r}, 'a') as asked: asked.write('x')\n"
        f"revoked = open({str(folder / 'revoked')!r}).read()\n"
        "soon = datetime.now(timezone.utc) + timedelta(seconds=1)\n"
        f"for keys in {keys!r}:\n"
        "    end = datetime.fromisoformat(keys['Expiration'].replace('Z', '+00:00'))\n"
        "    if end > soon and keys['AccessKeyId'] not in revoked: break\n"
        "print(json.dumps({'Version': 1, **keys}))\n"
    )
    (folder / "revoked").write_text("")
    config = folder / "config"
    config.write_text(f"[profile temporary]\ncredential_process = {sys.executable} {program}\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "temporary")
