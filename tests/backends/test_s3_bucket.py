"""Lifecycle rules that would take a store's data away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_bucket import bucket_versioning, check_lifecycle
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.errors import Unsupported
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

EXPIRE = {"Expiration": {"Days": 30}}
ARCHIVE = {"Transitions": [{"Days": 30, "StorageClass": "GLACIER"}]}


def check(server: S3Server, s3_env: Callable[[S3Server], None], *rules: dict[str, Any]) -> bool | None:
    """Set rules on a new bucket and check the place `some/store` in it."""
    s3_env(server)
    bucket = server.new_bucket()
    if rules:
        named = [{"ID": "the-rule", "Status": "Enabled", **rule} for rule in rules]
        configuration = {"Rules": named}
        server.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=configuration)
    backend, path = open_container(f"versioned-s3://{bucket}/some/store")
    return check_lifecycle(ScopedBackend(backend, path))


@pytest.mark.parametrize(
    ("rule", "does"),
    [
        ({**EXPIRE, "Filter": {"Prefix": ""}}, "deletes"),
        ({**EXPIRE, "Filter": {"Prefix": "some/"}}, "deletes"),
        ({**EXPIRE, "Filter": {"Prefix": "some/store/_mvs/data/"}}, "deletes"),
        ({**EXPIRE, "Prefix": "some/store"}, "deletes"),
        ({**ARCHIVE, "Filter": {"Prefix": ""}}, "archives"),
        ({**ARCHIVE, "Filter": {"And": {"Prefix": "some/", "ObjectSizeGreaterThan": 1}}}, "archives"),
    ],
    ids=["all", "above", "below", "old style", "archive", "size"],
)
def test_harmful_rules_are_refused_by_name(
    moto_server: S3Server, s3_env: Callable[[S3Server], None], rule: dict[str, Any], does: str
) -> None:
    """A rule that deletes or archives below the store's own folder is refused by its ID."""
    with pytest.raises(Unsupported, match=f"'the-rule' .* {does} objects below some/store/_mvs/"):
        check(moto_server, s3_env, rule)


@pytest.mark.parametrize(
    "rule",
    [
        {**EXPIRE, "Filter": {"Prefix": "other/"}},
        {**EXPIRE, "Filter": {"Prefix": "some/store/images/"}},
        {**EXPIRE, "Filter": {"Prefix": ""}, "Status": "Disabled"},
        {**EXPIRE, "Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}},
        {"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}], "Filter": {"Prefix": ""}},
        {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}, "Filter": {"Prefix": ""}},
    ],
    ids=["elsewhere", "beside", "disabled", "tagged", "warm", "multipart"],
)
def test_harmless_rules_pass(moto_server: S3Server, s3_env: Callable[[S3Server], None], rule: dict[str, Any]) -> None:
    """Rules for other places, other tags or other purposes are nobody's concern."""
    assert check(moto_server, s3_env, rule) is True


def test_tags_of_the_upload_count(
    moto_server: S3Server, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule for a tag applies where the upload arguments set that tag on every object."""
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"Tagging": "temporary=yes&a=b"}')
    with pytest.raises(Unsupported, match="the-rule"):
        check(moto_server, s3_env, {**EXPIRE, "Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}})


def test_no_rules(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """A bucket without rules is fine."""
    assert check(minio, s3_env) is True


def test_unknown_is_not_harmful(
    real_minio: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the rules may not be read, or there can be none, nothing is said against the bucket."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    only_get = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
    key, secret = real_minio.add_user("no-lifecycle", only_get)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    assert check_lifecycle(open_container(f"versioned-s3://{bucket}")[0]) is None
    monkeypatch.setenv("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION", "unsigned")
    assert check_lifecycle(open_container(f"versioned-s3://{bucket}")[0]) is None
    assert check_lifecycle(open_memory("lifecycle")) is None


def test_servers_without_lifecycle(versitygw: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """A server that has no such call keeps its data."""
    assert check(versitygw, s3_env) is None


def test_a_bucket_tells_whether_it_keeps_versions(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """Versioning is off, on or suspended, and unknown where there is no such thing."""
    s3_env(minio)
    bucket = minio.new_bucket()
    backend, path = open_container(f"versioned-s3://{bucket}/some/store")
    told = [bucket_versioning(ScopedBackend(backend, path))]
    for status in ("Enabled", "Suspended"):
        minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        told.append(bucket_versioning(backend))
    assert told == ["off", "Enabled", "Suspended"]
    assert bucket_versioning(open_memory("bucket")) is None
