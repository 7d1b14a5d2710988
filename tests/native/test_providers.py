"""The native layout on Google Cloud Storage and Azure: generations and blob versions, where they are kept."""

from __future__ import annotations

import io
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends import object_versions as bucket_versions
from mlflow_versioned_store.backends.object_versions import ObjectVersions
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.catalog import natives
from mlflow_versioned_store.catalog.checkup import Check, examine
from mlflow_versioned_store.content.locations import Native
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import ObjectMissing, Unavailable, Unsupported
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.native import settling, survey
from mlflow_versioned_store.native.undeleting import Undeleted
from mlflow_versioned_store.store import Store, create_store
from tests.conftest import StorageServer
from tests.native.filling import EDITED, EXPECTED, ROOT, again, contents, fill
from tests.servers.versioned import SCHEMES, VersionedServer

OTHER = f"1/{'b' * 32}/artifacts"
CONTEXT = Context(run_id="a" * 32, user="ada")
LARGE = random.Random(1).randbytes(20 << 20)


@pytest.fixture(params=["versioned_gcs", "azure_double"])
def server(request: pytest.FixtureRequest, use_server: Callable[[StorageServer], None]) -> VersionedServer:
    """Each server that keeps versions in another way than S3."""
    found: VersionedServer = request.getfixturevalue(request.param)
    use_server(found)
    return found


def new_store(server: VersionedServer, *, versioned: bool = True) -> Store:
    """Return a store that keeps everything below "data" natively."""
    made = create_store(f"versioned-{SCHEMES[server.name]}://{server.new_bucket(versioned=versioned)}/lake")
    made.keep_natively(["data/**"], CONTEXT)
    return made


@pytest.fixture
def store(server: VersionedServer) -> Store:
    """A store in a bucket that keeps versions."""
    return new_store(server)


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with two versions in packs, the second leaning on the first, and two native files, one deleted."""
    fill(store, CONTEXT)
    return store


@pytest.fixture
def without_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may yet commit what has not been committed."""
    for module in (settling, survey):
        monkeypatch.setattr(module, "GRACE_SECONDS", -5.0)


def bucket_of(store: Store) -> str:
    """Return the store's bucket."""
    return store.location.partition("://")[2].partition("/")[0]


def plain(server: VersionedServer, store: Store, path: str) -> bytes | None:
    """Return what a plain reader of a path of the root gets."""
    return server.read(bucket_of(store), f"lake/{ROOT}/{path}")


def versions_of(server: VersionedServer, store: Store, path: str) -> list[str]:
    """Return the versions of a path's key, oldest first."""
    return server.versions(bucket_of(store), f"lake/{ROOT}/{path}")


def packs(server: VersionedServer, store: Store) -> list[str]:
    """Return the keys of all packs."""
    return [key for key in server.keys(bucket_of(store)) if "/packs/" in key]


def locations(root: ArtifactRoot, path: str) -> list[Native]:
    """Return where the versions of a native path are."""
    found = [root.location(version) for version in root.versions(path)]
    return [one for one in found if isinstance(one, Native)]


def fail_to_commit(store: Store, path: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upload as somebody who crashes between writing and committing."""

    def crash(_: Log, __: object) -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Log, "append", crash)
        with pytest.raises(Unavailable, match="killed"):
            again(store).upload([Item(path, data)], context=CONTEXT)


def test_versions_are_plain_objects_in_versions_of_the_bucket(server: VersionedServer, store: Store) -> None:
    """Small, large and streamed: one readable key, whose versions the commits name and by which each one is read."""
    for source in (b"one", LARGE, io.BytesIO(LARGE[5:]), b""):
        again(store).upload([Item("data/t.bin", source)], context=CONTEXT)
    root = again(store)
    assert [root.read(version) for version in root.versions("data/t.bin")] == [b"one", LARGE, LARGE[5:], b""]
    assert [one.s3_version_id for one in locations(root, "data/t.bin")] == versions_of(server, store, "data/t.bin")
    assert plain(server, store, "data/t.bin") == b""
    assert versioning(store).status == "ok"
    assert root.read(root.versions("data/t.bin")[1], 9 << 20, (9 << 20) + 7) == LARGE[9 << 20 : (9 << 20) + 7]
    assert [key for key in server.keys(bucket_of(store)) if "_mvs" not in key] == [f"lake/{ROOT}/data/t.bin"]


def test_content_that_is_current_makes_no_version(server: VersionedServer, store: Store) -> None:
    """Logged again, small and large, nothing is written."""
    items = [Item("data/small", b"same"), Item("data/large", LARGE)]
    again(store).upload(items, context=CONTEXT)
    stored = again(store).upload(items, context=CONTEXT)
    assert [(one.version, one.unchanged) for one in stored] == [(1, True), (1, True)]
    assert [len(versions_of(server, store, path)) for path in ("data/small", "data/large")] == [1, 1]


def test_content_elsewhere_is_copied_by_the_server(
    server: VersionedServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another root's large file is not sent again."""
    store.root(OTHER).upload([Item("data/first", LARGE)], context=CONTEXT)
    versions = open_versions(store.backend)
    assert versions is not None
    monkeypatch.delattr(type(versions), "put_parts")
    again(store).upload([Item("data/second", LARGE)], context=CONTEXT)
    root = again(store)
    assert root.read(root.versions("data/second")[0]) == LARGE
    assert plain(server, store, "data/second") == LARGE


def test_what_others_do_to_a_key_changes_no_version(server: VersionedServer, filled: Store) -> None:
    """Overwritten and deleted behind our back, every version reads as it was; the foreign one is noticed."""
    key = f"lake/{ROOT}/data/file"
    server.overwrite(bucket_of(filled), key, b"theirs")
    theirs = server.versions(bucket_of(filled), key)[-1]
    assert [one.s3_version_id for one in again(filled).survey().foreign] == [theirs]
    server.remove(bucket_of(filled), [key])
    assert contents(again(filled)) == EXPECTED


def test_a_deleted_path_is_gone_for_plain_readers(server: VersionedServer, filled: Store) -> None:
    """Its version stays readable through us, and what is logged again is on top."""
    assert plain(server, filled, "data/deleted") is None
    again(filled).upload([Item("data/deleted", b"back")], context=CONTEXT)
    assert plain(server, filled, "data/deleted") == b"back"
    root = again(filled)
    assert [root.read(version) for version in root.versions("data/deleted")] == [b"deleted", b"back"]


@pytest.mark.parametrize("deed", ["delete", "overwrite", "cut"])
def test_packs_are_read_as_they_were_written(server: VersionedServer, filled: Store, deed: str) -> None:
    """Packs that somebody deleted, overwrote or cut short still give every version."""
    for key in packs(server, filled):
        data = server.read(bucket_of(filled), key) or b""
        if deed == "delete":
            server.remove(bucket_of(filled), [key])
        else:
            server.overwrite(bucket_of(filled), key, bytes(len(data)) if deed == "overwrite" else data[:-100])
    assert contents(again(filled)) == EXPECTED


def test_a_version_that_is_gone_is_an_error_that_names_it(server: VersionedServer, filled: Store) -> None:
    """Never the bytes of another version."""
    root = again(filled)
    old, new = locations(root, "data/file")
    object_versions(filled).delete([(old.key, old.s3_version_id)])
    first, second = root.versions("data/file")
    with pytest.raises(ObjectMissing, match="data/file@@v1"):
        again(filled).read(first)
    assert again(filled).read(second) == EDITED[:1000]
    assert versions_of(server, filled, "data/file") == [new.s3_version_id]


def object_versions(store: Store) -> ObjectVersions:
    """Return the object versions of a store."""
    found = open_versions(store.backend)
    assert found is not None
    return found


def test_a_recursive_deletion_is_undone(server: VersionedServer, filled: Store) -> None:
    """Everything is as it was; what we deleted stays deleted, and nothing is left to undo."""
    bucket = bucket_of(filled)
    before = {key: server.read(bucket, key) for key in server.keys(bucket)}
    server.remove(bucket, before)
    assert server.keys(bucket) == []
    assert filled.undelete(dry_run=True).deleted > 0
    assert server.keys(bucket) == []
    undone = filled.undelete()
    assert undone.overwritten == 0
    assert undone.deleted == len(before)
    assert {key: server.read(bucket, key) for key in before} == before
    assert plain(server, filled, "data/deleted") is None
    assert contents(again(filled)) == EXPECTED
    assert filled.undelete() == Undeleted(0, 0)
    assert natives.look(filled, "") == natives.Natives(roots=1, looked_at=1)


def test_hostile_overwrites_are_undone(server: VersionedServer, filled: Store) -> None:
    """Packs and commits that somebody overwrote are again what was written, once and for all."""
    bucket = bucket_of(filled)
    before = {key: server.read(bucket, key) for key in server.keys(bucket) if "/packs/" in key or "/_c/" in key}
    for key in before:
        server.overwrite(bucket, key, b"hostile")
    # The commits of settings lie in a log of their own.
    assert filled.undelete().overwritten == len(before)
    assert {key: server.read(bucket, key) for key in before} == before
    assert contents(again(filled)) == EXPECTED
    assert filled.undelete() == Undeleted(0, 0)


def test_older_deletions_are_left_alone_where_their_time_is_known(server: VersionedServer, filled: Store) -> None:
    """Google tells when an object was deleted. Azure does not, so a time is refused."""
    before = packs(server, filled)
    server.remove(bucket_of(filled), before)
    later, earlier = (datetime.now(UTC) + timedelta(hours=hours) for hours in (1, -1))
    if server.name == "azure-double":
        with pytest.raises(Unsupported, match="leave the time out"):
            filled.undelete(since=earlier)
    else:
        assert filled.undelete(since=later) == Undeleted(0, 0)
        assert packs(server, filled) == []
        assert filled.undelete(since=earlier) == Undeleted(len(before), 0)
        assert packs(server, filled) == before


@pytest.mark.usefixtures("without_grace")
def test_what_a_crash_left_is_removed_and_the_key_is_right(
    server: VersionedServer, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version nobody committed goes for good, and plain readers get the newest committed one again."""
    fail_to_commit(filled, "data/file", b"never committed", monkeypatch)
    assert plain(server, filled, "data/file") == b"never committed"
    assert len(natives.look(filled, "").orphans) == 1
    found = natives.look(filled, "", fix=True)
    assert (found.removed, found.settled) == (1, 1)
    assert plain(server, filled, "data/file") == EDITED[:1000]
    assert natives.look(filled, "") == natives.Natives(roots=1, looked_at=1)
    assert contents(again(filled)) == EXPECTED


def test_what_may_yet_be_committed_stays(
    server: VersionedServer, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the grace period it is neither removed nor replaced."""
    fail_to_commit(filled, "data/file", b"never committed", monkeypatch)
    found = natives.look(filled, "", fix=True)
    assert (found.removed, found.settled, len(found.pending)) == (0, 0, 1)
    assert plain(server, filled, "data/file") == b"never committed"


@pytest.fixture
def unversioned(server: VersionedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Store:
    """A store in a bucket that keeps no versions, with a warning that says so, and nobody who may switch that on."""
    with monkeypatch.context() as patch:
        if server.name == "fake-gcs":
            refuse_to_patch(patch)
        with caplog.at_level(logging.WARNING):
            made = new_store(server, versioned=False)
    assert "--versioning" in caplog.text or "--enable-versioning" in caplog.text
    assert versioning(made).status == "warning"
    return made


def versioning(store: Store) -> Check:
    """Return what a check-up says of the versioning of a store's bucket."""
    found = examine(f"versioned-{store.location}", write=False)
    return next(check for check in found.checks if check.name == "bucket versioning")


def refuse_to_patch(patch: pytest.MonkeyPatch) -> None:
    """Refuse changes to buckets of Google Cloud Storage, as to somebody who may not make them."""
    from google.api_core.exceptions import Forbidden
    from google.cloud.storage import Bucket

    def refuse(_: Bucket) -> None:
        raise Forbidden("storage.buckets.update")  # type: ignore[no-untyped-call]

    patch.setattr(Bucket, "patch", refuse)


@pytest.mark.usefixtures("without_grace")
def test_without_versions_each_has_a_key_of_its_own(server: VersionedServer, unversioned: Store) -> None:
    """As on any store that has none; nothing of it is foreign, or left by a crash."""
    for data in (b"one", b"two"):
        again(unversioned).upload([Item("data/file", data)], context=CONTEXT)
    keys = [key for key in server.keys(bucket_of(unversioned)) if "_mvs" not in key]
    assert len(keys) == 2
    assert all("/data/file@@" in key and key.endswith("/file") for key in keys)
    again(unversioned).delete("data/file", context=CONTEXT)
    root = again(unversioned)
    assert [root.read(version) for version in root.versions("data/file")] == [b"one", b"two"]
    assert natives.look(unversioned, "", fix=True) == natives.Natives(roots=1, looked_at=1)


def test_versioning_that_is_switched_off_destroys_nothing(
    server: VersionedServer, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain keys are left alone from then on. Google is asked about it; on Azure a write tells, until `init` does."""
    monkeypatch.setattr(bucket_versions, "_KNOWN_SECONDS", 0.0)
    object_versions(filled).keep_versions()
    server.keep_versions(bucket_of(filled), on=False)
    if server.name == "azure-double":
        with pytest.raises(Unsupported, match="is off"):
            again(filled).upload([Item("data/refused", b"refused")], context=CONTEXT)
        filled.keep_natively(["data/**"], CONTEXT)
    again(filled).upload([Item("data/file", b"later")], context=CONTEXT)
    again(filled).delete("data/file", context=CONTEXT)
    assert plain(server, filled, "data/file") == EDITED[:1000]
    assert contents(again(filled)) == EXPECTED | {"data/file@@v3": b"later"}


@pytest.mark.usefixtures("without_grace")
def test_what_an_upload_without_versions_left_is_removed(
    server: VersionedServer, unversioned: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the key that nobody committed."""
    again(unversioned).upload([Item("data/file", b"kept")], context=CONTEXT)
    fail_to_commit(unversioned, "data/file", b"never committed", monkeypatch)
    assert natives.look(unversioned, "", fix=True).removed == 1
    assert len([key for key in server.keys(bucket_of(unversioned)) if "_mvs" not in key]) == 1
    assert contents(again(unversioned)) == {"data/file@@v1": b"kept"}


@pytest.mark.usefixtures("without_grace")
def test_keys_and_versions_go_together(server: VersionedServer, filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a bucket keeps no versions its keys are left alone; all are read, and in the end readers get the newest."""
    with monkeypatch.context() as patch:
        patch.setattr(type(object_versions(filled)), "are_usable", lambda _: False)
        again(filled).upload([Item("data/file", b"named")], context=CONTEXT)
        again(filled).settle()
        assert plain(server, filled, "data/file") == EDITED[:1000]
    assert natives.look(filled, "", fix=True).settled == 1
    assert plain(server, filled, "data/file") is None
    again(filled).upload([Item("data/file", b"a version")], context=CONTEXT)
    assert plain(server, filled, "data/file") == b"a version"
    expected = EXPECTED | {"data/file@@v3": b"named", "data/file@@v4": b"a version"}
    assert contents(again(filled)) == expected
    assert natives.look(filled, "", fix=True) == natives.Natives(roots=1, looked_at=1)
    assert contents(again(filled)) == expected
