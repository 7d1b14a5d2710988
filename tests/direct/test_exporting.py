"""The newest versions become plain objects again, and no version loses its bytes by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.direct.destinations import open_destination
from mlflow_versioned_store.direct.exporting import Exported, export
from mlflow_versioned_store.errors import Conflict
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import create_store
from tests.direct.test_adopting import CONTEXT, OTHER, RUN, Site
from tests.servers.s3 import S3Server

LARGE = bytes(range(256)) * 40_000


@pytest.fixture
def site(minio: S3Server, s3_env: Callable[[S3Server], None]) -> Site:
    """A bucket with old artifacts below "mlruns"."""
    s3_env(minio)
    return Site(minio)


def exported(site: Site, to: str | None = None, *, write: bool = True, path: str = "") -> Exported:
    """Export the store, by default to its own place."""
    return export(site.store(), path, open_destination(to or site.source), write=write)


def plain(site: Site) -> dict[str, bytes]:
    """Return all objects below "mlruns" that are not the store's."""
    keys = [one["Key"] for one in site.s3.list_objects_v2(Bucket=site.bucket, Prefix="mlruns/")["Contents"]]
    names = [key.removeprefix("mlruns/") for key in keys if "/_mvs/" not in key]
    return {name: site.s3.get_object(Bucket=site.bucket, Key=f"mlruns/{name}")["Body"].read() for name in names}


def test_what_was_adopted_and_what_came_since_is_plain_again(site: Site) -> None:
    """On a versioned bucket the place itself shows the newest versions, and every version stays readable."""
    site.keep_versions()
    site.put(f"{RUN}/same", b"same")
    site.put(f"{RUN}/f", b"one")
    site.put(f"{RUN}/gone", b"gone")
    site.put(f"{OTHER}/x", b"x")
    site.adopt()
    root = site.store().root(RUN)
    root.upload([Item("f", b"two"), Item("new/large.bin", LARGE), Item("empty", None)], context=CONTEXT)
    root.delete("gone", context=CONTEXT)
    assert exported(site, write=False) == Exported(written=2, size=3 + len(LARGE), unchanged=2, removed=1)
    assert plain(site)[f"{RUN}/f"] == b"one"
    assert exported(site) == Exported(written=2, size=3 + len(LARGE), unchanged=2, removed=1)
    assert plain(site) == {
        f"{RUN}/same": b"same",
        f"{RUN}/f": b"two",
        f"{RUN}/new/large.bin": LARGE,
        f"{OTHER}/x": b"x",
    }
    assert exported(site) == Exported(unchanged=4)
    assert [root.read(one) for one in root.versions("f")] == [b"one", b"two"]
    assert [root.read(one) for one in root.versions("gone")] == [b"gone"]


def test_a_restored_version_is_copied_by_the_server(site: Site) -> None:
    """A version that is an older object version becomes the current object without moving bytes through here."""
    site.keep_versions()
    site.put(f"{RUN}/f", b"one")
    site.put(f"{RUN}/f", b"two")
    site.adopt()
    root = site.store().root(RUN)
    take(root, [Taken(root, root.versions("f")[0], "f")], operation="restore", context=CONTEXT)
    assert exported(site) == Exported(written=1, size=3, copied=1)
    assert plain(site) == {f"{RUN}/f": b"one"}


def test_native_objects_are_there_already(site: Site) -> None:
    """What is kept natively needs no export."""
    site.keep_versions()
    store = create_store(site.uri)
    change_settings(store.settings_log, {"native": ["**"]}, {})
    site.store().root(RUN).upload([Item("f", LARGE)], context=CONTEXT)
    assert exported(site) == Exported(unchanged=1)


def test_the_only_bytes_of_a_version_are_never_lost(site: Site) -> None:
    """Without object versions nothing is written over an adopted object; another place takes the whole."""
    site.put(f"{RUN}/f", b"one")
    site.put(f"{RUN}/gone", b"gone")
    site.adopt()
    root = site.store().root(RUN)
    root.upload([Item("f", b"two"), Item("a", b"a")], context=CONTEXT)
    root.delete("gone", context=CONTEXT)
    with pytest.raises(Conflict, match=r"2, such as .*/f, .*/gone"):
        exported(site)
    assert plain(site) == {f"{RUN}/f": b"one", f"{RUN}/gone": b"gone"}
    # Nor where the bucket began to keep versions only after that.
    site.keep_versions()
    with pytest.raises(Conflict):
        exported(site)
    exported(site, f"s3://{site.bucket}/mlruns/back")
    assert plain(site)[f"back/{RUN}/f"] == b"two"
    assert [root.read(one) for one in root.versions("f")] == [b"one", b"two"]


def test_objects_from_before_the_bucket_kept_versions_may_be_replaced(site: Site) -> None:
    """Adopted by their null version, they stay readable as an older object version."""
    site.put(f"{RUN}/f", b"one")
    site.keep_versions()
    site.adopt()
    root = site.store().root(RUN)
    root.upload([Item("f", b"two")], context=CONTEXT)
    assert exported(site).written == 1
    assert plain(site) == {f"{RUN}/f": b"two"}
    assert [root.read(one) for one in root.versions("f")] == [b"one", b"two"]


@pytest.mark.parametrize("versioned", [True, False])
def test_what_others_wrote_is_taken_in_first(site: Site, versioned: bool) -> None:
    """An object that is no version is in the way, until it was adopted and is the newest."""
    if versioned:
        site.keep_versions()
    create_store(site.uri)
    root = site.store().root(RUN)
    root.upload([Item("f", b"ours")], context=CONTEXT)
    site.put(f"{RUN}/f", b"theirs")
    with pytest.raises(Conflict, match=r"1, such as"):
        exported(site)
    site.adopt()
    assert exported(site) == Exported(unchanged=1)
    assert plain(site) == {f"{RUN}/f": b"theirs"}
    assert [root.read(one) for one in root.versions("f")] == [b"ours", b"theirs"]


def test_an_export_is_followed_by_the_next(site: Site, tmp_path: Path) -> None:
    """A copy that an export wrote is replaced by the next, and removed when its path was deleted; also in a folder."""
    create_store(site.uri)
    root = site.store().root(RUN)
    for to in (site.source, str(tmp_path)):
        root.upload([Item("f", b"one"), Item("g", b"g")], context=CONTEXT)
        assert exported(site, to).written == 2
        root.upload([Item("f", b"two")], context=CONTEXT)
        root.delete("g", context=CONTEXT)
        assert exported(site, to) == Exported(written=1, size=3, removed=1)
        root.delete("", context=CONTEXT)
        root.upload([Item("f", b"two")], context=CONTEXT)
        assert exported(site, to) == Exported(unchanged=1)
    assert plain(site) == {f"{RUN}/f": b"two"}
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"two"]


def test_a_part_of_a_store_is_exported_alone(site: Site, tmp_path: Path) -> None:
    """A path takes what is at or below it, named from there on."""
    create_store(site.uri)
    for name in (RUN, OTHER, f"12/{'c' * 32}/artifacts"):
        site.store().root(name).upload([Item("data/f", name.encode())], context=CONTEXT)
    exported(site, str(tmp_path / "experiment"), path="1")
    exported(site, str(tmp_path / "folder"), path=f"{RUN}/data")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("f")}
    assert found == {
        f"experiment/{RUN.removeprefix('1/')}/data/f",
        f"experiment/{OTHER.removeprefix('1/')}/data/f",
        "folder/f",
    }


def test_a_local_store_is_exported_to_its_own_place(tmp_path: Path) -> None:
    """Beside the store's own folder lie the files that MLflow alone would have written."""
    place = tmp_path / "mlruns"
    store = create_store(f"versioned-file://{place}")
    for data in (b"one", b"two"):
        store.root(RUN).upload([Item("data/f", data)], context=CONTEXT)
    assert export(store, "", open_destination(f"file://{place}"), write=True).written == 1
    assert (place / RUN / "data/f").read_bytes() == b"two"
    assert [path.name for path in (place / RUN).rglob("*")] == ["data", "f"]
