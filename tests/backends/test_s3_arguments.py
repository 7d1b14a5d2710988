"""Upload arguments: which are honoured, which are refused, and what they say of encryption."""

from __future__ import annotations

import base64
import json

import pytest

from mlflow_versioned_store.backends.s3_arguments import parse
from mlflow_versioned_store.errors import InvalidInput

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[]", "JSON object"),
        ('{"acl": "private"}', "acl .* not known"),
        ('{"ChecksumAlgorithm": "SHA256"}', "cannot be honoured: objects carry"),
        ('{"ContentEncoding": "gzip"}', "cannot be honoured"),
        ('{"WebsiteRedirectLocation": "/x"}', "cannot be read back"),
        ('{"StorageClass": "GLACIER"}', "cannot be read back"),
        ('{"StorageClass": "DEEP_ARCHIVE"}', "cannot be read back"),
        ('{"ServerSideEncryption": "rot13"}', "one of AES256"),
        ('{"SSEKMSKeyId": "k"}', "needs ServerSideEncryption"),
        ('{"SSECustomerKey": "short"}', "32 bytes"),
        ('{"SSECustomerAlgorithm": "AES256"}', "no SSECustomerKey"),
        (json.dumps({"SSECustomerKey": KEY, "ServerSideEncryption": "AES256"}), "one key"),
        ('{"RequestPayer": "me"}', "requester"),
        ('{"BucketKeyEnabled": "true"}', "must be a bool"),
        ('{"Metadata": {"a": 1}}', "names to texts"),
        ('{"ACL": 3}', "must be a str"),
        ('{"Metadata": {"a": "gr\u00fcn"}}', "printable ASCII"),
        ('{"Metadata": {"a": "b\\nc"}}', "printable ASCII"),
        ('{"ObjectLockRetainUntilDate": "next year"}', "must be a time"),
        ('{"Expires": "soon"}', "must be a time"),
    ],
)
def test_what_cannot_be_honoured_is_refused(text: str, says: str) -> None:
    """An argument that would be dropped, or would make objects unreadable, is an error and never silence."""
    with pytest.raises(InvalidInput, match=says):
        parse(text)


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_no_arguments(text: str | None) -> None:
    """Without arguments nothing is sent."""
    arguments = parse(text)
    assert arguments.boto3_write() == arguments.headers == arguments.obstore_settings == arguments.attributes == {}
    assert arguments.encryption_scope is None


def test_customer_keys_come_plain_or_in_base64() -> None:
    """Both spellings that boto3 takes are one key, and one scope."""
    plain, encoded = (
        parse(json.dumps({"SSECustomerKey": text})) for text in (KEY, base64.b64encode(KEY.encode()).decode())
    )
    assert plain.customer_key == encoded.customer_key == KEY.encode()
    assert plain.encryption_scope == encoded.encryption_scope


def test_scopes_tell_keys_apart() -> None:
    """Each encryption key is a scope of its own, stable, and no scope gives a key away."""
    given: list[dict[str, object]] = [
        {},
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "one"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "two"},
        {"ServerSideEncryption": "aws:kms:dsse", "SSEKMSKeyId": "two"},
        {"SSECustomerKey": KEY},
        {"SSECustomerKey": KEY[::-1]},
    ]
    scopes = [parse(json.dumps(arguments)).encryption_scope for arguments in given]
    assert len(set(scopes)) == len(given)
    assert scopes[:4] == [None, "sse-s3", "aws:kms:default", "aws:kms:one"]
    assert all(KEY not in (scope or "") for scope in scopes)
    assert parse(json.dumps({"ACL": "private", "StorageClass": "STANDARD_IA"})).encryption_scope is None


def test_an_encryption_context_is_encoded() -> None:
    """A context given as JSON is sent as S3 wants it."""
    context = {"team": "churn"}
    arguments = parse(json.dumps({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": json.dumps(context)}))
    sent = arguments.headers["x-amz-server-side-encryption-context"]
    assert json.loads(base64.b64decode(sent)) == context


def test_no_secret_is_shown() -> None:
    """The text of the arguments names them only."""
    arguments = parse(json.dumps({"SSECustomerKey": KEY, "ACL": "private"}))
    assert repr(arguments) == "UploadArguments(ACL, SSECustomerKey)"
