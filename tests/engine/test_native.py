"""The native layout: plain objects that any tool reads, versions by the bucket, one commit with what is packed."""

from __future__ import annotations

import hashlib
import io
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item, Recorded, Stored
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content.locations import Native, Reference
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput, SourceChanged, Unsupported
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client
from tests.servers.s3 import S3Server

RUN = "a" * 32
ROOT, OTHER = f"1/{RUN}/artifacts", f"1/{'b' * 32}/artifacts"
CONTEXT = Context(run_id=RUN, user="ada")
LARGE = random.Random(1).randbytes(20 << 20)


@pytest.fixture(params=["minio", "versitygw"])
def server(request: pytest.FixtureRequest, s3_env: Callable[[S3Server], None]) -> S3Server:
    """Each server that keeps object versions."""
    found: S3Server = request.getfixturevalue(request.param)
    s3_env(found)
    return found


@pytest.fixture
def store(server: S3Server) -> Store:
    """A store that keeps everything below "data" natively."""
    made = create_store(f"versioned-s3://{server.new_bucket(versioned=server.name == 'minio')}/lake")
    made.keep_natively(["data/**"], CONTEXT)
    return made


def again(store: Store) -> ArtifactRoot:
    """Return the root as another process sees it."""
    scheme, _, rest = store.location.partition("://")
    return client(*open_container(f"versioned-{scheme}://{rest}")).root(ROOT)


def upload(root: ArtifactRoot, **data: Any) -> list[Stored]:
    """Upload sources into "data"."""
    return root.upload([Item(f"data/{name}", source) for name, source in data.items()], context=CONTEXT)


def plain(server: S3Server, store: Store, path: str, **arguments: Any) -> Any:
    """Get an object of the root as any S3 tool does."""
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    return server.client().get_object(Bucket=bucket, Key=f"{folder}/{ROOT}/{path}", **arguments)


def object_versions(server: S3Server, store: Store) -> list[str]:
    """Return the ids of all object versions in the root, with delete markers."""
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    found = server.client().list_object_versions(Bucket=bucket, Prefix=f"{folder}/{ROOT}/")
    return [item["VersionId"] for kind in ("Versions", "DeleteMarkers") for item in found.get(kind, [])]


def test_versions_are_plain_objects(server: S3Server, store: Store, tmp_path: Path) -> None:
    """Small, large, streamed and empty: each is one object under its readable key, read back by its version."""
    (tmp_path / "file").write_bytes(LARGE)
    sources: dict[str, tuple[Any, bytes]] = {
        "small": (b"1,2\n", b"1,2\n"),
        "empty": (b"", b""),
        "file": (str(tmp_path / "file"), LARGE),
        "stream": (io.BytesIO(LARGE[5:]), LARGE[5:]),
        "short": (io.BytesIO(b"short"), b"short"),
        "ü & %41.csv": (b"odd", b"odd"),
    }
    stored = upload(store.root(ROOT), **{name: source for name, (source, _) in sources.items()})
    assert [(one.version, one.size) for one in stored] == [(1, len(data)) for _, data in sources.values()]
    root = again(store)
    for name, (_, data) in sources.items():
        assert plain(server, store, f"data/{name}")["Body"].read() == data
        (version,) = root.versions(f"data/{name}")
        assert root.read(version) == data
        assert version.sha256 == hashlib.sha256(data).hexdigest()


def test_one_change_has_packed_and_native_entries(server: S3Server, store: Store) -> None:
    """Files of both layouts and an empty folder become visible in one commit."""
    items = [Item("data/native", LARGE), Item("model/packed", LARGE[:9_000_000]), Item("empty", None)]
    store.root(ROOT).upload(items, context=CONTEXT)
    root = again(store)
    assert [commit.number for commit in root.history()] == [1]
    assert {version.path: root.read(version) for version in root.walk() if version.kind == "file"} == {
        "data/native": LARGE,
        "model/packed": LARGE[:9_000_000],
    }
    assert len(object_versions(server, store)) == 1


def test_content_that_is_current_makes_no_object_version(server: S3Server, store: Store) -> None:
    """Logged again, small and large, from bytes, file or stream, nothing is written."""
    upload(store.root(ROOT), small=b"same", large=LARGE)
    before = object_versions(server, store)
    stored = upload(again(store), small=b"same", large=LARGE)
    assert [(one.version, one.unchanged) for one in stored] == [(1, True), (1, True)]
    upload(again(store), small=io.BytesIO(b"same"))
    assert object_versions(server, store) == before


def test_content_that_is_stored_anew_makes_object_versions(server: S3Server, store: Store) -> None:
    """Small and large, current here and known elsewhere: all bytes are sent, and each is a version of its own."""
    upload(store.root(ROOT), small=b"same", large=LARGE)
    store.root(OTHER).upload([Item("data/large", LARGE)], context=CONTEXT)
    before = object_versions(server, store)
    root = again(store)
    items = [Item("data/small", b"same"), Item("data/large", LARGE)]
    stored = root.upload(items, context=CONTEXT, anew=True)
    assert [(one.version, one.unchanged) for one in stored] == [(2, False), (2, False)]
    assert len(object_versions(server, store)) == len(before) + 2
    assert [again(store).read(version) for version in root.walk("data")] == [LARGE, b"same"]


def test_a_new_version_leaves_the_one_before(server: S3Server, store: Store) -> None:
    """The key has the newest version; each one is read in its own object version."""
    for data in (b"one", LARGE, b"three"):
        upload(again(store), table=data)
    root = again(store)
    assert [root.read(version) for version in root.versions("data/table")] == [b"one", LARGE, b"three"]
    assert plain(server, store, "data/table")["Body"].read() == b"three"
    assert len(object_versions(server, store)) == 3


def test_content_elsewhere_is_copied_by_the_server(
    server: S3Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another root's large file is not sent again; the copy is an object of its own, with labels of its own."""
    store.root(OTHER).upload([Item("data/first", LARGE)], context=CONTEXT)
    from mlflow_versioned_store.backends.s3_versions import S3Versions

    monkeypatch.delattr(S3Versions, "put_parts")
    upload(again(store), second=LARGE)
    root = again(store)
    assert root.read(root.versions("data/second")[0]) == LARGE
    assert plain(server, store, "data/second")["Body"].read() == LARGE


def test_objects_say_what_they_are(server: S3Server, store: Store) -> None:
    """Metadata name store and change; tags the store, digest, run and version; no browser runs what was logged."""
    upload(store.root(ROOT), **{"page.html": b"<script>"})
    found = plain(server, store, "data/page.html")
    (commit,) = again(store).history()
    assert found["Metadata"] == {"mvs-store": store.id, "mvs-change": commit.changes[0].id}
    assert found["ContentType"] == "text/html"
    assert found["ContentDisposition"] == "attachment; filename*=UTF-8''page.html"
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    tagged = server.client().get_object_tagging(Bucket=bucket, Key=f"{folder}/{ROOT}/data/page.html")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tagged} == {
        "mvs-store": store.id,
        "mvs-sha256": hashlib.sha256(b"<script>").hexdigest(),
        "mvs-run": RUN,
        "mvs-version": "v1",
    }


def test_a_deletion_hides_the_object(server: S3Server, store: Store) -> None:
    """After a deletion a plain reader finds nothing, our readers every version; logging again brings it back."""
    root = store.root(ROOT)
    upload(root, table=b"one", other=b"other")
    root.delete("data/table", context=CONTEXT)
    with pytest.raises(ClientError, match="NoSuchKey"):
        plain(server, store, "data/table")
    assert plain(server, store, "data/other")["Body"].read() == b"other"
    assert again(store).read(again(store).versions("data/table")[0]) == b"one"
    upload(again(store), table=b"one")
    assert plain(server, store, "data/table")["Body"].read() == b"one"
    assert [version.number for version in again(store).versions("data/table")] == [1, 2]


def test_foreign_writes_and_deletes_change_nothing_of_ours(server: S3Server, store: Store) -> None:
    """Overwritten and deleted by somebody else, every version reads as it was logged."""
    upload(store.root(ROOT), table=b"ours", other=LARGE)
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    server.client().put_object(Bucket=bucket, Key=f"{folder}/{ROOT}/data/table", Body=b"theirs")
    server.client().delete_object(Bucket=bucket, Key=f"{folder}/{ROOT}/data/other")
    root = again(store)
    assert root.read(root.versions("data/table")[0]) == b"ours"
    assert root.read(root.versions("data/other")[0]) == LARGE


def test_parts_of_a_failed_upload_are_removed(server: S3Server, store: Store) -> None:
    """A stream that breaks off leaves no object, no part and no commit."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 17 << 20:
                raise OSError("the line went dead")
            return super().read(size)

    with pytest.raises(OSError, match="dead"):
        upload(store.root(ROOT), stream=Broken(LARGE))
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    assert (
        server.client().list_multipart_uploads(Bucket=bucket, Prefix=f"{folder}/{ROOT}/data/stream").get("Uploads", [])
        == []
    )
    assert object_versions(server, store) == []
    assert list(again(store).history()) == []


def test_a_file_that_changes_is_refused(store: Store, tmp_path: Path) -> None:
    """A file that grows each time it is read is no version."""
    path = tmp_path / "growing"
    path.write_bytes(LARGE)

    class Growing:
        def add(self, _: int) -> None:
            with path.open("ab") as file:
                file.write(b"more")

        def close(self) -> None:
            """Nothing to do."""

    with pytest.raises(SourceChanged, match="growing"):
        store.root(ROOT).upload([Item("data/growing", str(path))], context=CONTEXT, progress=Growing())
    assert list(again(store).history()) == []


def test_a_bucket_without_versions_is_refused(real_minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """Where versioning is suspended or off nothing is written natively, and the error says what to do."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    store = create_store(f"versioned-s3://{bucket}/lake")
    store.keep_natively(["**"], CONTEXT)
    assert real_minio.client().get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    suspended = {"Status": "Suspended"}
    real_minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended)
    with pytest.raises(Unsupported, match="suspended"):
        upload(again(store), table=b"x")
    assert object_versions(real_minio, store) == []


def test_what_can_be_no_object_is_packed(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Names that no key can have are packed, however the patterns read, and that is said."""
    name = "ü" * 130
    upload(store.root(ROOT), **{name: b"odd"})
    assert "no readable key" in caplog.text
    root = again(store)
    (version,) = root.versions(f"data/{name}")
    assert root.read(version) == b"odd"
    assert isinstance(root.log.locate([version])[0].at, list)


def test_what_was_packed_stays_there_until_it_changes(server: S3Server, real_minio: S3Server) -> None:
    """A path that becomes native keeps its packed version while the content is the same."""
    store = create_store(f"versioned-s3://{server.new_bucket(versioned=server.name == 'minio')}/lake")
    upload(store.root(ROOT), small=b"same", large=LARGE)
    store.keep_natively(["**"], CONTEXT)
    stored = upload(again(store), small=b"same", large=LARGE)
    assert [one.unchanged for one in stored] == [True, True]
    assert object_versions(server, store) == []
    upload(again(store), small=b"new")
    assert plain(server, store, "data/small")["Body"].read() == b"new"
    assert [again(store).read(version) for version in again(store).versions("data/small")] == [b"same", b"new"]


def test_versions_of_objects_that_exist_are_recorded(server: S3Server, store: Store) -> None:
    """Objects become versions without being read; without a digest each is a version of its own."""
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    key = f"{ROOT}/raw/table"
    ids = [
        server.client().put_object(Bucket=bucket, Key=f"{folder}/{key}", Body=data)["VersionId"]
        for data in (b"one", b"two!")
    ]
    recorded = [
        Recorded("raw/table", 3, Native(key, ids[0])),
        Recorded("raw/table", 4, Reference(f"s3://{bucket}/{folder}/{key}", ids[1]), note={"from": "lake"}),
    ]
    stored = store.root(ROOT).record(recorded, context=CONTEXT)
    assert [(one.version, one.unchanged) for one in stored] == [(1, False), (2, False)]
    root = again(store)
    assert [root.read(version) for version in root.versions("raw/table")] == [b"one", b"two!"]
    with pytest.raises(InvalidInput):
        root.record([Recorded("../x", 1, Native(key, ids[0]))], context=CONTEXT)


def test_nothing_is_asked_for_where_nothing_is_native(server: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    """A store of packed paths alone writes no readable object and warns of nothing."""
    store = create_store(f"versioned-s3://{server.new_bucket()}/lake")
    with caplog.at_level(logging.WARNING):
        upload(store.root(ROOT), table=b"x")
        store.root(ROOT).delete("data", context=CONTEXT)
    assert object_versions(server, store) == []
    assert caplog.records == []
