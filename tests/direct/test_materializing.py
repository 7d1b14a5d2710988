"""Exact versions become plain objects, with a manifest, and a prefix that follows the newest."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.direct.destinations import S3Destination, open_destination
from mlflow_versioned_store.direct.materializing import Materialized, materialize
from mlflow_versioned_store.errors import Conflict, InvalidInput, NotFound
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store, create_store
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

RUN = f"1/{'a' * 32}/artifacts"
CONTEXT = Context()
LARGE = bytes(range(256)) * 80_000


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store on local files."""
    return create_store(f"versioned-file://{tmp_path}/store")


@pytest.fixture
def root(store: Store) -> ArtifactRoot:
    """A run with two versions of a file and a folder."""
    root = store.root(RUN)
    root.upload([Item("data/a.csv", b"one"), Item("data/b/c.bin", LARGE)], context=CONTEXT)
    root.upload([Item("data/a.csv", b"two")], context=CONTEXT)
    return root


def copied(store: Store, root: ArtifactRoot, address: str, to: object, *, keep_latest: bool = False) -> Materialized:
    """Materialize an address."""
    return materialize(root, address, open_destination(str(to)), store_id=store.id, keep_latest=keep_latest)


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder but manifests."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith("_")}


def test_a_version_has_a_prefix_of_its_own(store: Store, root: ArtifactRoot, tmp_path: Path) -> None:
    """Each version is a plain file under a stable prefix, named in a manifest."""
    for number, data in ((1, b"one"), (2, b"two")):
        done = copied(store, root, f"data/a.csv@v{number}", tmp_path / "out")
        assert (done.written, done.unchanged) == (1, 0)
        assert (tmp_path / f"out/data/a.csv/v{number}/a.csv").read_bytes() == data
    manifest = json.loads((tmp_path / "out/_manifests/data/a.csv/v2.json").read_text(encoding="utf-8"))
    assert (manifest["store"], manifest["root"], manifest["address"]) == (store.id, RUN, "data/a.csv@@v2")
    assert manifest["files"] == [
        {"name": "a.csv", "path": "data/a.csv", "version": 2, "size": 3, "sha256": hashlib.sha256(b"two").hexdigest()}
    ]


def test_a_folder_is_copied_as_of_a_commit(store: Store, root: ArtifactRoot, tmp_path: Path) -> None:
    """A folder's files lie below its commit's prefix; a second call writes nothing."""
    done = copied(store, root, "data@c1", tmp_path / "out")
    assert files(tmp_path / "out") == {"data/c1/a.csv": b"one", "data/c1/b/c.bin": LARGE}
    assert (done.written, copied(store, root, "data@c1", tmp_path / "out").written) == (2, 0)


def test_the_latest_prefix_follows(store: Store, root: ArtifactRoot, tmp_path: Path) -> None:
    """With `keep_latest` a prefix equals the newest version: what changed is written, what is gone is removed."""
    copied(store, root, "data", tmp_path / "out", keep_latest=True)
    assert files(tmp_path / "out") == {"data/latest/a.csv": b"two", "data/latest/b/c.bin": LARGE}
    root.upload([Item("data/a.csv", b"three"), Item("data/new", b"new")], context=CONTEXT)
    root.delete("data/b", context=CONTEXT)
    done = copied(store, root, "data", tmp_path / "out", keep_latest=True)
    assert (done.written, done.unchanged) == (2, 0)
    assert files(tmp_path / "out") == {"data/latest/a.csv": b"three", "data/latest/new": b"new"}


def test_what_breaks_off_is_never_named(
    store: Store, root: ArtifactRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While objects are missing there is no manifest, and the one of the latest prefix still names what was."""
    from mlflow_versioned_store.direct.destinations import FolderDestination

    copied(store, root, "data", tmp_path / "out", keep_latest=True)
    before = (tmp_path / "out/_manifests/data/latest.json").read_bytes()
    root.upload([Item("data/a.csv", b"three"), Item("data/z", b"z")], context=CONTEXT)
    write = FolderDestination.write

    def fails(self: FolderDestination, key: str, file: Any, sha256: str) -> None:
        if key.endswith("/z"):
            raise NotFound("gone")
        write(self, key, file, sha256)

    with monkeypatch.context() as patch:
        patch.setattr(FolderDestination, "write", fails)
        with pytest.raises(NotFound, match="gone"):
            copied(store, root, "data", tmp_path / "out", keep_latest=True)
    assert (tmp_path / "out/_manifests/data/latest.json").read_bytes() == before
    copied(store, root, "data", tmp_path / "out", keep_latest=True)
    assert files(tmp_path / "out")["data/latest/z"] == b"z"


def test_what_another_root_wrote_is_kept(store: Store, root: ArtifactRoot, tmp_path: Path) -> None:
    """A prefix belongs to one artifact root of one store."""
    copied(store, root, "data/a.csv@v1", tmp_path / "out")
    other = store.root(f"1/{'b' * 32}/artifacts")
    other.upload([Item("data/a.csv", b"other")], context=CONTEXT)
    with pytest.raises(Conflict, match="choose"):
        copied(store, other, "data/a.csv@v1", tmp_path / "out")
    assert files(tmp_path / "out") == {"data/a.csv/v1/a.csv": b"one"}


def test_what_cannot_be_a_destination(store: Store, root: ArtifactRoot, tmp_path: Path) -> None:
    """Stores are no destinations, and a pinned address is nothing to follow."""
    for uri in ("versioned-s3://bucket/x", "s3://bucket/store/_mvs/data", "nonsense://x"):
        with pytest.raises(InvalidInput):
            open_destination(uri)
    with pytest.raises(InvalidInput, match="never changes"):
        copied(store, root, "data/a.csv@v1", tmp_path, keep_latest=True)
    with pytest.raises(NotFound, match="v1 to v2"):
        copied(store, root, "data/a.csv@v9", tmp_path)


@pytest.mark.parametrize("native", [False, True])
def test_on_s3_the_server_copies_what_is_native(
    minio: S3Server, s3_env: Callable[[S3Server], None], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed versions are written in parts; native ones of the same bucket never leave the server."""
    s3_env(minio)
    bucket = minio.new_bucket()
    s3 = minio.client()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = create_store(f"versioned-s3://{bucket}/store")
    if native:
        change_settings(store.settings_log, {"native": ["**"]}, {})
    root = store.root(RUN)
    root.upload([Item("big.parquet", LARGE)], context=CONTEXT)
    if native:
        monkeypatch.setattr(ArtifactRoot, "open", None)
    done = copied(store, root, "big.parquet", f"s3://{bucket}/stage")
    assert (done.written, done.copied) == (1, int(native))
    answer = s3.get_object(Bucket=bucket, Key="stage/big.parquet/v1/big.parquet")
    assert answer["Body"].read() == LARGE
    assert answer["Metadata"] == {"sha256": hashlib.sha256(LARGE).hexdigest()}
    assert "attachment" in answer["ContentDisposition"]
    assert copied(store, root, "big.parquet", f"s3://{bucket}/stage").written == 0


def test_s3_destinations_forget_what_is_gone(real_minio: Minio, s3_env: Callable[[S3Server], None]) -> None:
    """Small objects are read back, deleted, and absent afterwards."""
    s3_env(real_minio)
    to = S3Destination(real_minio.new_bucket(), "place")
    assert to.read("a") is None
    to.write("a", io.BytesIO(b"data"), "")
    assert to.read("a") == b"data"
    to.delete(["a"])
    assert to.read("a") is None
