"""What providers' answers mean."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.backends.provider_errors import Answer, Request, error_for
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
    Unsupported,
    VersionedStoreError,
)


@pytest.mark.parametrize(
    ("action", "answer", "expected"),
    [
        ("read", Answer(404, "NoSuchKey"), NotFound),
        ("look up", Answer(404), NotFound),
        ("list", Answer(404, "NoSuchBucket"), NotFound),
        ("write", Answer(404, "NoSuchBucket"), NotFound),
        ("read", Answer(403, "AccessDenied"), AccessDenied),
        ("delete", Answer(403), AccessDenied),
        ("read", Answer(403, "RequestTimeTooSkewed"), AccessDenied),
        ("read", Answer(403, "InvalidObjectState"), Archived),
        ("read", Answer(403, "InvalidAccessKeyId"), CredentialsMissing),
        ("read", Answer(403, "SignatureDoesNotMatch"), CredentialsMissing),
        ("create", Answer(400, "ExpiredToken"), CredentialsMissing),
        ("read", Answer(401), CredentialsMissing),
        ("create", Answer(412, "PreconditionFailed"), Conflict),
        ("create", Answer(409, "BlobAlreadyExists"), Conflict),
        ("create", Answer(409, "ConditionalRequestConflict"), OutcomeUnknown),
        ("create", Answer(500, "InternalError"), OutcomeUnknown),
        ("create", Answer(503, "SlowDown"), OutcomeUnknown),
        ("create", Answer(400, "RequestTimeout"), OutcomeUnknown),
        ("create", Answer(None), OutcomeUnknown),
        ("create", Answer(None, sent=False), Unavailable),
        ("create", Answer(429), Throttled),
        ("create", Answer(501, "NotImplemented"), Unsupported),
        ("read", Answer(503, "SlowDown"), Throttled),
        ("write", Answer(400, "ThrottlingException"), Throttled),
        ("read", Answer(500, "InternalError"), Unavailable),
        ("write", Answer(400, "BadDigest"), Unavailable),
        ("write", Answer(409, "OperationAborted"), Unavailable),
        ("write", Answer(409, "ObjectParentIsFile"), InvalidInput),
        ("read", Answer(None), Unavailable),
        ("read", Answer(416, "InvalidRange"), InvalidInput),
        ("write", Answer(400, "InvalidArgument"), InvalidInput),
        ("write", Answer(400, "InvalidBucketName"), InvalidInput),
    ],
    ids=str,
)
def test_meanings(action: str, answer: Answer, expected: type[VersionedStoreError]) -> None:
    """Each answer is exactly one of our errors, naming the container or the object, if there can be one."""
    error = error_for(answer, Request(action, "s3://bucket", "a/b"))
    assert type(error) is expected
    assert "s3://bucket" in str(error)
    assert error.key == (None if answer.code == "NoSuchBucket" else "a/b")


def test_a_missing_bucket_is_named_as_one() -> None:
    """That the bucket is missing is told apart from a missing object, and a missing folder is no message at all."""
    bucket = error_for(Answer(404, "NoSuchBucket"), Request("read", "s3://bucket", "a"))
    listed = error_for(Answer(404), Request("list", "s3://bucket", "a"))
    key = error_for(Answer(404, "NoSuchKey"), Request("read", "s3://bucket", "a"))
    assert str(bucket) == str(listed)
    assert "s3://bucket does not exist" in str(bucket)
    assert "no object s3://bucket/a" in str(key)


def test_denied_names_action_and_key() -> None:
    """Who is denied learns what to ask for, in the provider's words too, and the request's id."""
    answer = Answer(403, "AccessDenied", "Access Denied.", "ID7")
    error = error_for(answer, Request("delete", "s3://bucket", "a/b"))
    assert "may not delete s3://bucket/a/b" in str(error)
    assert "Access Denied. (403, AccessDenied)" in str(error)
    assert error.request_id == "ID7"


def test_archived_names_the_way_back() -> None:
    """An archived object says how it is restored."""
    error = error_for(Answer(403, "InvalidObjectState"), Request("read", "s3://bucket", "a"))
    assert "restore-object" in str(error)
