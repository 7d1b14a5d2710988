"""Uploads by link: whoever has the links sends the parts, and any process makes one version of them."""

from __future__ import annotations

import random
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item, Stored
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content.locations import Native
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.direct import uploads
from mlflow_versioned_store.direct.uploads import Begun
from mlflow_versioned_store.errors import InvalidInput, NotFound, Unsupported
from mlflow_versioned_store.native.objects import CHANGE, STORE
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client
from tests.servers.s3 import S3Server

RUN = "a" * 32
ROOT = f"1/{RUN}/artifacts"
TABLE = f"{ROOT}/data/table"
CONTEXT = Context(run_id=RUN, user="ada")
PART_BYTES = 5 << 20
LARGE = random.Random(1).randbytes(2 * PART_BYTES + 1000)
OTHER = random.Random(2).randbytes(PART_BYTES + 7)
Parts = list[dict[str, Any]]


@pytest.fixture(params=["real_minio", "versitygw"])
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


def again(store: Store) -> Store:
    """Return the store as another process sees it."""
    return client(*open_container(f"versioned-{store.location}"))


def root_of(store: Store) -> ArtifactRoot:
    """Return the root as another process sees it."""
    return again(store).root(ROOT)


def send(begun: Begun, data: bytes) -> Parts:
    """PUT parts as a client does that has nothing but the links; return what it tells of them."""
    sent: Parts = []
    for number, link in enumerate(begun.links, 1):
        part = data[(number - 1) * PART_BYTES : number * PART_BYTES]
        with urllib.request.urlopen(urllib.request.Request(link, part, method="PUT"), timeout=30) as answer:
            sent.append({"PartNumber": number, "ETag": answer.headers["ETag"]})
    return sent


def uploaded(store: Store, data: bytes) -> Stored:
    """Upload with three processes: one begins, one sends, one finishes."""
    begun = uploads.begin(again(store), TABLE, max(1, -(-len(data) // PART_BYTES)))
    return uploads.finish(again(store), TABLE, begun.id, send(begun, data), CONTEXT)


def objects(server: S3Server, store: Store) -> list[str]:
    """Return the object versions below the root, newest first."""
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    listed = server.client().list_object_versions(Bucket=bucket, Prefix=f"{folder}/{ROOT}/")
    return [found["VersionId"] for kind in ("Versions", "DeleteMarkers") for found in listed.get(kind, [])]


def waiting(server: S3Server, store: Store) -> list[dict[str, Any]]:
    """Return the uploads that the bucket still waits for."""
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    listed = server.client().list_multipart_uploads(Bucket=bucket, Prefix=f"{folder}/{ROOT}/data/table")
    found: list[dict[str, Any]] = listed.get("Uploads", [])
    return found


@pytest.mark.parametrize("data", [LARGE, b"small", b""], ids=["large", "small", "empty"])
def test_parts_become_a_version(server: S3Server, store: Store, data: bytes) -> None:
    """It reads as it was sent, by us and under its plain key, and says whose it is; its SHA-256 is nobody's guess."""
    begun = uploads.begin(again(store), TABLE, max(1, -(-len(data) // PART_BYTES)))
    stored = uploads.finish(again(store), TABLE, begun.id, send(begun, data), CONTEXT)
    assert stored == Stored("data/table", 1, unchanged=False, size=len(data))
    root = root_of(store)
    (version,) = root.versions("data/table")
    assert (root.read(version), version.size, version.sha256) == (data, len(data), "")
    location = root.location(version)
    assert isinstance(location, Native)
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    found = server.client().get_object(Bucket=bucket, Key=f"{folder}/{TABLE}")
    assert (found["Body"].read(), found["VersionId"]) == (data, location.s3_version_id)
    assert found["Metadata"] == {STORE: store.id, CHANGE: begun.id.partition(".")[0]}
    assert found["ContentDisposition"].startswith("attachment")
    tags = server.client().get_object_tagging(Bucket=bucket, Key=f"{folder}/{TABLE}")["TagSet"]
    assert {"Key": "mvs-version", "Value": "v1"} in tags
    (commit,) = root.history()
    assert (commit.changes[0].operation, commit.changes[0].context["run_id"]) == ("upload", RUN)
    invariants.check_all(again(store), ROOT)


def test_versions_follow_each_other(store: Store) -> None:
    """New content makes a new version, by link or not, and each stays readable."""
    uploaded(store, LARGE)
    uploaded(store, OTHER)
    root_of(store).upload([Item("data/table", b"sent through us")], context=CONTEXT)
    uploaded(store, LARGE)
    root = root_of(store)
    assert [root.read(version) for version in root.versions("data/table")] == [LARGE, OTHER, b"sent through us", LARGE]


def test_the_same_content_makes_no_version(server: S3Server, store: Store) -> None:
    """The same bytes in the same parts are what is current already, and leave no object."""
    uploaded(store, LARGE)
    before = objects(server, store)
    assert uploaded(store, LARGE) == Stored("data/table", 1, unchanged=True, size=len(LARGE))
    assert objects(server, store) == before
    assert len(list(root_of(store).history())) == 1


def test_finishing_again_answers_the_same(server: S3Server, store: Store) -> None:
    """A client whose answer was lost asks again, even after somebody else's version, and nothing happens."""
    begun = uploads.begin(store, TABLE, 3)
    sent = send(begun, LARGE)
    first = uploads.finish(again(store), TABLE, begun.id, sent, CONTEXT)
    before = objects(server, store)
    expected = Stored("data/table", 1, unchanged=True, size=len(LARGE))
    assert uploads.finish(again(store), TABLE, begun.id, sent, CONTEXT) == expected
    assert objects(server, store) == before
    assert first.version == 1
    uploaded(store, OTHER)
    assert uploads.finish(again(store), TABLE, begun.id, sent, CONTEXT) == expected
    assert root_of(store).read(root_of(store).versions("data/table")[0]) == LARGE


def test_a_crash_before_the_commit_is_made_good(server: S3Server, store: Store) -> None:
    """Who asks again after the object was made, and nothing was recorded, gets the version."""
    begun = uploads.begin(store, TABLE, 3)
    sent = send(begun, LARGE)
    bucket, _, folder = store.location.removeprefix("s3://").partition("/")
    server.client().complete_multipart_upload(
        Bucket=bucket, Key=f"{folder}/{TABLE}", UploadId=begun.id.partition(".")[2], MultipartUpload={"Parts": sent}
    )
    assert root_of(store).versions("data/table") == []
    assert uploads.finish(again(store), TABLE, begun.id, sent, CONTEXT).version == 1
    assert root_of(store).read(root_of(store).versions("data/table")[0]) == LARGE


def test_nothing_is_seen_of_an_upload_that_is_not_finished(server: S3Server, store: Store) -> None:
    """Parts alone are no version; given up, they are removed, and giving up again or finishing is answered."""
    begun = uploads.begin(store, TABLE, 3)
    sent = send(begun, LARGE)
    assert root_of(store).versions("data/table") == []
    uploads.give_up(again(store), TABLE, begun.id)
    assert waiting(server, store) == []
    assert objects(server, store) == []
    uploads.give_up(again(store), TABLE, begun.id)
    with pytest.raises(NotFound, match="no object"):
        uploads.finish(again(store), TABLE, begun.id, sent, CONTEXT)
    assert list(root_of(store).history()) == []


def test_a_missing_part_is_refused(store: Store) -> None:
    """Who tells of a part that never came gets no version, and may still send it."""
    begun = uploads.begin(store, TABLE, 3)
    sent = send(Begun(begun.id, begun.links[:2]), LARGE)
    with pytest.raises(InvalidInput):
        uploads.finish(store, TABLE, begun.id, [*sent, {"PartNumber": 3, "ETag": '"0"'}], CONTEXT)
    assert root_of(store).versions("data/table") == []
    assert uploads.finish(store, TABLE, begun.id, send(begun, LARGE), CONTEXT).version == 1


def test_a_link_takes_its_part_of_its_object_only(store: Store) -> None:
    """Another key, another part or another upload under the same signature is refused by the server."""
    begun = uploads.begin(store, TABLE, 2)
    for old, new in (("data/table", "data/other"), ("partNumber=1", "partNumber=2")):
        with pytest.raises(urllib.error.HTTPError) as caught:
            send(Begun(begun.id, [begun.links[0].replace(old, new)]), b"x")
        assert caught.value.code == 403


def test_what_is_packed_has_no_links(server: S3Server, store: Store) -> None:
    """A path that no pattern means, or that can be no key, is refused, and nothing is begun."""
    for path in (f"{ROOT}/packed", "no-artifact-root", f"{ROOT}/data/{'ü' * 130}"):
        with pytest.raises(Unsupported, match="packed"):
            uploads.begin(store, path, 1)
    assert objects(server, store) == []


def test_what_can_be_no_upload_is_refused(store: Store) -> None:
    """Impossible paths, numbers of parts and ids are refused before anything is begun."""
    impossible = [(TABLE, 0), (TABLE, 10_001), (f"{ROOT}/data/../x", 1), (f"{ROOT}/data/t@@v1", 1), (ROOT, 1)]
    for path, count in impossible:
        with pytest.raises(InvalidInput):
            uploads.begin(store, path, count)
    for upload_id in ("", "x", "a" * 32, f"{'a' * 31}.x", f"../{'a' * 32}.x"):
        with pytest.raises(InvalidInput, match="no upload"):
            uploads.finish(store, TABLE, upload_id, [], CONTEXT)


def test_a_store_without_object_versions_has_no_links() -> None:
    """Where nothing is an object of a bucket there is nothing to send to."""
    made = create_store("versioned-memory://links")
    made.keep_natively(["**"], CONTEXT)
    with pytest.raises(Unsupported, match="S3"):
        uploads.begin(made, TABLE, 1)
