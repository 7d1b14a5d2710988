"""What the checkup says of plain objects, and what it puts right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.catalog import natives
from mlflow_versioned_store.catalog.checkup import Check, examine
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.direct.adopting import Adoption, adopt
from mlflow_versioned_store.direct.listing import Place
from mlflow_versioned_store.errors import Unavailable
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.native import settling, survey
from mlflow_versioned_store.policies import aws
from mlflow_versioned_store.policies.roles import Scope, grants
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

RUN, OTHER = (f"1/{letter * 32}/artifacts" for letter in "ab")
CONTEXT = Context()
NONCURRENT = {"NoncurrentVersionExpiration": {"NoncurrentDays": 7}}


class Lake:
    """A store whose paths below `data` are plain objects, with a version in each of two roots."""

    def __init__(self, server: S3Server):
        self.s3 = server.client()
        self.bucket = server.new_bucket(versioned=True)
        self.uri = f"versioned-s3://{self.bucket}/lake"
        self.store = create_store(self.uri)
        self.store.keep_natively(["data/**"], CONTEXT)
        for name in (RUN, OTHER):
            self.root(name).upload([Item("data/file", b"first")], context=CONTEXT)

    def root(self, name: str = RUN) -> ArtifactRoot:
        """Return a root as another process sees it."""
        return client(*open_container(self.uri)).root(name)

    def key(self, path: str, name: str = RUN) -> str:
        """Return the key of a path."""
        return f"lake/{name}/{path}"

    def put(self, path: str, data: bytes) -> None:
        """Write as somebody else does."""
        self.s3.put_object(Bucket=self.bucket, Key=self.key(path), Body=data)

    def plain(self, path: str) -> bytes:
        """Read as any S3 tool does."""
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=self.key(path))["Body"].read()
        return body

    def crash(self, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        """Upload and fail before the commit."""

        def fail(_: Log, __: object) -> None:
            raise Unavailable("killed")

        with monkeypatch.context() as patch:
            patch.setattr(Log, "append", fail)
            with pytest.raises(Unavailable, match="killed"):
                self.root().upload([Item(path, b"never committed")], context=CONTEXT)

    def rules(self, *rules: dict[str, Any]) -> None:
        """Give the bucket lifecycle rules."""
        named = [{"ID": f"rule {number}", "Status": "Enabled", **rule} for number, rule in enumerate(rules)]
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": named})

    def check(self, name: str, place: str = "", *, fix: bool = False) -> Check:
        """Return one check of a checkup."""
        found = examine(f"{self.uri}/{place}", write=False, fix=fix)
        (check,) = (check for check in found.checks if check.name == name)
        return check


@pytest.fixture
def lake(real_minio: Minio, s3_env: Callable[[S3Server], None]) -> Lake:
    """The store."""
    s3_env(real_minio)
    return Lake(real_minio)


def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the grace period be over."""
    for module in (settling, survey):
        monkeypatch.setattr(module, "GRACE_SECONDS", -5.0)


def test_all_is_well(lake: Lake) -> None:
    """Where nobody interfered, all plain objects are as their versions say."""
    assert lake.check("plain objects") == Check("plain objects", "ok", "as their versions say, in 2 artifact roots")
    assert lake.check("bucket versioning").status == "ok"


def test_packed_stores_have_no_plain_objects(lake: Lake) -> None:
    """Where nothing is kept natively, nobody looks for plain objects."""
    lake.store.keep_natively([], CONTEXT)
    assert "plain objects" not in {check.name for check in examine(lake.uri, write=False).checks}


def test_foreign_writes_are_named_and_can_be_taken_in(lake: Lake) -> None:
    """What somebody else wrote is named with what to do; that done, all is well and nothing of theirs is lost."""
    lake.put("data/file", b"theirs")
    check = lake.check("plain objects")
    assert (check.status, "somebody else wrote 1 object" in check.detail) == ("warning", True)
    assert f"{RUN}/data/file" in check.detail
    assert "mvs adopt" in check.advice
    lake.check("plain objects", fix=True)
    assert lake.plain("data/file") == b"theirs"
    adopt(lake.store, Adoption(Place(lake.store.location), "", write=True, hashed=False, on_version=lambda: None))
    assert lake.check("plain objects").status == "ok"
    root = lake.root()
    assert [root.read(version) for version in root.versions("data/file")] == [b"first", b"theirs"]


def test_what_crashed_uploads_left_is_removed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left alone while it may be committed; then it is named, and removed where that is asked for."""
    lake.crash(monkeypatch, "data/file")
    young = lake.check("plain objects", fix=True)
    assert (young.status, "not committed yet: 1 object" in young.detail) == ("ok", True)
    assert lake.plain("data/file") == b"never committed"
    no_grace(monkeypatch)
    found = lake.check("plain objects")
    assert (found.status, "crashed uploads left 1 object" in found.detail) == ("warning", True)
    assert "--fix" in found.advice
    assert lake.plain("data/file") == b"never committed"
    fixed = lake.check("plain objects", fix=True)
    assert (fixed.status, "objects removed: 1" in fixed.detail) == ("ok", True)
    assert lake.plain("data/file") == b"first"
    assert lake.check("plain objects").detail == "as their versions say, in 2 artifact roots"


def test_plain_readers_get_the_newest_version_again(lake: Lake) -> None:
    """A key that is hidden by a delete marker is named, and put right where that is asked for."""
    lake.s3.delete_object(Bucket=lake.bucket, Key=lake.key("data/file"))
    found = lake.check("plain objects")
    assert (found.status, "something else than the newest version of 1 object" in found.detail) == ("warning", True)
    fixed = lake.check("plain objects", fix=True)
    assert (fixed.status, "keys put right: 1" in fixed.detail) == ("ok", True)
    assert lake.plain("data/file") == b"first"
    assert lake.root().unsettled() == []


def test_who_may_not_list_object_versions_is_told(
    real_minio: Minio, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer needs no right to look for what others left, so that nobody looked is only a warning."""
    policy = aws.policy("writer", grants("writer", Scope(), native=True), lake.bucket, "lake", minio=True)
    key, secret = real_minio.add_user(f"user-{lake.bucket}", *policy["Statement"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    check = lake.check("plain objects")
    assert (check.status, "s3:ListBucketVersions" in check.advice) == ("warning", True)
    assert lake.check("plain objects", fix=True).status == "failed"


def test_only_what_is_asked_for_is_looked_at(lake: Lake) -> None:
    """The URI of a root, or of something in it, is about that root alone."""
    lake.put("data/new", b"theirs")
    assert lake.check("plain objects", f"{RUN}/data").status == "warning"
    assert lake.check("plain objects", OTHER).status == "ok"


def test_many_roots_are_not_all_looked_at(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a number of roots, or of seconds, that is said instead of looking on."""
    monkeypatch.setattr(natives, "ROOTS_MAX", 1)
    assert "looked at 1 of 2 artifact roots" in lake.check("plain objects").detail
    monkeypatch.setattr(natives, "SECONDS_MAX", 0.0)
    assert "looked at 0 of 2 artifact roots" in lake.check("plain objects").detail


def test_suspended_versioning_fails(lake: Lake) -> None:
    """Without bucket versioning nothing can be logged natively, which is said."""
    lake.s3.put_bucket_versioning(Bucket=lake.bucket, VersioningConfiguration={"Status": "Suspended"})
    check = lake.check("bucket versioning")
    assert (check.status, "Suspended" in check.detail) == ("failed", True)
    lake.store.keep_natively([], CONTEXT)
    assert lake.check("bucket versioning").status == "ok"


@pytest.mark.parametrize(
    ("rule", "status", "detail"),
    [
        ({**NONCURRENT, "Filter": {"Prefix": ""}}, "failed", "'rule 0' deletes older object versions of natively"),
        ({**NONCURRENT, "Filter": {"Prefix": "lake/1/"}}, "failed", "'rule 0' deletes older object versions"),
        ({**NONCURRENT, "Filter": {"Prefix": "lake/_mvs/"}}, "warning", "older object versions of packs and commits"),
        ({"Expiration": {"Days": 9}, "Filter": {"Prefix": "lake/1/"}}, "warning", "for plain readers"),
        ({**NONCURRENT, "Filter": {"Prefix": "other/"}}, "ok", "none"),
    ],
    ids=["all", "natives", "own", "current", "elsewhere"],
)
def test_lifecycle_rules_are_named(lake: Lake, rule: dict[str, Any], status: str, detail: str) -> None:
    """A rule that takes versions of native paths away fails; one that weakens undoing or plain readers is told."""
    lake.rules(rule)
    check = lake.check("lifecycle rules")
    assert (check.status, detail in check.detail) == (status, True), check.detail


def test_a_rule_for_the_store_s_tag_counts(lake: Lake) -> None:
    """Native objects carry the store's id as a tag, so a rule for it applies to them."""
    lake.rules({**NONCURRENT, "Filter": {"Tag": {"Key": "mvs-store", "Value": lake.store.id}}})
    assert lake.check("lifecycle rules").status == "failed"


def test_stores_without_object_versions_are_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where keys carry the change, orphans are found and removed just so."""
    uri = "versioned-memory://natives/lake"
    store: Store = create_store(uri)
    store.keep_natively(["**"], CONTEXT)
    store.root(RUN).upload([Item("file", b"first")], context=CONTEXT)
    store.backend.put_named(f"{RUN}/lost@@{'c' * 32}/lost", b"lost")
    no_grace(monkeypatch)
    checks = {check.name: check for check in examine(uri, fix=True).checks}
    assert "objects removed: 1" in checks["plain objects"].detail
    assert store.root(RUN).read(store.root(RUN).versions("file")[0]) == b"first"
    assert store.root(RUN).survey().orphans == []
