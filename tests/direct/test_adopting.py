"""What lies in a bucket is taken in without a copy: every object, in every version, exactly once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content.locations import Reference
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.direct import adopting
from mlflow_versioned_store.direct.adopting import Adopted, Adoption, adopt
from mlflow_versioned_store.direct.listing import Place
from mlflow_versioned_store.errors import AccessDenied, Damaged, InvalidInput, ObjectMissing
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client
from tests.content.making import MIB, noise
from tests.servers.minio import KMS_KEY
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


def data_size(store: Store) -> int:
    """Return the bytes of all packs and indexes."""
    return sum(info.size for info in store.backend.list("_mvs/data"))


def edited(data: bytes) -> bytes:
    """Return bytes with a few inserted, and a few others changed."""
    return data[:1_000_000] + b"inserted" + data[1_000_000:2_000_000] + b"changed" + data[2_000_007:]


@pytest.mark.parametrize("status", ["Enabled", "Suspended", "off"])
def test_later_logs_share_the_chunks_of_hashed_objects(site: Site, status: str) -> None:
    """The same content logged by another run stores nothing, an edited one what was edited; both read back.

    Where versioning is suspended nothing lends: the null version may be overwritten, and hidden by another one.
    """
    if status != "off":
        site.keep_versions(status)
    data = noise("lent", 4 * MIB)
    site.put(f"{RUN}/data/big", data)
    site.adopt(hashed=True)
    before = data_size(site.store())
    other = site.store().root(OTHER)
    other.upload([Item("same", data)], context=CONTEXT)
    same = data_size(site.store()) - before
    assert same > 4 * MIB if status == "Suspended" else same == 0
    other.upload([Item("edited", edited(data))], context=CONTEXT)
    assert data_size(site.store()) - before - same < 10_000
    assert site.reads(OTHER) == {"same": [data], "edited": [edited(data)]}
    fresh = site.store().root(OTHER)
    (version,) = fresh.versions("edited")
    assert fresh.read(version, 999_990, 1_000_020) == edited(data)[999_990:1_000_020]
    for root in (RUN, OTHER):
        invariants.check_all(site.store(), root)


def test_object_versions_lend_whatever_happens_to_the_key(site: Site) -> None:
    """What was logged on top of an object version stays readable when somebody overwrites and deletes the object."""
    site.keep_versions()
    data = noise("kept", 2 * MIB)
    site.put(f"{RUN}/big", data)
    site.adopt(hashed=True)
    site.store().root(OTHER).upload([Item("same", data), Item("edited", edited(data))], context=CONTEXT)
    site.put(f"{RUN}/big", b"written over")
    site.delete(f"{RUN}/big")
    assert site.reads(OTHER) == {"same": [data], "edited": [edited(data)]}
    assert data_size(site.store()) < MIB


def test_what_lent_and_was_changed_is_an_error_until_it_is_back(site: Site) -> None:
    """Without object versions an object that is changed or gone is missed by what leans on it, which says so."""
    data = noise("changed", 2 * MIB)
    site.put(f"{RUN}/big", data)
    site.adopt(hashed=True)
    site.store().root(OTHER).upload([Item("f", data)], context=CONTEXT)
    for change, error in ((data[::-1], Damaged), (b"short", Damaged), (None, ObjectMissing)):
        if change is None:
            site.delete(f"{RUN}/big")
        else:
            site.put(f"{RUN}/big", change)
        root = site.store().root(OTHER)
        with pytest.raises(error, match=f"{RUN}/big"):
            root.read(root.versions("f")[0])
        with pytest.raises(error, match=f"{RUN}/big"):
            root.read(root.versions("f")[0], 5, 6)
        # Later logs do not lean on what is not there any more.
        root.upload([Item(f"again {error.__name__}", data)], context=CONTEXT)
        assert site.store().root(OTHER).read(root.versions(f"again {error.__name__}")[0]) == data
        site.put(f"{RUN}/big", data)
        assert site.reads(OTHER)["f"] == [data]


def test_a_writer_sees_at_once_that_what_lent_was_changed(site: Site) -> None:
    """Where an entity tag is all there is, what was seen a moment ago is looked at again before it is leaned on."""
    data = noise("at once", 2 * MIB)
    site.put(f"{RUN}/big", data)
    site.adopt(hashed=True)
    root = site.store().root(OTHER)
    root.upload([Item("first", data)], context=CONTEXT)
    site.put(f"{RUN}/big", data[::-1])
    root.upload([Item("second", data)], context=CONTEXT)
    assert root.read(root.versions("second")[0]) == data


def test_domains_share_nothing_with_objects_of_others(site: Site) -> None:
    """With a domain for each experiment, an adopted object lends to the uploads of its own experiment alone."""
    data = noise("domains", 2 * MIB)
    site.put(f"{RUN}/big", data)
    store = create_store(site.uri)
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, {})
    adopt(site.store(), Adoption(Place(site.source), "", write=True, hashed=True, on_version=lambda: None))
    before = data_size(store)
    site.store().root(OTHER).upload([Item("f", data)], context=CONTEXT)
    assert data_size(store) == before
    site.store().root(OTHER.replace("1/", "2/")).upload([Item("f", data)], context=CONTEXT)
    assert data_size(store) > before + 2 * MIB


def test_only_what_is_at_its_own_place_lends(site: Site, minio: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of other runs need not be allowed to read elsewhere, so that does not lend; nor do small files."""
    other, data = minio.new_bucket(), noise("elsewhere", 2 * MIB)
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", f"s3://{other}")
    site.s3.put_object(Bucket=other, Key="big", Body=data)
    site.put(f"{RUN}/small", data[:200_000])
    site.put(f"{RUN}/elsewhere", data)
    store = create_store(site.uri)
    for source, into in (
        (f"s3://{other}/big", f"{RUN}/big"),
        (f"{site.source}/{RUN}/elsewhere", f"{OTHER}/elsewhere"),
        (f"{site.source}/{RUN}/small", f"{RUN}/small"),
    ):
        found = adopt(store, Adoption(Place(source), into, write=True, hashed=True, on_version=lambda: None))
        assert found.versions == 1
    assert data_size(store) == 0
    assert site.store().root(RUN).versions("big")[0].sha256 == hashlib.sha256(data).hexdigest()


def test_nothing_lends_to_uploads_under_a_key_of_their_own(
    minio_kms: S3Server, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows under which key an adopted object lies, or whether its readers may use that."""
    s3_env(minio_kms)
    site, data = Site(minio_kms), noise("key", 2 * MIB)
    site.put(f"{RUN}/big", data)
    key = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY}
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", json.dumps(key))
    site.adopt(hashed=True)
    assert data_size(site.store()) == 0
    site.store().root(OTHER).upload([Item("f", data)], context=CONTEXT)
    assert site.reads(OTHER) == {"f": [data]}


def test_what_was_hashed_is_committed_now_and_then(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large root an interruption loses little, and each object lends."""
    monkeypatch.setattr(adopting, "_READ_AT_ONCE_BYTES", MIB)
    contents = {f"f{number}": noise(number, 600_000) for number in range(5)}
    for name, data in contents.items():
        site.put(f"{RUN}/{name}", data)
    site.adopt(hashed=True)
    store = site.store()
    assert store.root(RUN).log.state().number == 3
    before = data_size(store)
    for name, data in contents.items():
        site.store().root(OTHER).upload([Item(name, data)], context=CONTEXT)
    assert data_size(store) == before
    assert site.reads(OTHER) == {name: [data] for name, data in contents.items()}


def test_what_leans_on_objects_can_be_taken_elsewhere(site: Site) -> None:
    """A copy in another root moves no bytes, and needs the object too."""
    data = noise("taken", 2 * MIB)
    site.put(f"{RUN}/big", data)
    site.adopt(hashed=True)
    store = site.store()
    source = store.root(OTHER)
    source.upload([Item("f", data)], context=CONTEXT)
    before = data_size(store)
    target = store.root(f"2/{'c' * 32}/artifacts")
    take(target, [Taken(source, source.versions("f")[0], "copy")], operation="upload", context=CONTEXT)
    assert data_size(store) == before
    assert site.reads(target.name) == {"copy": [data]}
    site.delete(f"{RUN}/big")
    with pytest.raises(ObjectMissing, match="big"):
        site.reads(target.name)


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
