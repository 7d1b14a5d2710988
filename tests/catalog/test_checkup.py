"""The checkup: what is wrong is named, with what to do about it, and nothing is left behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends import opening
from mlflow_versioned_store.backends.retry import RetryingBackend, RetryPolicy
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.catalog.checkup import ENTRY_POINT, ENTRY_POINTS, Check, Checkup, examine
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import create_store, open_store
from tests.engine.uploads import noise
from tests.servers.minio import Minio
from tests.servers.rclone import RcloneS3
from tests.servers.s3 import S3Server

RUN = f"1/{'a' * 32}/artifacts"


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a new store on the local disk."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri)
    return uri


def statuses(found: Checkup) -> dict[str, str]:
    """Return the status of each check."""
    return {check.name: check.status for check in found.checks}


def only(found: Checkup, name: str) -> Check:
    """Return the check of that name."""
    (check,) = (check for check in found.checks if check.name == name)
    return check


def files(folder: Path) -> set[Path]:
    """Return the files in a folder, however deep."""
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_healthy_store_passes(uri: str, tmp_path: Path) -> None:
    """Everything is tried and well, and no file of it stays."""
    before = files(tmp_path)
    found = examine(f"{uri}/{RUN}/data")
    names = ["plugin", "configuration", "store", "clock", "list", "create", "read", "delete", "conditional writes"]
    assert statuses(found) == dict.fromkeys([*names, "settings"], "ok")
    assert found.status == "ok"
    assert found.requests.requests > 0
    assert {value.name for value in found.values} >= {"MVS_MEMORY", "dedup_scope"}
    assert files(tmp_path) == before


def test_nothing_is_written_where_that_is_asked_for(uri: str, tmp_path: Path) -> None:
    """Without writing, only what reads is tried."""
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = examine(uri, write=False)
    assert set(statuses(found)) == {"plugin", "configuration", "store", "list", "read", "settings"}
    assert found.requests.put == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_place_without_a_store_is_tried(tmp_path: Path) -> None:
    """Where there is no store yet, that is said, and whether one could be made is tried, at its place."""
    found = examine(f"versioned-file://{tmp_path}/new/7/{RUN[2:]}")
    assert found.status == "warning"
    assert "mvs init" in only(found, "store").advice
    assert found.passed("conditional writes")
    assert files(tmp_path) == set()


def test_a_wrong_uri_is_told() -> None:
    """What is no URI of ours ends the checkup with what is wrong."""
    found = examine("s3://bucket")
    assert only(found, "configuration").status == "failed"
    assert "versioned-s3://" in only(found, "configuration").detail


def test_a_server_that_cannot_be_reached_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said once, with what was tried, and nothing else is tried in vain."""
    impatient = partial(RetryingBackend, policy=RetryPolicy(attempts=2))
    monkeypatch.setattr(opening, "RetryingBackend", impatient)
    for name, value in {"AWS_ACCESS_KEY_ID": "x" * 8, "AWS_SECRET_ACCESS_KEY": "y" * 8}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    found = examine("versioned-s3://bucket/store", write=False)
    names = {"plugin": "ok", "configuration": "ok", "store": "failed", "clock": "failed"}
    assert statuses(found) == names
    error = only(found, "store").error
    assert error is not None
    assert error.attempts > 1


def test_a_bucket_that_is_not_there_is_told_once(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """Without a bucket nothing in it is tried."""
    s3_env(minio)
    found = examine("versioned-s3://no-such-bucket/store")
    assert [name for name, status in statuses(found).items() if status == "failed"] == ["store"]
    assert "no-such-bucket does not exist" in only(found, "store").detail


def test_a_plugin_that_another_package_claims_fails(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that leads elsewhere too is told, with where it leads."""
    ours = metadata.EntryPoint("versioned-file", ENTRY_POINT, ENTRY_POINTS)
    other = metadata.EntryPoint("versioned-file", "other:repository", ENTRY_POINTS)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [ours, other])
    check = only(examine(uri, write=False), "plugin")
    assert (check.status, "other:repository" in check.detail) == ("failed", True)


def test_a_plugin_that_mlflow_does_not_know_fails(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the entry point, or without MLflow, the plugin cannot work."""
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])
    check = only(examine(uri, write=False), "plugin")
    assert (check.status, ENTRY_POINTS in check.detail) == ("failed", True)


@pytest.mark.parametrize(
    ("seconds", "status", "detail"),
    [(-1, "ok", "agrees"), (-20, "ok", "ahead"), (200, "warning", "200 s behind"), (-3000, "failed", "ahead")],
)
def test_a_wrong_clock_is_told(monkeypatch: pytest.MonkeyPatch, seconds: int, status: str, detail: str) -> None:
    """Half a minute apart is worth a word; at five minutes commits are dated by the store."""
    monkeypatch.setattr(WrapperBackend, "now", lambda self, folder="": datetime.now(UTC) + timedelta(seconds=seconds))
    check = only(examine(f"versioned-memory://{uuid.uuid4().hex}"), "clock")
    assert check.status == status
    assert detail in check.detail
    assert bool(check.advice) == (status != "ok")


def test_full_quotas_are_told(uri: str) -> None:
    """An experiment that needs 80 % of its quota is named; others are not."""
    store, _ = open_store(uri)
    for root in (RUN, f"2/{'b' * 32}/artifacts"):
        store.root(root).upload([Item("a", noise(1, 100_000))], context=Context())
    change_settings(store.settings_log, {"quota:1": 110_000, "quota:*": 1_000_000}, {})
    check = only(examine(uri), "quotas")
    assert check.status == "warning"
    assert check.detail == "experiment 1 needs 91% of its quota of 110,000 bytes"
    change_settings(store.settings_log, {"quota:1": 500_000, "quota:*": None}, {})
    assert only(examine(uri), "quotas").status == "ok"


def grant(bucket: str, *actions: str) -> list[dict[str, Any]]:
    """Return a policy that allows actions on a bucket and everything in it."""
    return [
        {"Effect": "Allow", "Action": list(actions), "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
    ]


def test_a_writer_of_one_experiment_is_tried_where_it_writes(
    real_minio: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may only add, to one experiment, passes at its own place and nowhere else."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    store = create_store(f"versioned-s3://{bucket}/store")
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, {})
    statements = grant(bucket, "s3:ListBucket", "s3:GetObject")
    folders = [
        f"arn:aws:s3:::{bucket}/store/{folder}/*" for folder in (keys.log("1"), keys.domain_folder("experiment-1"))
    ]
    statements.append({"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": folders})
    access, secret = real_minio.add_user(f"user-{uuid.uuid4().hex[:8]}", *statements)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    own, other = (examine(f"versioned-s3://{bucket}/store/{number}/{'a' * 32}/artifacts") for number in (1, 2))
    assert {check.name for check in own.checks if check.status != "ok"} == {"delete"}
    assert only(other, "create").status == "failed"
    assert "experiment-2" in only(other, "create").advice


@pytest.mark.parametrize(
    ("missing", "check", "status"),
    [
        ("s3:ListBucket", "list", "failed"),
        ("s3:GetObject", "read", "failed"),
        ("s3:PutObject", "create", "failed"),
        ("s3:DeleteObject", "delete", "warning"),
    ],
)
def test_a_missing_permission_is_named(
    real_minio: Minio,
    s3_env: Callable[[S3Server], None],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    check: str,
    status: str,
) -> None:
    """What may not be done is named in the provider's words, with its place, and the rest is tried all the same."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    create_store(f"versioned-s3://{bucket}/store")
    allowed = {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} - {missing}
    access, secret = real_minio.add_user(f"user-{uuid.uuid4().hex[:8]}", *grant(bucket, *sorted(allowed)))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    found = examine(f"versioned-s3://{bucket}/store")
    assert only(found, check).status == status
    if status == "failed":
        assert missing in only(found, check).advice
        assert f"s3://{bucket}/store" in only(found, check).advice
    left = [key for key in real_minio.keys(bucket) if keys.PROBES in key]
    assert len(left) == (missing == "s3:DeleteObject")


def test_a_server_that_overwrites_fails(rclone_s3: RcloneS3, s3_env: Callable[[S3Server], None]) -> None:
    """A server on which two writers both win is told apart from one that is refused for another reason."""
    s3_env(rclone_s3)
    found = examine(f"versioned-s3://{rclone_s3.new_bucket()}/store")
    assert only(found, "conditional writes").status == "failed"
    assert "If-None-Match" in only(found, "conditional writes").detail


def test_the_bucket_is_looked_at(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """Whether the bucket keeps versions is told, and a rule that takes the store's data away fails."""
    s3_env(minio)
    bucket = minio.new_bucket(versioned=True)
    create_store(f"versioned-s3://{bucket}/store")
    rule = {"ID": "clean up", "Status": "Enabled", "Filter": {"Prefix": "store/"}, "Expiration": {"Days": 9}}
    minio.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    found = examine(f"versioned-s3://{bucket}/store")
    assert "Enabled" in only(found, "bucket versioning").detail
    assert only(found, "lifecycle rules").status == "failed"
    assert "clean up" in only(found, "lifecycle rules").detail
    assert only(found, "conditional writes").status == "ok"
