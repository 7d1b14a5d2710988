"""S3: what is sent, what answers mean, and what happens on bad days."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.backends import s3
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_arguments import VARIABLE
from mlflow_versioned_store.backends.s3_config import resolve
from mlflow_versioned_store.errors import (
    AccessDenied,
    Archived,
    Conflict,
    CredentialsMissing,
    InvalidInput,
    LocalStorageFailed,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from tests.backends.scripted import Proxy, Received, Reply, Scripted, s3_error
from tests.servers.minio import KMS_KEY, Minio
from tests.servers.s3 import S3Server
from tests.servers.toxiproxy import Toxiproxy

Environment = Callable[[S3Server], None]


def once(bucket: str = "some-bucket") -> Backend:
    """Return a bucket without the wrappers, so that every request is sent once."""
    return s3.open_s3(bucket, resolve())


@pytest.fixture(params=["obstore", "boto3"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both clients in turn."""
    if request.param == "boto3":
        monkeypatch.setattr(s3, "obstore_lost", lambda: True)
    name: str = request.param
    return name


class TestRequests:
    """What is sent."""

    @pytest.mark.usefixtures("client")
    def test_a_create_is_one_conditional_request(self, scripted: Scripted) -> None:
        """A create of any size is one PUT with If-None-Match."""
        for size in (0, 10, 20 << 20):
            scripted.received.clear()
            once().put("a/b", b"x" * size, create=True)
            (request,) = scripted.received
            assert (request.method, request.path) == ("PUT", "/some-bucket/a/b")
            assert request.headers["if-none-match"] == "*"

    @pytest.mark.usefixtures("client")
    def test_a_plain_put_is_one_unconditional_request(self, scripted: Scripted) -> None:
        """A plain put of up to 64 MiB is one PUT."""
        once().put("a", [b"x" * (20 << 20), b"y"])
        (request,) = scripted.received
        assert "if-none-match" not in request.headers
        assert len(request.body) == (20 << 20) + 1

    def test_bytes_carry_a_checksum_and_are_not_hashed_twice(self, scripted: Scripted) -> None:
        """The body is checked by CRC64NVME, which is cheap, and not hashed again for the signature."""
        once().put("a", b"123456789")
        (request,) = scripted.received
        assert request.headers["x-amz-checksum-crc64nvme"] == "rosUhgp5mIg="
        assert request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"

    @pytest.mark.parametrize(
        "answer",
        [
            s3_error(400, "InvalidRequest", "Checksum Type not supported"),
            s3_error(501, "NotImplemented", "checksum header not implemented"),
        ],
        ids=["400", "501"],
    )
    def test_a_server_that_refuses_checksums_gets_none(self, scripted: Scripted, answer: Reply) -> None:
        """The refused request is sent again without one, and no later request has one."""
        scripted.answer = lambda request: answer if "x-amz-checksum-crc64nvme" in request.headers else Reply()
        backend = once()
        backend.put("a", b"1", create=True)
        backend.put("b", b"1")
        checksums = ["x-amz-checksum-crc64nvme" in request.headers for request in scripted.received]
        assert checksums == [True, False, False]

    @pytest.mark.usefixtures("client")
    def test_every_argument_is_on_every_write(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """Upload arguments are on small, large and conditional writes, and not on reads and listings."""
        arguments = {
            "ACL": "bucket-owner-full-control",
            "BucketKeyEnabled": True,
            "CacheControl": "no-transform",
            "Metadata": {"team": "churn"},
            "ObjectLockMode": "GOVERNANCE",
            "ObjectLockRetainUntilDate": "2027-01-01T00:00:00Z",
            "RequestPayer": "requester",
            "SSEKMSKeyId": "key-1",
            "ServerSideEncryption": "aws:kms",
            "StorageClass": "STANDARD_IA",
            "Tagging": "team=churn&cost=a%20b",
        }
        monkeypatch.setenv(VARIABLE, json.dumps(arguments))
        backend = once()
        backend.put("a", b"1")
        backend.put("b", b"1" * (1 << 20))
        backend.put("c", b"1", create=True)
        for request in scripted.received:
            headers = request.headers
            assert headers["x-amz-acl"] == "bucket-owner-full-control"
            assert headers["x-amz-server-side-encryption"] == "aws:kms"
            assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
            assert headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
            assert headers["x-amz-storage-class"] == "STANDARD_IA"
            assert parse_qs(headers["x-amz-tagging"]) == {"team": ["churn"], "cost": ["a b"]}
            assert headers["x-amz-request-payer"] == "requester"
            assert headers["x-amz-meta-team"] == "churn"
            assert headers["x-amz-object-lock-mode"] == "GOVERNANCE"
            assert headers["cache-control"] == "no-transform"
        signed = scripted.received[-1].headers["authorization"]
        assert all(name in signed for name in scripted.received[-1].headers if name.startswith("x-amz-"))
        scripted.received.clear()
        backend.get("a")
        (read,) = scripted.received
        assert read.headers["x-amz-request-payer"] == "requester"
        assert not {"x-amz-acl", "x-amz-server-side-encryption", "x-amz-tagging"} & read.headers.keys()

    def test_a_customer_key_is_on_reads_too(
        self, scripted: Scripted, client: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the key an object that it encrypts can be neither read nor looked up."""
        scripted.answer = lambda _: Reply(body=b"1")
        monkeypatch.setenv(VARIABLE, json.dumps({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}))
        config = resolve()
        if client == "boto3":
            # boto3 sends such a key through TLS only; what matters is that it would.
            assert config.upload.boto3_read()["SSECustomerKey"] == b"k" * 32
            return
        backend = s3.open_s3("some-bucket", config)
        backend.put("a", b"1")
        backend.get("a")
        backend.head("a")
        for request in scripted.received:
            assert request.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"

    def test_the_owner_is_checked_on_every_request(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """The expected owner goes, signed, with reads, writes, listings and deletions."""
        scripted.answer = lambda request: Reply(body=b"<ListBucketResult/>" if "list-type" in request.path else b"")
        monkeypatch.setenv("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "123456789012")
        backend = once()
        backend.put("a", b"", create=True)
        backend.get("a")
        backend.head("a")
        assert list(backend.list("")) == []
        backend.delete(["a"])
        assert len(scripted.received) == 5
        for request in scripted.received:
            assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"
            assert "x-amz-expected-bucket-owner" in request.headers["authorization"]

    @pytest.mark.usefixtures("client")
    def test_anonymous_requests_are_not_signed(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """`unsigned` sends no signature, whatever keys lie about."""
        monkeypatch.setenv("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "unsigned")
        once().get("a")
        assert "authorization" not in scripted.received[0].headers

    def test_virtual_addressing(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """With virtual addressing the bucket stands in the host name."""
        monkeypatch.setenv("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "virtual")
        port = scripted.endpoint.rpartition(":")[2]
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://localhost:{port}")
        try:
            socket.getaddrinfo("some-bucket.localhost", None)
        except OSError:
            assert resolve().address("some-bucket") == (f"http://some-bucket.localhost:{port}", True)
            return
        once().get("a")
        assert scripted.received[0].path == "/a"
        assert scripted.received[0].headers["host"].startswith("some-bucket.localhost")

    def test_obstores_own_variables_change_nothing(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """Obstore reads variables that boto3 does not know; none of them decides here."""
        for name, value in {
            "AWS_ENDPOINT": "http://127.0.0.1:1",
            "AWS_SKIP_SIGNATURE": "true",
            "AWS_CONDITIONAL_PUT": "disabled",
            "AWS_S3_EXPRESS": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
        }.items():
            monkeypatch.setenv(name, value)
        once().put("a", b"", create=True)
        (request,) = scripted.received
        assert request.headers["if-none-match"] == "*"
        assert "authorization" in request.headers


class TestAnswers:
    """What answers mean, through both clients."""

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (s3_error(403, "AccessDenied", "Access Denied"), AccessDenied),
            (s3_error(403, "InvalidObjectState"), Archived),
            (s3_error(403, "SignatureDoesNotMatch"), CredentialsMissing),
            (s3_error(404, "NoSuchBucket"), NotFound),
            (s3_error(500, "InternalError"), Unavailable),
            (s3_error(503, "SlowDown"), Throttled),
            (s3_error(400, "Surprise"), InvalidInput),
            (Reply(0), Unavailable),
        ],
        ids=["denied", "archived", "signature", "bucket", "500", "slow", "400", "closed"],
    )
    def test_reads(self, scripted: Scripted, client: str, reply: Reply, error: type[Exception]) -> None:
        """Each failure of a read is the error it means, after one request."""
        scripted.answer = lambda _: reply
        with pytest.raises(error) as failed:
            once().get("a/b")
        assert failed.type is error
        # boto3 looks for the bucket's region after a 400.
        assert len(scripted.received) == 1 or (client == "boto3" and reply.status == 400)
        if reply.body:
            assert failed.value.request_id == "REQ1"  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("reply", "error"),
        [
            (s3_error(412, "PreconditionFailed"), Conflict),
            (s3_error(409, "ConditionalRequestConflict"), OutcomeUnknown),
            (s3_error(500, "InternalError"), OutcomeUnknown),
            (s3_error(503, "SlowDown"), OutcomeUnknown),
            (s3_error(403, "AccessDenied"), AccessDenied),
            (Reply(0), OutcomeUnknown),
        ],
        ids=["412", "409", "500", "503", "403", "closed"],
    )
    @pytest.mark.usefixtures("client")
    def test_creates(self, scripted: Scripted, reply: Reply, error: type[Exception]) -> None:
        """A create is sent once, and whether it may have happened is said exactly."""
        scripted.answer = lambda _: reply
        with pytest.raises(error) as failed:
            once().put("a/b", b"1", create=True)
        assert failed.type is error
        assert len(scripted.received) == 1

    def test_a_refused_look_up_says_why(self, scripted: Scripted) -> None:
        """HEAD has no body to say what is missing, so GET is asked."""
        scripted.answer = lambda request: Reply(404) if request.method == "HEAD" else s3_error(404, "NoSuchBucket")
        with pytest.raises(NotFound, match="s3://some-bucket does not exist"):
            once().head("a")

    def test_a_wrong_region_is_mended(self, scripted: Scripted) -> None:
        """A refusal that names the bucket's region is followed once, also for a create."""
        refusal = s3_error(400, "AuthorizationHeaderMalformed", "wrong", "<Region>eu-central-1</Region>")

        def answer(request: Received) -> Reply:
            return Reply() if "/eu-central-1/s3/" in request.headers["authorization"] else refusal

        scripted.answer = answer
        backend = once()
        backend.put("a", b"1", create=True)
        backend.put("b", b"1", create=True)
        assert len(scripted.received) == 3

    def test_a_listing_is_mended_too(self, scripted: Scripted) -> None:
        """A listing whose first request is refused that way is the whole listing, and not an empty one."""
        refusal = s3_error(400, "AuthorizationHeaderMalformed", "wrong", "<Region>eu-central-1</Region>")
        item = "<Contents><Key>a</Key><Size>1</Size><LastModified>2026-11-24T06:00:00Z</LastModified></Contents>"
        listing = Reply(body=f"<ListBucketResult>{item}</ListBucketResult>".encode())
        scripted.answer = lambda request: (
            listing if "/eu-central-1/s3/" in request.headers["authorization"] else refusal
        )
        assert [info.key for info in once().list("")] == ["a"]

    def test_an_unhelpful_refusal_is_not_followed(self, scripted: Scripted) -> None:
        """A refusal that names no other region is an error at once."""
        scripted.answer = lambda _: s3_error(400, "AuthorizationHeaderMalformed", "wrong")
        with pytest.raises(InvalidInput):
            once().get("a")
        assert len(scripted.received) == 1


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
