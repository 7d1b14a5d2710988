"""What each role may do, before and in the language of each provider."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.policies import aws, azure, gcp
from mlflow_versioned_store.policies.roles import ROLES, Action, Role, Scope, grants, scope

DIGEST = "a" * 64
RUN = "1/" + "b" * 32 + "/artifacts"
COMMIT = keys.commit(keys.log(RUN), 1)
PACK = keys.pack("all", DIGEST)
NATIVE = f"{RUN}/data/a.parquet"
WHOLE = scope(dedup_scope="store")


def may(role: Role, action: Action, key: str, part: Scope = WHOLE, *, native: bool = True) -> bool:
    """Tell whether a role may do something to a key."""
    return any(
        grant.action == action
        and any(fnmatchcase(key, pattern) for pattern in grant.patterns)
        and not any(fnmatchcase(key, pattern) for pattern in grant.but)
        for grant in grants(role, part, native=native)
    )


@pytest.mark.parametrize("key", [keys.MARKER, COMMIT, PACK, NATIVE])
def test_a_reader_reads_everything_and_writes_nothing(key: str) -> None:
    """A reader reads versions, and nothing else."""
    assert may("reader", "read", key)
    assert not any(may("reader", action, key) for action in ("create", "write", "hide", "delete"))


def test_a_writer_creates_and_never_deletes_or_overwrites() -> None:
    """A writer creates commits and packs, writes native objects, and leaves markers, settings and marks alone."""
    assert may("writer", "create", COMMIT)
    assert may("writer", "create", PACK)
    assert may("writer", "write", NATIVE)
    assert not may("writer", "create", keys.MARKER)
    assert not may("writer", "create", keys.mark("all", DIGEST))
    assert not any(grant.action == "delete" for grant in grants("writer", WHOLE, native=True))


def test_without_native_objects_a_writer_only_creates() -> None:
    """Where nothing is native nobody may write beside the store's own folder."""
    assert not may("writer", "write", NATIVE, native=False)


def test_an_auditor_sees_history_and_no_bytes() -> None:
    """An auditor reads commits and settings, and no pack or native object."""
    assert may("auditor", "read", COMMIT)
    assert not may("auditor", "read", PACK)
    assert not may("auditor", "read", NATIVE)
    assert may("auditor", "read", f"1/{keys.MARKER}")


def test_a_collector_deletes_packs_and_keeps_history() -> None:
    """A collector removes packs and marks, and no commit."""
    assert may("collector", "delete", PACK)
    assert may("collector", "delete", keys.mark("all", DIGEST))
    assert not may("collector", "delete", COMMIT)


@pytest.mark.parametrize("role", ROLES)
def test_an_experiment_is_a_part_of_its_own(role: Role) -> None:
    """A role for experiment 1 reaches neither experiment 10 nor any other."""
    part = scope(dedup_scope="experiment", experiment="1")
    for domain in ("experiment-10", "experiment-2", "all"):
        for action in ("read", "create", "delete"):
            assert not may(role, action, keys.pack(domain, DIGEST), part) or role == "collector"
    if role in ("reader", "writer"):
        assert may(role, "read", keys.pack("experiment-1", DIGEST), part)
        assert may(role, "read", keys.pack("experiment-1-key-" + "a" * 16, DIGEST), part)
    if role != "collector":
        assert not may(role, "read", keys.commit(keys.log("10/x"), 1), part)


def test_a_part_of_a_shared_domain_is_refused() -> None:
    """Where chunks are shared, a policy for one experiment would promise what it cannot keep."""
    with pytest.raises(InvalidInput, match="rescope"):
        scope(dedup_scope="store", experiment="1")


@pytest.mark.parametrize("experiment", ["", "1/2", "../x"])
def test_what_is_no_experiment_is_refused(experiment: str) -> None:
    """An experiment is one component."""
    with pytest.raises(InvalidInput):
        scope(dedup_scope="experiment", experiment=experiment)


def test_a_path_is_for_readers_of_plain_objects() -> None:
    """Below a path only objects are read, nothing of the store itself; other roles make no sense there."""
    part = scope(dedup_scope="store", path="1/data")
    assert may("reader", "read", "1/data/a.parquet", part)
    assert not may("reader", "read", PACK, part)
    with pytest.raises(InvalidInput, match="only something to read"):
        grants("writer", part, native=True)


def statements(role: Role, *, minio: bool) -> dict[str, dict[str, Any]]:
    """Return a policy's statements by their ids."""
    policy = aws.policy(role, grants(role, WHOLE, native=True), "bucket", "mlflow", minio=minio)
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_aws_holds_a_writer_to_creating() -> None:
    """Below `_mvs/` a put without If-None-Match is denied; on MinIO, which knows no such condition, it is not."""
    only = statements("writer", minio=False)["CreateOnly"]
    assert only["Effect"] == "Deny"
    assert only["Resource"] == ["arn:aws:s3:::bucket/mlflow/_mvs/*"]
    assert only["Condition"]["Null"] == {"s3:if-none-match": "true"}
    assert "CreateOnly" not in statements("writer", minio=True)


@pytest.mark.parametrize("minio", [True, False])
@pytest.mark.parametrize("role", ["reader", "writer", "auditor"])
def test_aws_denies_deleting_versions(role: Role, minio: bool) -> None:
    """Nobody but a collector deletes an object version, or anything of the store itself."""
    denied = statements(role, minio=minio)
    assert "s3:DeleteObjectVersion" in denied["KeepVersions"]["Action"]
    assert denied["KeepObjects"]["Resource"] == ["arn:aws:s3:::bucket/mlflow/_mvs/*"]


def test_aws_lets_a_native_writer_see_versioning_and_tag() -> None:
    """Who writes over plain objects has to see that the bucket keeps versions, and tags a version, not the newest."""
    assert statements("writer", minio=False)["SeeVersioning"]["Action"] == ["s3:GetBucketVersioning"]
    assert "s3:PutObjectVersionTagging" in statements("writer", minio=False)["WriteNatives"]["Action"]
    assert "SeeVersioning" not in statements("reader", minio=False)
    packed = aws.policy("writer", grants("writer", WHOLE, native=False), "bucket", "mlflow", minio=False)
    assert "SeeVersioning" not in {statement["Sid"] for statement in packed["Statement"]}


def test_azure_adds_and_never_writes_below_ours() -> None:
    """A writer's condition allows "add" for packs and commits, and "write" only where native objects are."""
    part = scope(dedup_scope="experiment", experiment="1")
    assigned = azure.assignment("writer", grants("writer", part, native=True), "container", "mlflow")
    clauses = {
        match: clause
        for clause in assigned["condition"].split("\nAND\n")
        if (match := clause.split("'")[1].split("/", 4)[-1])
    }
    assert "mlflow/_mvs/log/1/*" in clauses["blobs/add/action"]
    assert "_mvs/log" not in clauses["blobs/write"]
    assert "StringNotLike 'mlflow/_mvs/*'" in clauses["blobs/write"]
    assert assigned["condition"].count("(") == assigned["condition"].count(")")


def test_google_creates_without_deleting() -> None:
    """A writer of packed versions has no permission to delete, which is also the one to overwrite."""
    bound = gcp.bindings("writer", grants("writer", WHOLE, native=False), "bucket", "mlflow")
    permissions = {permission for role in bound["roles"] for permission in role["includedPermissions"]}
    assert permissions == {"storage.objects.list", "storage.objects.get", "storage.objects.create"}
    native = gcp.bindings("writer", grants("writer", WHOLE, native=True), "bucket", "mlflow")
    assert native["roles"][-1]["includedPermissions"] == ["storage.buckets.get"]
    assert "condition" not in native["bindings"][-1]
    (create,) = [one["condition"]["expression"] for one in bound["bindings"] if one["role"].endswith("Create")]
    assert re.search(r'startsWith\("projects/_/buckets/bucket/objects/mlflow/_mvs/log/"\)', create)
