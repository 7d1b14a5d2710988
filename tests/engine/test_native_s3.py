"""Native objects and references on a bucket that keeps versions: each version is read in exactly its own."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.errors import AccessDenied, Damaged, ObjectMissing
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client
from mlflow_versioned_store.testing.crafting import commit_entry
from tests.servers.s3 import S3Server

ROOT = f"1/{'a' * 32}/artifacts"
# More than one ranged request each.
CONTENTS = [random.Random(seed).randbytes(20 << 20) for seed in range(2)]


@pytest.fixture
def bucket(minio: S3Server, s3_env: Callable[[S3Server], None]) -> str:
    """A bucket that keeps versions."""
    s3_env(minio)
    return minio.new_bucket(versioned=True)


@pytest.fixture
def store(bucket: str) -> Store:
    """A store in it."""
    return create_store(f"versioned-s3://{bucket}/store")


def put(minio: S3Server, bucket: str, key: str, data: bytes) -> str:
    """Put an object as any tool does, and return its version."""
    version: str = minio.client().put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
    return version


def test_native_versions_are_read_in_their_own_object_version(
    minio: S3Server, bucket: str, store: Store, tmp_path: Path
) -> None:
    """Overwritten and deleted under its key, each native version still reads; purged, it is missing by its name."""
    key = f"{ROOT}/model.bin"
    ids = [put(minio, bucket, f"store/{key}", data) for data in CONTENTS]
    for data, version_id in zip(CONTENTS, ids, strict=True):
        commit_entry(store, ROOT, "model.bin", data, {"native": key, "s3_version_id": version_id})
    minio.client().delete_object(Bucket=bucket, Key=f"store/{key}")
    root = client(*open_container(f"versioned-s3://{bucket}/store")).root(ROOT)
    versions = root.versions("model.bin")
    for version, data in zip(versions, CONTENTS, strict=True):
        root.download([(version, str(tmp_path / "file"))])
        assert (tmp_path / "file").read_bytes() == data
        assert root.read(version, 9 << 20, (9 << 20) + 5) == data[9 << 20 : (9 << 20) + 5]
    minio.client().delete_object(Bucket=bucket, Key=f"store/{key}", VersionId=ids[0])
    with pytest.raises(ObjectMissing, match=r"model\.bin@@v1"):
        root.read(versions[0])
    assert root.read(versions[1]) == CONTENTS[1]


def test_references_into_other_buckets(
    minio: S3Server, bucket: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to another bucket is followed where that is allowed, and held to its version or tag."""
    lake = minio.new_bucket(versioned=True)
    version_id = put(minio, lake, "raw/table", CONTENTS[0])
    tag = minio.client().head_object(Bucket=lake, Key="raw/table")["ETag"].strip('"')
    uri = f"s3://{lake}/raw/table"
    commit_entry(store, ROOT, "pinned", CONTENTS[0], {"reference": uri, "s3_version_id": version_id})
    commit_entry(store, ROOT, "tagged", CONTENTS[0], {"reference": uri, "e_tag": open_tag(lake, "raw/table", tag)})
    root = store.root(ROOT)
    pinned, tagged = root.versions("pinned")[0], root.versions("tagged")[0]
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", f"s3://{lake}/other/,s3://{uuid.uuid4().hex}")
    with pytest.raises(AccessDenied, match="MVS_ALLOWED_REFERENCES"):
        root.read(pinned)
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", f"s3://{lake}/raw/")
    assert root.read(pinned) == root.read(tagged) == CONTENTS[0]
    put(minio, lake, "raw/table", CONTENTS[1])
    assert root.read(pinned) == CONTENTS[0]
    assert root.read(pinned, 5, 10) == CONTENTS[0][5:10]
    with pytest.raises(Damaged, match="tagged@@v1"):
        root.read(tagged)
    with pytest.raises(Damaged, match="tagged@@v1"):
        root.read(tagged, 5, 10)


def open_tag(bucket: str, key: str, tag: str) -> str:
    """Return the tag as a backend tells it, which is how a commit records it."""
    told = open_container(f"versioned-s3://{bucket}")[0].head(key).e_tag
    assert told is not None
    assert tag in told
    return told
