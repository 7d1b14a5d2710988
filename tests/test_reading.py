"""Reading versions wherever a commit says that their bytes are, also where only later releases put them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied, Damaged, InvalidInput, NotFound, ObjectMissing
from mlflow_versioned_store.history.records import DraftEntry
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.crafting import append, commit_entry

ROOT = f"1/{'a' * 32}/artifacts"
DATA = random.Random(4).randbytes(300_000)
Locate = Callable[[Store], Any]


@pytest.fixture
def name() -> str:
    """The name of a memory container that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def store(name: str) -> Store:
    """A store in a folder of that container."""
    return new_store(open_container(f"versioned-memory://{name}")[0], "store")


def container_of(store: Store) -> Backend:
    """Return the backend of the whole container of a store."""
    return open_container(f"versioned-{store.location.rpartition('/')[0]}")[0]


def native(store: Store) -> Any:
    """Put DATA where any S3 tool expects it, and return its location."""
    store.backend.put(f"{ROOT}/data/file", DATA)
    return {"native": f"{ROOT}/data/file"}


def reference(store: Store) -> Any:
    """Put DATA elsewhere in the bucket, and return its location."""
    container = container_of(store)
    container.put("lake/file", DATA)
    return {"reference": f"{container.location}/lake/file", "e_tag": container.head("lake/file").e_tag}


def object_of(store: Store, at: Any) -> tuple[Backend, str]:
    """Return backend and key of the object that a location leads to."""
    return (store.backend, at["native"]) if "native" in at else (container_of(store), "lake/file")


def written(store: Store, at: Any) -> tuple[ArtifactRoot, Version]:
    """Commit DATA as lying at `at`, and return how a new client sees it."""
    commit_entry(store, ROOT, "data/file", DATA, at)
    root = client(store.backend).root(ROOT)
    return root, root.versions("data/file")[0]


def readings(root: ArtifactRoot, version: Version) -> list[Callable[[], object]]:
    """Return the ways to read from a version: all of it, and a range."""
    return [lambda: root.read(version), lambda: root.read(version, 1, 2)]


def transfers(root: ArtifactRoot, version: Version, folder: Path) -> list[Callable[[], object]]:
    """Return the ways to read all of a version: into memory, and into a file in `folder`."""
    return [lambda: root.read(version), lambda: root.download([(version, str(folder / "file"))])]


@pytest.mark.parametrize("locate", [native, reference])
def test_whole_objects_are_read(store: Store, locate: Locate, tmp_path: Path) -> None:
    """A native object and a reference are downloaded, read and range-read like anything else."""
    root, version = written(store, locate(store))
    assert root.read(version) == DATA
    for start, stop in ((0, 1), (1000, 200_000), (299_999, 300_000), (300_000, 400_000)):
        assert root.read(version, start, stop) == DATA[start:stop]
    root.download([(version, str(tmp_path / "file"))])
    assert (tmp_path / "file").read_bytes() == DATA


@pytest.mark.parametrize("locate", [native, reference])
@pytest.mark.parametrize(
    "changed", [b"", DATA[:-1], DATA + b"x", b"x" * len(DATA)], ids=["none", "less", "more", "same"]
)
def test_a_changed_object_is_damage(store: Store, locate: Locate, changed: bytes, tmp_path: Path) -> None:
    """An object that is not what was committed is an error that names version and object, and leaves no file."""
    at = locate(store)
    root, version = written(store, at)
    backend, key = object_of(store, at)
    backend.put(key, changed)
    for attempt in transfers(root, version, tmp_path):
        with pytest.raises(Damaged, match="data/file@@v1") as caught:
            attempt()
        assert key in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("locate", [native, reference])
def test_a_lost_object_is_missing(store: Store, locate: Locate, tmp_path: Path) -> None:
    """An object that is gone is an error of its own that names version and object."""
    at = locate(store)
    root, version = written(store, at)
    backend, key = object_of(store, at)
    backend.delete([key])
    for attempt in (*readings(root, version), *transfers(root, version, tmp_path)):
        with pytest.raises(ObjectMissing, match="data/file@@v1") as caught:
            attempt()
        assert key in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_range_of_a_changed_reference_is_held_to_its_tag(store: Store) -> None:
    """A range cannot be checked by a digest of the whole, so the entity tag decides."""
    at = reference(store)
    root, version = written(store, at)
    container_of(store).put("lake/file", b"x" * len(DATA))
    with pytest.raises(Damaged, match="entity tag"):
        root.read(version, 5, 10)


def test_a_reference_leads_only_where_the_reader_allows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of the store's own bucket a reference is refused, until MVS_ALLOWED_REFERENCES lists where it leads."""
    other = uuid.uuid4().hex
    lake, _ = open_container(f"versioned-memory://{other}")
    lake.put("public/file", DATA)
    root, version = written(store, {"reference": f"memory://{other}/public/file"})
    refused = ["", f"memory://{other}/pub", f"memory://{other}x", f"memory://{other}/public/file/below", "s3://b"]
    for allowed in refused:
        monkeypatch.setenv("MVS_ALLOWED_REFERENCES", allowed)
        with pytest.raises(AccessDenied, match="MVS_ALLOWED_REFERENCES"):
            root.read(version)
    for allowed in (f"s3://b, memory://{other}/public/", f"memory://{other}", f"memory://{other}/public/file"):
        monkeypatch.setenv("MVS_ALLOWED_REFERENCES", allowed)
        assert root.read(version) == DATA
        assert root.read(version, 7, 9) == DATA[7:9]


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "{own}/../x",
        "{own}/a/../../x",
        "memory:x",
        "",
        "://x",
    ],
)
def test_a_hostile_reference_is_never_followed(store: Store, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """Local files, paths that climb and what is no URI are refused whatever the configuration allows."""
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", "file:///,file://,/,memory://")
    root, version = written(store, {"reference": uri.format(own=store.location)})
    for attempt in readings(root, version):
        with pytest.raises((InvalidInput, AccessDenied, Damaged), match=r"reference|refers"):
            attempt()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "_mvs/store.json", "a/_mvs/b", "a//b", "a\\b"])
def test_a_hostile_native_key_is_damage(store: Store, key: str) -> None:
    """A native object can only be where artifacts are: never outside of the store or in its own folder."""
    root, version = written(store, {"native": key})
    for attempt in readings(root, version):
        with pytest.raises(Damaged, match="data/file@@v1"):
            attempt()


@pytest.mark.parametrize("at", [None, 7, "x", {}, {"native": 7}, {"tape": "x"}, {"native": "a", "s3_version_id": 5}])
def test_an_unknown_location_is_damage(store: Store, at: Any) -> None:
    """A location that the format does not know is an error that names the version."""
    root, version = written(store, at)
    for attempt in readings(root, version):
        with pytest.raises(Damaged, match="data/file@@v1"):
            attempt()


def packed(container: Backend) -> tuple[Store, ArtifactRoot, Version]:
    """Return a store with one packed version, and how a client sees it that has looked it up."""
    store = new_store(container)
    store.root(ROOT).upload([Item("data/file", DATA)], context=Context())
    root = client(container).root(ROOT)
    return store, root, root.versions("data/file")[0]


def relocated(store: Store) -> None:
    """Rewrite the packs of the first commit of the root elsewhere, as a collector would, and delete them."""
    log_entry = next(store.root(ROOT).history()).changes[0]
    content = {"packs": [["elsewhere", *pack[1:]] for pack in log_entry.content["packs"]]}
    for old, new in zip(log_entry.content["packs"], content["packs"], strict=True):
        store.backend.put(keys.pack(new[0], new[1]), store.backend.get(keys.pack(old[0], old[1])).data)
        store.backend.delete([keys.pack(old[0], old[1])])
    moved = DraftEntry("data/file", version=1, at=log_entry.entries[0].at)
    append(store, ROOT, "relocate", moved, content=content)


def test_a_reader_follows_a_pack_that_moved() -> None:
    """Who looked a version up before its pack was rewritten folds the log once and reads it where it is now."""
    store, root, version = packed(open_memory("moved"))
    relocated(store)
    assert root.read(version) == DATA
    assert root.read(version, 1000, 2000) == DATA[1000:2000]


def test_a_reader_is_told_that_a_version_was_purged() -> None:
    """Who looked a version up before it was purged is told so; that is no damage."""
    store, root, version = packed(open_memory("purged"))
    append(store, ROOT, "purge", DraftEntry("data/file", version=1))
    store.backend.delete([info.key for info in store.backend.list("_mvs/data")])
    for attempt in readings(root, version):
        with pytest.raises(NotFound, match="data/file@@v1 was purged") as caught:
            attempt()
        assert not isinstance(caught.value, Damaged)


def test_a_pack_that_is_gone_is_missing() -> None:
    """Where the log knows of no new place the version is reported as missing, after one look at the log."""
    store, root, version = packed(open_memory("gone"))
    store.backend.delete([info.key for info in store.backend.list("_mvs/data")])
    with pytest.raises(ObjectMissing, match="/packs/"):
        root.read(version)


def test_versions_of_many_commits_are_read_in_one_call(tmp_path: Path) -> None:
    """A download may span more commits than a log keeps at hand."""
    root = new_store(open_memory("many")).root(ROOT)
    for number in range(100):
        root.upload([Item(f"{number}", b"%d" % number)], context=Context())
    root.download([(version, str(tmp_path / version.path)) for version in root.walk()])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {str(n): b"%d" % n for n in range(100)}
