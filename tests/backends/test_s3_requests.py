"""S3 on a scripted server: what is sent, and what answers mean, through both clients."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore import exceptions

from mlflow_versioned_store.backends import boto3_objects, s3, s3_arguments
from mlflow_versioned_store.backends.provider_errors import Request, error_for
from mlflow_versioned_store.backends.s3_arguments import VARIABLE
from mlflow_versioned_store.backends.s3_config import resolve
from mlflow_versioned_store.errors import (
    AccessDenied,
    Archived,
    Conflict,
    CredentialsMissing,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from tests.backends.buckets import once
from tests.backends.scripted import Received, Reply, Scripted, s3_error
from tests.servers.s3 import S3Server

Environment = Callable[[S3Server], None]


ARGUMENTS: dict[str, tuple[object, dict[str, str]]] = {
    "ACL": ("bucket-owner-full-control", {"x-amz-acl": "bucket-owner-full-control"}),
    "BucketKeyEnabled": (True, {"x-amz-server-side-encryption-bucket-key-enabled": "true"}),
    "CacheControl": ("no-transform", {"cache-control": "no-transform"}),
    "ContentDisposition": ("inline", {"content-disposition": "inline"}),
    "ContentLanguage": ("de", {"content-language": "de"}),
    "ContentType": ("text/x", {"content-type": "text/x"}),
    "Expires": ("2027-01-01T01:00:00+01:00", {"expires": "Fri, 01 Jan 2027 00:00:00 GMT"}),
    "GrantFullControl": ("id=1", {"x-amz-grant-full-control": "id=1"}),
    "GrantRead": ("id=1", {"x-amz-grant-read": "id=1"}),
    "GrantReadACP": ("id=1", {"x-amz-grant-read-acp": "id=1"}),
    "GrantWriteACP": ("id=1", {"x-amz-grant-write-acp": "id=1"}),
    "Metadata": ({"team": "churn"}, {"x-amz-meta-team": "churn"}),
    "ObjectLockLegalHoldStatus": ("ON", {"x-amz-object-lock-legal-hold": "ON"}),
    "ObjectLockMode": ("GOVERNANCE", {"x-amz-object-lock-mode": "GOVERNANCE"}),
    "ObjectLockRetainUntilDate": (
        "2027-01-01",
        {"x-amz-object-lock-retain-until-date": "2027-01-01T00:00:00Z"},
    ),
    "RequestPayer": ("requester", {"x-amz-request-payer": "requester"}),
    "SSEKMSEncryptionContext": ("e30=", {"x-amz-server-side-encryption-context": "e30="}),
    "SSEKMSKeyId": ("key-1", {"x-amz-server-side-encryption-aws-kms-key-id": "key-1"}),
    "ServerSideEncryption": ("aws:kms", {"x-amz-server-side-encryption": "aws:kms"}),
    "StorageClass": ("STANDARD_IA", {"x-amz-storage-class": "STANDARD_IA"}),
    "Tagging": ("team=churn&cost=a%20b", {}),
}


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

    def test_the_client_for_large_objects_is_opened_for_the_first_one(
        self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Opening a client takes milliseconds, which who only reads or writes a little need not wait for."""
        opened = []
        open_one = s3._Handles._store

        def counted(self: s3._Handles, **client: Any) -> object:
            opened.append(client)
            return open_one(self, **client)

        monkeypatch.setattr(s3._Handles, "_store", counted)
        backend = once()
        backend.put("a", b"small")
        assert len(opened) == 1
        backend.put("a", bytes(1 << 20))
        assert len(opened) == 2
        assert len(scripted.received) == 2

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

    def test_threads_that_meet_a_refusal_together_all_succeed(self, scripted: Scripted) -> None:
        """Writers that are refused for one reason at one time are all sent again."""
        answer = s3_error(400, "InvalidRequest", "Checksum Type not supported")
        together = threading.Barrier(8, timeout=60)

        def reply(request: Received) -> Reply:
            if "x-amz-checksum-crc64nvme" not in request.headers:
                return Reply()
            together.wait()
            return answer

        scripted.answer = reply
        backend = once()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: backend.put(str(number), b"1"), range(8)))
        assert len(scripted.received) == 16

    @pytest.mark.usefixtures("client")
    def test_every_argument_is_on_every_write(self, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        """Upload arguments are on small, large and conditional writes as servers expect them, and not on reads."""
        # The owner is checked on every other request as well, and customer keys are not sent without TLS.
        assert set(ARGUMENTS) == s3_arguments._KNOWN - s3_arguments._CUSTOMER_KEY - {"ExpectedBucketOwner"}
        monkeypatch.setenv(VARIABLE, json.dumps({name: value for name, (value, _) in ARGUMENTS.items()}))
        expected = {name: value for _, headers in ARGUMENTS.values() for name, value in headers.items()}
        backend = once()
        backend.put("a", b"1")
        backend.put("b", b"1" * (1 << 20))
        backend.put("c", b"1", create=True)
        for request in scripted.received:
            assert expected.items() <= request.headers.items()
            assert parse_qs(request.headers["x-amz-tagging"]) == {"team": ["churn"], "cost": ["a b"]}
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

    @pytest.mark.parametrize(
        ("error", "meaning"),
        [
            (exceptions.ParamValidationError(report="Invalid type"), InvalidInput),
            (exceptions.NoCredentialsError(), CredentialsMissing),
            (exceptions.CredentialRetrievalError(provider="sso", error_msg="ended"), CredentialsMissing),
            (exceptions.UnauthorizedSSOTokenError(), CredentialsMissing),
            (exceptions.ReadTimeoutError(endpoint_url="http://host"), OutcomeUnknown),
            (exceptions.EndpointConnectionError(endpoint_url="http://host", error="refused"), Unavailable),
        ],
        ids=lambda value: getattr(value, "__name__", type(value).__name__),
    )
    def test_what_boto3_refuses_itself_is_certain(self, error: Exception, meaning: type[Exception]) -> None:
        """Only a create that may have been sent is uncertain; wrong arguments and missing keys are what they are."""
        told = error_for(boto3_objects.answer_of(error), Request("create", "s3://some-bucket", "a"))
        assert type(told) is meaning

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
