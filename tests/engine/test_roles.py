"""Principals that may do little: they log and read, what they may not do only costs space, and keys stay apart."""

from __future__ import annotations

import json
import logging
import random
import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_arguments import VARIABLE
from mlflow_versioned_store.content.locations import decode_content
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied, NoStore
from mlflow_versioned_store.store import Store, create_store, open_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client
from tests.servers.minio import KMS_KEY, Minio
from tests.servers.s3 import S3Server

RUN, OTHER = "a" * 32, "b" * 32
DATA = b"".join(b"%d,%d\n" % (row, random.Random(row).getrandbits(64)) for row in range(20_000))
EDITED = DATA.replace(b"7,", b"8,", 40)
CONTEXT = Context()
PERMISSIONS = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
Statement = dict[str, Any]
As = Callable[[tuple[str, str]], None]


def documented(bucket: str) -> list[Statement]:
    """Return the policy of the documentation, for a store in a bucket's folder "mlflow"."""
    (policy,) = re.findall(r"```json\n(.*?)```", PERMISSIONS.read_text(encoding="utf-8"), re.DOTALL)
    statements: list[Statement] = json.loads(policy.replace("my-bucket", bucket))["Statement"]
    return statements


def deny(bucket: str, actions: Iterable[str], *parts: str) -> list[Statement]:
    """Return statements that deny actions on the objects, and listings of the folders, of a store in "mlflow"."""
    objects = [action for action in actions if action != "s3:ListBucket"]
    denied: list[Statement] = []
    if objects:
        resources = [f"arn:aws:s3:::{bucket}/mlflow/_mvs/{part}" for part in parts]
        denied.append({"Effect": "Deny", "Action": objects, "Resource": resources})
    if "s3:ListBucket" in actions:
        folders = {"StringLike": {"s3:prefix": [f"mlflow/_mvs/{part}" for part in parts]}}
        bucket_arn = f"arn:aws:s3:::{bucket}"
        denied.append({"Effect": "Deny", "Action": "s3:ListBucket", "Resource": bucket_arn, "Condition": folders})
    return denied


@pytest.fixture
def as_user(real_minio: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch) -> As:
    """Send this process's requests to MinIO as somebody; as its owner at first."""
    s3_env(real_minio)

    def be(pair: tuple[str, str]) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair[1])

    return be


def user(server: Minio, *statements: Statement) -> tuple[str, str]:
    """Return the key pair of a new user."""
    return server.add_user(f"user-{uuid.uuid4().hex[:8]}", *statements)


def opened(uri: str) -> Store:
    """Return a client with the credentials and arguments of now."""
    return client(*open_container(uri))


def upload(store: Store, data: bytes, run: str, path: str = "d/table") -> None:
    """Upload one file to a run."""
    store.root(f"1/{run}/artifacts").upload([Item(path, data)], context=CONTEXT)


def reads(store: Store, run: str) -> dict[str, bytes]:
    """Return all that is current in a run."""
    root = store.root(f"1/{run}/artifacts")
    return {version.path: root.read(version) for version in root.walk()}


def stored(server: S3Server, bucket: str) -> int:
    """Return the bytes of all packs."""
    return sum(size for key, size in server.keys(bucket).items() if "/packs/" in key)


def test_the_documented_role_makes_logs_and_reads(
    real_minio: Minio, as_user: As, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy of the documentation suffices to make a store, log, find what is there, delete and read."""
    bucket = real_minio.new_bucket()
    as_user(user(real_minio, *documented(bucket)))
    target = f"versioned-s3://{bucket}/mlflow/1/{RUN}/artifacts"
    with pytest.raises(AccessDenied, match="MVS_STORE"):
        open_store(target, write=True)
    with monkeypatch.context() as patch:
        patch.setenv("MVS_STORE", f"versioned-s3://{bucket}/mlflow")
        store, path = open_store(target, write=True)
    assert (store.location, path) == (f"s3://{bucket}/mlflow", f"1/{RUN}/artifacts")
    upload(store, DATA, RUN)
    once = stored(real_minio, bucket)
    store = opened(f"versioned-s3://{bucket}/mlflow")
    upload(store, DATA, OTHER)
    upload(store, b"small", OTHER, "small")
    assert stored(real_minio, bucket) == once
    assert store.root(f"1/{OTHER}/artifacts").delete("small", context=CONTEXT) == 1
    assert reads(opened(f"versioned-s3://{bucket}/mlflow"), OTHER) == {"d/table": DATA}
    assert [record.getMessage() for record in caplog.records if "Created" not in record.getMessage()] == []


HELP = {
    "hooks may not be listed": (["s3:ListBucket"], ["data/*/hooks/*"]),
    "marks may not be listed": (["s3:ListBucket"], ["gc/*"]),
    "indexes may not be read": (["s3:GetObject"], ["data/*/indexes/*"]),
    "settings may not be read": (["s3:GetObject", "s3:ListBucket"], ["settings/*"]),
    "hooks and indexes may not be written": (["s3:PutObject"], ["data/*/hooks/*", "data/*/indexes/*"]),
}


@pytest.mark.parametrize("denied", HELP)
def test_who_may_not_be_helped_stores_plainly(
    real_minio: Minio, as_user: As, denied: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where what only helps is forbidden the upload succeeds all the same, with one warning that names it."""
    bucket = real_minio.new_bucket()
    uri = f"versioned-s3://{bucket}/mlflow"
    upload(create_store(uri), DATA, RUN)
    actions, parts = HELP[denied]
    as_user(user(real_minio, *documented(bucket), *deny(bucket, actions, *parts)))
    caplog.clear()
    store = opened(uri)
    upload(store, EDITED, OTHER)
    assert reads(opened(uri), OTHER) == {"d/table": EDITED}
    assert reads(opened(uri), RUN) == {"d/table": DATA}
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1, [record.getMessage() for record in warnings]
    assert "may not" in warnings[0].getMessage()


def test_a_reader_reads_and_does_not_write(real_minio: Minio, as_user: As) -> None:
    """Who may only read gets everything, and an error for a write that names what is missing; nothing is visible."""
    bucket = real_minio.new_bucket()
    uri = f"versioned-s3://{bucket}/mlflow"
    upload(create_store(uri), DATA, RUN)
    as_user(user(real_minio, *documented(bucket), *deny(bucket, ["s3:PutObject"], "*")))
    store = opened(uri)
    assert reads(store, RUN) == {"d/table": DATA}
    for data in (b"small", EDITED):
        with pytest.raises(AccessDenied, match="may not"):
            upload(store, data, RUN, "other")
    assert reads(opened(uri), RUN) == {"d/table": DATA}


def test_a_forbidden_log_is_not_an_empty_one(real_minio: Minio, as_user: As) -> None:
    """Who may not list or read a run's log is told so: the run is neither empty nor new to them."""
    bucket = real_minio.new_bucket()
    uri = f"versioned-s3://{bucket}/mlflow"
    upload(create_store(uri), b"small", RUN)
    as_user(user(real_minio, *documented(bucket), *deny(bucket, ["s3:GetObject", "s3:ListBucket"], "log/*")))
    for attempt in (lambda: reads(opened(uri), RUN), lambda: upload(opened(uri), b"x", RUN)):
        with pytest.raises(AccessDenied, match="may not"):
            attempt()


def test_a_hidden_marker_is_not_an_absent_one(real_minio: Minio, as_user: As, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a nearer ancestor may not be looked at no store is found or made; MVS_STORE then says where it is."""
    bucket = real_minio.new_bucket()
    uri = f"versioned-s3://{bucket}/mlflow"
    made = create_store(uri)
    only_below = [statement for statement in documented(bucket) if statement["Action"] != "s3:GetObject"]
    readable = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/mlflow/_mvs/*"}
    as_user(user(real_minio, *only_below, readable))
    target = f"{uri}/team/1/{RUN}/artifacts"
    for write in (False, True):
        with pytest.raises(AccessDenied, match="MVS_STORE") as caught:
            open_store(target, write=write)
        assert not isinstance(caught.value, NoStore)
    monkeypatch.setenv("MVS_STORE", uri)
    store, path = open_store(target, write=True)
    assert (store.id, path) == (made.id, f"team/1/{RUN}/artifacts")
    upload(store, DATA, RUN)
    assert reads(opened(uri), RUN) == {"d/table": DATA}


def test_two_principals_with_two_keys(
    minio_kms: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each principal, denied what lies under the other's key, reads back all it logged: nobody leans on the other."""
    s3_env(minio_kms)
    bucket = minio_kms.new_bucket()
    uri = f"versioned-s3://{bucket}/mlflow"
    create_store(uri)
    # One key under the two names that this server knows it by: what is told apart are the names that uploads ask for.
    arguments = [
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": f"{prefix}{KMS_KEY}"} for prefix in ("", "arn:aws:kms:")
    ]
    domains = []
    for given, run in zip(arguments, (RUN, OTHER), strict=True):
        monkeypatch.setenv(VARIABLE, json.dumps(given))
        store = opened(uri)
        upload(store, DATA, run)
        upload(store, EDITED, run)
        domains.append(store.domain(f"1/{run}/artifacts").name)
    assert len(set(domains)) == 2
    for run, given, own, foreign in zip((RUN, OTHER), arguments, domains, reversed(domains), strict=True):
        policy = [*documented(bucket), *deny(bucket, ["s3:GetObject", "s3:PutObject"], f"data/{foreign}/*")]
        pair = user(minio_kms, *policy)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", pair[0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", pair[1])
        monkeypatch.setenv(VARIABLE, json.dumps(given))
        upload(opened(uri), DATA + b"more,1\n", run, "d/more")
        store = opened(uri)
        invariants.check_all(store, f"1/{run}/artifacts")
        assert reads(store, run) == {"d/table": EDITED, "d/more": DATA + b"more,1\n"}
        assert domains_of(store, run) == {own}
    encrypted = minio_kms.client().head_object(Bucket=bucket, Key=f"mlflow/{any_pack(minio_kms, bucket)}")
    assert encrypted["ServerSideEncryption"] == "aws:kms"


def domains_of(store: Store, run: str) -> set[str]:
    """Return the domains of everything that a run's commits name."""
    log = invariants.log_of(store, f"1/{run}/artifacts")
    contents = [decode_content(change.content) for commit in log.commits() for change in commit.changes]
    packs = {pack.domain for content in contents for pack in (*content.packs, *content.leans)}
    return packs | {index.domain for content in contents for index in content.indexes}


def any_pack(server: S3Server, bucket: str) -> str:
    """Return the key of a pack inside the store."""
    found = next(key for key in server.keys(bucket, f"mlflow/{keys.RESERVED}/data/") if "/packs/" in key)
    return found.removeprefix("mlflow/")
