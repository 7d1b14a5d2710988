"""What every provider's object versions do alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from mlflow_versioned_store.backends import forks
from mlflow_versioned_store.backends.azure import open_azure
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.object_versions import Labels, ObjectVersions
from mlflow_versioned_store.backends.opening import open_container, open_s3_versions, open_versions
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import InvalidInput, NotFound, SourceChanged
from tests.conftest import StorageServer
from tests.servers.azure_double import AzureDouble
from tests.servers.fake_gcs import FakeGcs
from tests.servers.minio import Minio
from tests.servers.versioned import SCHEMES

Server: TypeAlias = Minio | FakeGcs | AzureDouble

PART = 5 << 20
LABELS = Labels("text/csv", "attachment; filename*=UTF-8''t.csv", {"mvs-store": "s", "mvs-change": "c"})
BODY = bytes(range(256)) * (PART // 128)


@pytest.fixture(params=["real_minio", "versioned_gcs", "azure_double"])
def site(request: pytest.FixtureRequest, use_server: Callable[[StorageServer], None]) -> Server:
    """Each kind of server that keeps versions."""
    found: Server = request.getfixturevalue(request.param)
    use_server(found)
    return found


def folder_in(site: Server, *, versioned: bool = True) -> Backend:
    """Return a folder of a fresh bucket."""
    backend, _ = open_container(f"versioned-{SCHEMES[site.name]}://{site.new_bucket(versioned=versioned)}")
    return ScopedBackend(backend, "lake")


@pytest.fixture
def backend(site: Server) -> Backend:
    """A folder of a bucket that keeps versions."""
    return folder_in(site)


@pytest.fixture
def versions(backend: Backend) -> ObjectVersions:
    """Its object versions."""
    return opened(backend)


def opened(backend: Backend) -> ObjectVersions:
    """Return the object versions of a store."""
    found = open_versions(backend)
    assert found is not None
    return found


def ids(versions: ObjectVersions, key: str) -> list[str]:
    """Return the ids of a key's versions, newest first, without delete markers."""
    return [one.s3_version_id for one in versions.list(key, exactly=True) if not one.deleted]


@pytest.fixture
def forked(
    azure_double: AzureDouble, use_server: Callable[[StorageServer], None], monkeypatch: pytest.MonkeyPatch
) -> Backend:
    """A container of Azure as a child that was forked after obstore was used reaches it."""
    monkeypatch.setattr(forks, "_lost", True)
    use_server(azure_double)
    return open_azure(azure_double.new_bucket(versioned=True))


def test_each_write_is_read_by_its_version(backend: Backend, versions: ObjectVersions) -> None:
    """One request or many parts: the answer names the version, which stays what it is."""
    first = versions.put("a/t.csv", b"one", LABELS)
    second = versions.put_parts("a/t.csv", iter([BODY[:PART], BODY[PART:]]), LABELS, sending, part_bytes=PART, ahead=2)
    empty = versions.put("a/t.csv", b"", LABELS)
    assert ids(versions, "a/t.csv") == [empty, second, first]
    for version, data in ((first, b"one"), (second, BODY), (empty, b"")):
        fetched = backend.get("a/t.csv", s3_version_id=version)
        assert (bytes(fetched.data), fetched.info.size) == (data, len(data))
    middle = backend.get("a/t.csv", start=PART - 3, stop=PART + 5, s3_version_id=second)
    assert bytes(middle.data) == BODY[PART - 3 : PART + 5]


def test_a_version_that_is_not_there_is_not_found(backend: Backend, versions: ObjectVersions) -> None:
    """Neither by reading nor by looking up nor by copying."""
    first = versions.put("a", b"one", LABELS)
    second = versions.put("a", b"two", LABELS)
    versions.delete([("a", first)])
    with pytest.raises(NotFound):
        backend.get("a", s3_version_id=first)
    assert versions.describe("a", first) is None
    assert versions.describe("b") is None
    with pytest.raises(NotFound):
        versions.copy("a", first, "b", 3, LABELS, sending)
    assert ids(versions, "a") == [second]


def test_a_range_beyond_a_version_is_refused(backend: Backend, versions: ObjectVersions) -> None:
    """As for any object, by the size of that version."""
    first = versions.put("a", b"short", LABELS)
    versions.put("a", b"much longer than that", LABELS)
    with pytest.raises(InvalidInput):
        backend.get("a", start=10, stop=12, s3_version_id=first)
    assert bytes(backend.get("a", start=3, stop=99, s3_version_id=first).data) == b"rt"


def test_a_forked_child_reads_versions_too(forked: Backend) -> None:
    """Whole and by range; one that is not there is not found."""
    written = opened(forked).put("a", b"first", LABELS)
    forked.put("a", b"second")
    assert bytes(forked.get("a", s3_version_id=written).data) == b"first"
    assert bytes(forked.get("a", start=1, stop=3, s3_version_id=written).data) == b"ir"
    assert bytes(forked.get("a").data) == b"second"
    with pytest.raises(NotFound):
        forked.get("a", s3_version_id="2020-01-01T00:00:00.0000000Z")
    with pytest.raises(InvalidInput):
        forked.get("a", start=5, s3_version_id=written)


def test_labels_and_times_come_back(versions: ObjectVersions) -> None:
    """What was said of an object is said of its version."""
    version = versions.put("t.csv", b"one", LABELS)
    versions.put("t.csv", b"other", Labels())
    found = versions.describe("t.csv", version)
    assert found is not None
    assert (found.s3_version_id, found.size, dict(found.metadata)) == (version, 3, dict(LABELS.metadata))
    assert found.labels.content_type == "text/csv"
    assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=5)
    newest = versions.describe("t.csv")
    assert newest is not None
    assert (newest.size, dict(newest.metadata)) == (5, {})


def test_tags_leave_the_version_as_it_is(versions: ObjectVersions) -> None:
    """They make no version, also for one that is not current any more."""
    first = versions.put("a", b"one", LABELS)
    second = versions.put("a", b"two", LABELS)
    versions.tag("a", first, {"mvs-run": "r" * 32})
    assert ids(versions, "a") == [second, first]
    found = versions.describe("a", first)
    assert found is not None
    assert found.metadata["mvs-store"] == "s"


def test_a_copy_is_a_version_with_labels_of_its_own(backend: Backend, versions: ObjectVersions) -> None:
    """The server copies exactly the version asked for, to another key or to the top of the same one."""
    first = versions.put("a", b"one", LABELS)
    versions.put("a", b"two", LABELS)
    copied = versions.copy("a", first, "b", 3, Labels(metadata={"mvs-copy-of": first}), sending)
    on_top = versions.copy("a", first, "a", 3, LABELS, sending)
    found = versions.describe("b", copied)
    assert found is not None
    assert dict(found.metadata) == {"mvs-copy-of": first}
    assert bytes(backend.get("b").data) == bytes(backend.get("a").data) == b"one"
    assert ids(versions, "a")[0] == on_top


def test_a_listing_is_by_key_and_newest_first(versions: ObjectVersions) -> None:
    """Below a folder, all versions; a key without a current one begins with a delete marker."""
    made = [(key, versions.put(key, key.encode(), LABELS)) for key in ("a/x", "a/y", "a/x", "b", "a/xz")]
    versions.delete([("a/y", None)])
    shown = [(one.key, one.s3_version_id, one.current) for one in versions.list("a") if not one.deleted]
    assert shown == [
        ("a/x", made[2][1], True),
        ("a/x", made[0][1], False),
        ("a/xz", made[4][1], True),
        ("a/y", made[1][1], False),
    ]
    assert [(one.key, one.current) for one in versions.list("a") if one.deleted] == [("a/y", True)]
    assert [one.key for one in versions.list("a/x", exactly=True)] == ["a/x", "a/x"]
    assert len(list(versions.list(""))) == 6


def test_equal_bytes_and_only_those_have_equal_tags(versions: ObjectVersions) -> None:
    """A listing tells what was written again from what was overwritten, also through a copy."""
    first = versions.put("a", b"one", LABELS)
    versions.put("a", b"two", LABELS)
    versions.copy("a", first, "a", 3, LABELS, sending)
    copied, other, original = versions.list("a", exactly=True)
    assert copied.e_tag == original.e_tag != other.e_tag
    assert None not in (original.e_tag, other.e_tag)


def test_deleting_for_good_takes_the_version_named(backend: Backend, versions: ObjectVersions) -> None:
    """Current or not; what is gone already is no error, and what is below shows where the provider uncovers it."""
    first, second, third = (versions.put("a", data, LABELS) for data in (b"one", b"two", b"three"))
    versions.delete([("a", second), ("a", third), ("a", third)])
    assert ids(versions, "a") == [first]
    assert (versions.describe("a") is not None) is versions.uncovers
    assert bytes(backend.get("a", s3_version_id=first).data) == b"one"


def test_a_deleted_key_keeps_its_versions(backend: Backend, versions: ObjectVersions) -> None:
    """Readers of the key get nothing; the next write is on top."""
    first = versions.put("a", b"one", LABELS)
    versions.delete([("a", None)])
    assert versions.describe("a") is None
    with pytest.raises(NotFound):
        backend.get("a")
    second = versions.put("a", b"two", LABELS)
    assert ids(versions, "a") == [second, first]


def test_parts_that_break_off_make_no_version(versions: ObjectVersions) -> None:
    """Whoever reads the source hears what was wrong with it, and nobody ever sees the beginning."""

    def parts() -> Iterator[bytes]:
        yield BODY[:PART]
        raise SourceChanged("It changed.")

    with pytest.raises(SourceChanged):
        versions.put_parts("a", parts(), LABELS, sending, part_bytes=PART, ahead=2)
    assert list(versions.list("a", exactly=True)) == []


def test_versioning_is_switched_on_or_asked_for(site: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Where it is on, or can be switched on, versions are usable and nothing is left to do; a switch is told once."""
    versions = opened(folder_in(site, versioned=site.name == "azure-double"))
    assert [versions.keep_versions() for _ in range(2)] == ["", ""]
    assert caplog.text.count("was switched on, for the whole bucket") == (site.name != "azure-double")
    assert versions.are_usable()
    versions.check_kept()


def test_links_for_parts_are_for_s3_alone(site: Server, backend: Backend) -> None:
    """The other providers have no such uploads here."""
    assert (open_s3_versions(backend) is not None) is (site.name == "minio")


def test_written_by_the_backend_is_a_version_too(backend: Backend, versions: ObjectVersions) -> None:
    """Packs are written by the backend, and read in the version that a listing or a look tells."""
    backend.put_named("pack", b"frames")
    told = backend.head("pack").s3_version_id
    assert ids(versions, "pack") == [told]
    assert backend.put_named("pack", b"frames").s3_version_id == told
    assert bytes(backend.get("pack", s3_version_id=told).data) == b"frames"
