"""On a real MinIO each role can do all of its job, and nothing else."""

from __future__ import annotations

from functools import partial

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.errors import AccessDenied, Unsupported
from mlflow_versioned_store.policies.roles import Role
from tests.policies.conftest import CONTEXT, LARGE, ONE, TEN, Site, refused


@pytest.mark.parametrize("experiment", [None, "1"])
def test_a_reader_reads_and_nothing_else(site: Site, experiment: str | None) -> None:
    """A reader lists and reads; writing and deleting are refused, by the store and by the server."""
    s3 = site.become("reader", experiment)
    root = site.opened().root(ONE)
    assert {version.path: root.read(version) for version in root.walk()} == {"d/large": LARGE, "small": b"small"}
    assert [version.number for version in root.versions("small")] == [1]
    with pytest.raises(AccessDenied):
        root.upload([Item("x", b"x")], context=CONTEXT)
    pack = site.keys("/packs/")[0]
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=pack, Body=b""))
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=pack))


@pytest.mark.parametrize("experiment", [None, "1"])
def test_a_writer_logs_reads_and_takes_nothing_away(
    site: Site, experiment: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer logs, also what resembles earlier versions, without one warning; nothing can be deleted."""
    s3 = site.become("writer", experiment)
    root = site.opened().root(ONE)
    root.upload([Item("d/large", LARGE + b"more"), Item("tiny", b"t")], context=CONTEXT)
    assert root.delete("tiny", context=CONTEXT) == 1
    again = site.opened().root(ONE)
    assert again.read(again.versions("d/large")[1]) == LARGE + b"more"
    assert caplog.records == []
    for key in (site.keys("/packs/")[0], site.keys("/_c/")[0], f"mlflow/{keys.MARKER}"):
        (version,) = site.object_versions(key)
        assert refused(partial(s3.delete_object, Bucket=site.bucket, Key=key))
        assert refused(partial(s3.delete_object, Bucket=site.bucket, Key=key, VersionId=version))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=f"mlflow/{keys.MARKER}", Body=b"{}"))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key="mlflow/1/beside", Body=b""))


@pytest.mark.parametrize("experiment", [None, "1"])
def test_a_native_writer_logs_and_takes_no_version_away(
    site: Site, experiment: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """A writer logs plain objects, in parts and as copies, and deletes them without one warning; no version goes."""
    site.opened().keep_natively(["data/**"], CONTEXT)
    s3 = site.become("writer", experiment, native=True)
    parts = LARGE * 18
    root = site.opened().root(ONE)
    for small in (b"first", b"second", b"second"):
        root.upload([Item("data/small", small), Item("data/large", parts)], context=CONTEXT)
    site.opened().root(ONE).upload([Item("data/copy", parts)], context=CONTEXT)
    root.upload([Item("data/gone", b"gone")], context=CONTEXT)
    assert root.delete("data/gone", context=CONTEXT) == 1
    again = site.opened().root(ONE)
    assert [again.read(version) for version in again.versions("data/small")] == [b"first", b"second"]
    for path, expected in {"data/large": parts, "data/copy": parts, "data/gone": b"gone"}.items():
        assert [again.read(version) for version in again.versions(path)] == [expected]
    assert caplog.records == []
    assert f"mlflow/{ONE}/data/gone" not in site.server.keys(site.bucket)
    key = f"mlflow/{ONE}/data/small"
    newest, first = site.object_versions(key)
    tags = site.server.client().get_object_tagging(Bucket=site.bucket, Key=key, VersionId=first)["TagSet"]
    assert {"Key": "mvs-version", "Value": "v1"} in tags
    for version in (newest, first):
        assert refused(partial(s3.delete_object, Bucket=site.bucket, Key=key, VersionId=version))
    suspended = {"VersioningConfiguration": {"Status": "Suspended"}}
    assert refused(lambda: s3.put_bucket_versioning(Bucket=site.bucket, **suspended))
    assert refused(lambda: s3.list_object_versions(Bucket=site.bucket))


def test_a_native_writer_writes_nothing_while_versioning_is_suspended(site: Site) -> None:
    """A writer may see that the bucket keeps no versions any more, and so overwrites nothing."""
    site.opened().keep_natively(["data/**"], CONTEXT)
    suspended = {"VersioningConfiguration": {"Status": "Suspended"}}
    site.server.client().put_bucket_versioning(Bucket=site.bucket, **suspended)
    site.become("writer", native=True)
    with pytest.raises(Unsupported, match="suspended"):
        site.opened().root(ONE).upload([Item("data/small", b"small")], context=CONTEXT)
    assert site.object_versions(f"mlflow/{ONE}/data/small") == []


@pytest.mark.parametrize("role", ["reader", "writer", "auditor"])
def test_an_experiment_is_closed_to_others(site: Site, role: Role) -> None:
    """A role for experiment 1 sees neither names nor bytes of experiment 10."""
    s3 = site.become(role, "1")
    for read in (
        lambda: site.opened().root(TEN).walk(),
        lambda: site.opened().root(TEN).upload([Item("x", b"x")], context=CONTEXT),
    ):
        with pytest.raises(AccessDenied):
            read()
    (pack,) = [key for key in site.keys("/packs/") if "experiment-10" in key]
    assert refused(lambda: s3.get_object(Bucket=site.bucket, Key=pack))
    for prefix in ("", "mlflow/", "mlflow/_mvs/log/10/"):
        assert refused(partial(s3.list_objects_v2, Bucket=site.bucket, Prefix=prefix))


def test_an_auditor_sees_the_log_and_no_bytes(site: Site) -> None:
    """An auditor reads who did what and verifies the chain; the bytes stay closed."""
    s3 = site.become("auditor")
    root = site.opened().root(ONE)
    assert [change.operation for commit in root.history() for change in commit.changes] == ["upload"]
    (large,) = root.versions("d/large")
    with pytest.raises(AccessDenied):
        root.read(large)
    assert refused(lambda: s3.get_object(Bucket=site.bucket, Key=site.keys("/packs/")[0]))
    assert refused(lambda: s3.put_object(Bucket=site.bucket, Key=site.keys("/_c/")[0], Body=b""))


def test_a_collector_removes_packs_and_keeps_the_log(site: Site) -> None:
    """A collector deletes packs for good, by version, and cannot delete a commit."""
    s3 = site.become("collector")
    pack, commit = site.keys("/packs/")[0], site.keys("/_c/")[0]
    (version,) = site.object_versions(pack)
    s3.delete_object(Bucket=site.bucket, Key=pack, VersionId=version)
    assert site.object_versions(pack) == []
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=commit))
    assert refused(lambda: s3.delete_object(Bucket=site.bucket, Key=f"mlflow/{keys.MARKER}"))
