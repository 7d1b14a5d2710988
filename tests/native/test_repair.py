"""What somebody else does to a bucket that keeps versions: noticed, read around, and undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import ObjectMissing, Unavailable, Unsupported
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.native import survey
from mlflow_versioned_store.native.undeleting import Undeleted
from mlflow_versioned_store.store import Store, create_store
from tests.native.filling import EDITED, EXPECTED, ROOT, again, contents, fill
from tests.servers.s3 import S3Server

CONTEXT = Context()


@pytest.fixture(params=["real_minio", "versitygw"])
def server(request: pytest.FixtureRequest, s3_env: Callable[[S3Server], None]) -> S3Server:
    """Each server that keeps object versions."""
    found: S3Server = request.getfixturevalue(request.param)
    s3_env(found)
    return found


@pytest.fixture
def store(server: S3Server) -> Store:
    """A store with two versions in packs, the second leaning on the first, and two native files, one deleted."""
    made = create_store(f"versioned-s3://{server.new_bucket(versioned=True)}/lake")
    made.keep_natively(["data/**"], CONTEXT)
    fill(made, CONTEXT)
    return made


def bucket_of(store: Store) -> str:
    """Return the store's bucket."""
    return store.location.removeprefix("s3://").partition("/")[0]


def packs(server: S3Server, store: Store) -> list[str]:
    """Return the keys of all packs."""
    return [key for key in server.keys(bucket_of(store), "lake/_mvs/data/") if "/packs/" in key]


@pytest.mark.parametrize("deed", ["delete", "overwrite", "cut"])
def test_packs_are_read_as_they_were_written(server: S3Server, store: Store, deed: str) -> None:
    """Packs that somebody deleted, overwrote or cut short still give every version, whole and by range."""
    for key in packs(server, store):
        if deed == "delete":
            server.client().delete_object(Bucket=bucket_of(store), Key=key)
        else:
            data = server.client().get_object(Bucket=bucket_of(store), Key=key)["Body"].read()
            body = bytes(len(data)) if deed == "overwrite" else data[:-100]
            server.client().put_object(Bucket=bucket_of(store), Key=key, Body=body)
    assert contents(again(store)) == EXPECTED
    root = again(store)
    assert root.read(root.versions("packed")[1], 5000, 6000) == EDITED[5000:6000]


def test_a_pack_whose_versions_are_gone_is_missing(server: S3Server, store: Store) -> None:
    """A pack removed with all its versions is an error that names it."""
    for key in packs(server, store):
        found = server.client().list_object_versions(Bucket=bucket_of(store), Prefix=key)["Versions"]
        for one in found:
            server.client().delete_object(Bucket=bucket_of(store), Key=key, VersionId=one["VersionId"])
    root = again(store)
    with pytest.raises(ObjectMissing, match="packs"):
        root.read(root.versions("packed")[0])


def test_a_recursive_deletion_is_undone(server: S3Server, store: Store) -> None:
    """After `aws s3 rm --recursive` and an undelete everything is as it was; what we deleted stays deleted."""
    before = server.keys(bucket_of(store))
    for key in before:
        server.client().delete_object(Bucket=bucket_of(store), Key=key)
    assert server.keys(bucket_of(store)) == {}
    assert store.undelete(dry_run=True).deleted > 0
    assert server.keys(bucket_of(store)) == {}
    undone = store.undelete()
    assert undone.overwritten == 0
    assert undone.deleted >= len(before)
    assert before.items() <= server.keys(bucket_of(store)).items()
    assert f"lake/{ROOT}/data/deleted" not in server.keys(bucket_of(store))
    assert contents(again(store)) == EXPECTED
    assert store.undelete().deleted == 0


def test_older_deletions_are_left_alone(server: S3Server, store: Store) -> None:
    """What happened before a time that is given stays as it is."""
    before = packs(server, store)
    for key in before:
        server.client().delete_object(Bucket=bucket_of(store), Key=key)
    assert store.undelete(since=datetime.now(UTC) + timedelta(hours=1)) == Undeleted(0, 0)
    assert packs(server, store) == []
    assert store.undelete(since=datetime.now(UTC) - timedelta(hours=1)) == Undeleted(len(before), 0)
    assert packs(server, store) == before


def test_hostile_overwrites_are_undone(server: S3Server, store: Store) -> None:
    """Packs and commits that somebody overwrote are again what was written; what is native keeps its versions."""
    before = {
        key: server.client().get_object(Bucket=bucket_of(store), Key=key)["Body"].read()
        for key in server.keys(bucket_of(store), "lake/_mvs/")
        if "/packs/" in key or "/_c/" in key
    }
    for key in before:
        server.client().put_object(Bucket=bucket_of(store), Key=key, Body=b"hostile")
    assert store.undelete().overwritten == len(before)
    assert {
        key: server.client().get_object(Bucket=bucket_of(store), Key=key)["Body"].read() for key in before
    } == before
    assert contents(again(store)) == EXPECTED


def test_a_store_without_object_versions_says_so() -> None:
    """Nothing can come back where the store keeps no object versions."""
    store = create_store("versioned-memory://undelete/lake")
    with pytest.raises(Unsupported, match="versions"):
        store.undelete()


def test_foreign_writes_are_noticed(server: S3Server, store: Store) -> None:
    """Objects that somebody else wrote below a root are found, over ours and beside them; ours are not."""
    ids = {
        server.client().put_object(Bucket=bucket_of(store), Key=f"lake/{ROOT}/{name}", Body=b"theirs")["VersionId"]
        for name in ("data/file", "new")
    }
    found = again(store).survey()
    assert {one.s3_version_id for one in found.foreign} == ids
    assert (found.orphans, found.pending) == ([], [])


def test_what_a_crash_left_is_removed_after_the_grace_period(
    server: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes without a commit are pending at first, then orphans, and then gone by their version; never a version."""

    def crash(_: Log, __: object) -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", crash)
        with pytest.raises(Unavailable, match="killed"):
            again(store).upload([Item("data/file", b"never committed")], context=CONTEXT)
    (left,) = again(store).survey().pending
    monkeypatch.setattr(survey, "GRACE_SECONDS", -5.0)
    found = again(store).survey()
    assert found.orphans == [left]
    survey.remove(store.backend, found.orphans)
    assert again(store).survey().orphans == []
    data = server.client().get_object(Bucket=bucket_of(store), Key=f"lake/{ROOT}/data/file")["Body"].read()
    assert data == EDITED[:1000]
    assert contents(again(store)) == EXPECTED
