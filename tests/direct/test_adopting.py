"""What lies in a bucket is taken in without a copy: every object, in every version, exactly once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content.locations import Reference
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.direct.adopting import Adopted, Adoption, adopt
from mlflow_versioned_store.direct.listing import Place
from mlflow_versioned_store.errors import AccessDenied, Damaged, InvalidInput, ObjectMissing
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client
from tests.servers.s3 import S3Server

RUN, OTHER = f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts"
CONTEXT = Context()


class Site:
    """A bucket with old artifacts below "mlruns"."""

    def __init__(self, server: S3Server):
        self.s3: Any = server.client()
        self.bucket = server.new_bucket()
        self.source = f"s3://{self.bucket}/mlruns"
        self.uri = f"versioned-{self.source}"

    def keep_versions(self, status: str = "Enabled") -> None:
        """Switch bucket versioning."""
        self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": status})

    def put(self, path: str, data: bytes) -> None:
        """Write an object, as any tool does."""
        self.s3.put_object(Bucket=self.bucket, Key=f"mlruns/{path}", Body=data)

    def delete(self, path: str) -> None:
        """Delete an object, as any tool does."""
        self.s3.delete_object(Bucket=self.bucket, Key=f"mlruns/{path}")

    def adopt(
        self, *, write: bool = True, hashed: bool = False, on_version: Callable[[], None] = lambda: None
    ) -> Adopted:
        """Take in everything."""
        store = create_store(self.uri) if write else None
        return adopt(store, Adoption(Place(self.source), "", write=write, hashed=hashed, on_version=on_version))

    def store(self) -> Store:
        """Return a new client of the store."""
        return client(*open_container(self.uri))

    def reads(self, root: str) -> dict[str, list[bytes]]:
        """Return every version of what a root holds now."""
        found = self.store().root(root)
        return {version.path: [found.read(one) for one in found.versions(version.path)] for version in found.walk()}


@pytest.fixture
def site(minio: S3Server, s3_env: Callable[[S3Server], None]) -> Site:
    """The bucket."""
    s3_env(minio)
    return Site(minio)


def test_objects_become_first_versions(site: Site) -> None:
    """Without bucket versioning each object is version 1; the next log of the path is version 2."""
    site.put(f"{RUN}/model/MLmodel", b"model")
    site.put(f"{RUN}/a b/ü.txt", b"odd name")
    site.put(f"{OTHER}/x", b"x")
    site.put("notes.txt", b"notes")
    found = site.adopt()
    assert (found.roots, found.versions, found.size, found.skipped) == (3, 4, 19, 0)
    assert site.reads(RUN) == {"a b/ü.txt": [b"odd name"], "model/MLmodel": [b"model"]}
    assert site.reads("") == {"notes.txt": [b"notes"]}
    root = site.store().root(RUN)
    root.upload([Item("model/MLmodel", b"newer")], context=CONTEXT)
    assert site.reads(RUN)["model/MLmodel"] == [b"model", b"newer"]
    invariants.check_all(site.store(), RUN)


def test_object_versions_become_versions_in_their_order(site: Site) -> None:
    """On a versioned bucket each object version is a version; what is deleted there is deleted here."""
    site.keep_versions()
    for data in (b"one", b"two", b"three"):
        site.put(f"{RUN}/f", data)
    site.put(f"{RUN}/gone", b"gone")
    site.delete(f"{RUN}/gone")
    found = site.adopt()
    assert (found.versions, found.deleted) == (4, 1)
    assert site.reads(RUN) == {"f": [b"one", b"two", b"three"]}
    root = site.store().root(RUN)
    assert [root.read(one) for one in root.versions("gone")] == [b"gone"]
    site.put(f"{RUN}/f", b"written over by somebody")
    site.delete(f"{RUN}/f")
    assert [root.read(one) for one in root.versions("f")] == [b"one", b"two", b"three"]


def test_it_is_incremental(site: Site) -> None:
    """A second run takes in what is new, in whatever order it came, and nothing twice."""
    site.keep_versions()
    site.put(f"{RUN}/f", b"one")
    site.adopt()
    assert site.adopt().versions == 0
    site.put(f"{RUN}/f", b"two")
    site.put(f"{RUN}/g", b"g")
    found = site.adopt()
    assert (found.versions, found.known) == (2, 1)
    assert site.reads(RUN) == {"f": [b"one", b"two"], "g": [b"g"]}


def test_it_goes_on_after_an_interruption(site: Site) -> None:
    """What was taken in before an interruption is not taken in again."""
    for number in range(20):
        site.put(f"1/{number:032x}/artifacts/f", b"%d" % number)
    seen: list[int] = []

    def interrupts() -> None:
        seen.append(1)
        if len(seen) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.adopt(on_version=interrupts)
    site.adopt()
    assert site.adopt() == Adopted(known=20)
    for number in range(20):
        assert site.reads(f"1/{number:032x}/artifacts") == {"f": [b"%d" % number]}


def test_a_dry_run_writes_nothing(site: Site) -> None:
    """Counting makes no store."""
    site.put(f"{RUN}/f", b"f")
    assert site.adopt(write=False).versions == 1
    assert [one["Key"] for one in site.s3.list_objects_v2(Bucket=site.bucket)["Contents"]] == [f"mlruns/{RUN}/f"]


def test_hashing_recognises_what_is_logged_again(site: Site) -> None:
    """With digests recorded, logging the same content again makes no version."""
    data = bytes(range(256)) * 100_000
    site.put(f"{RUN}/f", data)
    site.adopt(hashed=True)
    root = site.store().root(RUN)
    (version,) = root.versions("f")
    assert version.sha256 == hashlib.sha256(data).hexdigest()
    assert root.upload([Item("f", data)], context=CONTEXT)[0].unchanged


def test_what_was_changed_or_removed_is_an_error(site: Site) -> None:
    """Without object versions an object that is not what was taken in is never read as if it were."""
    site.put(f"{RUN}/f", b"one")
    site.put(f"{RUN}/g", b"g")
    site.adopt()
    site.put(f"{RUN}/f", b"two")
    site.delete(f"{RUN}/g")
    root = site.store().root(RUN)
    with pytest.raises(Damaged, match="entity tag"):
        root.read(root.versions("f")[0])
    with pytest.raises(ObjectMissing, match="is gone"):
        root.read(root.versions("g")[0])


def test_a_suspended_bucket_is_held_to_tags(site: Site) -> None:
    """The null version of an object may be overwritten, so it is held to its entity tag."""
    site.keep_versions("Suspended")
    site.put(f"{RUN}/f", b"one")
    site.adopt()
    assert site.reads(RUN) == {"f": [b"one"]}
    site.put(f"{RUN}/f", b"two")
    root = site.store().root(RUN)
    with pytest.raises(Damaged, match="entity tag"):
        root.read(root.versions("f")[0])


def test_what_is_elsewhere_is_referred_to(site: Site, minio: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of another bucket becomes a version; readers have to allow it."""
    other = minio.new_bucket()
    site.s3.put_object(Bucket=other, Key="data/big.parquet", Body=b"parquet")
    store = create_store(site.uri)
    place = Place(f"s3://{other}/data/big.parquet")
    found = adopt(store, Adoption(place, f"{RUN}/data/big.parquet", write=True, hashed=False, on_version=lambda: None))
    assert found.versions == 1
    root = site.store().root(RUN)
    (version,) = root.versions("data/big.parquet")
    assert isinstance(root.location(version), Reference)
    with pytest.raises(AccessDenied, match="MVS_ALLOWED_REFERENCES"):
        root.read(version)
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", f"s3://{other}/data/")
    assert root.read(version) == b"parquet"


def test_native_objects_are_known_and_unfinished_ones_passed_over(site: Site) -> None:
    """What the native layout wrote is never adopted; what somebody else wrote over it is."""
    site.keep_versions()
    store = create_store(site.uri)
    change_settings(store.settings_log, {"native": ["**"]}, {})
    store = site.store()
    root = store.root(RUN)
    root.upload([Item("f", b"ours")], context=CONTEXT)
    site.put(f"{RUN}/f", b"foreign")
    site.s3.put_object(
        Bucket=site.bucket, Key=f"mlruns/{RUN}/crashed", Body=b"x", Metadata={"mvs-store": store.id, "mvs-change": "0"}
    )
    found = adopt(store, Adoption(Place(site.source), "", write=True, hashed=False, on_version=lambda: None))
    assert (found.versions, found.known) == (1, 1)
    assert site.reads(RUN) == {"f": [b"ours", b"foreign"]}


def test_what_can_be_no_artifact_is_counted(site: Site) -> None:
    """Folder markers, which name no file, are passed over, and named."""
    site.put(f"{RUN}/folder/", b"")
    site.put(f"{RUN}/fine", b"fine")
    found = site.adopt()
    assert (found.versions, found.skipped, found.named) == (1, 1, [f"{RUN}/folder/"])


@pytest.mark.parametrize("uri", ["file:///mlruns", "/mlruns", "versioned-s3://b/x", "http://x"])
def test_only_buckets_are_adopted(uri: str) -> None:
    """References to local files are never followed, so none are made."""
    with pytest.raises(InvalidInput, match="not a place in a bucket"):
        Place(uri)
