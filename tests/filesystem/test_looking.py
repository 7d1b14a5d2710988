"""Looking at files of a store through fsspec: what there is, and that an error never looks like nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import fsspec
import pytest

from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.errors import AccessDenied, InvalidInput
from mlflow_versioned_store.filesystem import VersionedFileSystem
from tests.filesystem.conftest import ROOT, counted

TREE = {"a.txt": b"1", "d/b.txt": b"22", "d/e/c.txt": b"333", "d/x[1]?.txt": b"4444"}
MODEL = f"1/models/m-{'b' * 32}/artifacts"


@pytest.fixture
def tree(filesystem: VersionedFileSystem, root: str) -> str:
    """An artifact root with some files; returned as a path of the file system."""
    filesystem.pipe({f"{root}/{name}": data for name, data in TREE.items()})
    path: str = filesystem._strip_protocol(root)
    return path


def below(tree: str, *names: str) -> list[str]:
    """Return names as paths of the file system."""
    return [f"{tree}/{name}" for name in names]


def test_info_tells_of_a_version(filesystem: VersionedFileSystem, tree: str, root: str) -> None:
    """Size, number, SHA-256, time, and an address that leads to this version whatever comes later."""
    info = filesystem.info(f"{root}/d/b.txt")
    filesystem.pipe(f"{root}/d/b.txt", b"later")
    assert info["name"] == f"{tree}/d/b.txt"
    assert (info["type"], info["size"], info["version"]) == ("file", 2, 1)
    assert info["sha256"] == hashlib.sha256(b"22").hexdigest() == filesystem.ukey(info["address"])
    assert info["address"] == f"{root}/d/b.txt@@v1"
    assert fsspec.open(info["address"]).open().read() == b"22"
    assert filesystem.info(info["address"])["name"] == filesystem._strip_protocol(info["address"])
    assert abs(datetime.now(UTC) - filesystem.modified(f"{root}/d/b.txt")) < timedelta(minutes=5)
    assert filesystem.created(f"{root}/d/b.txt@v1") == info["created"]
    assert filesystem.checksum(f"{root}/d/b.txt@v1") != filesystem.checksum(f"{root}/d/b.txt")


def test_folders_list_what_lies_in_them(filesystem: VersionedFileSystem, tree: str) -> None:
    """A folder gives files and folders, a file itself; also as of a commit, under the name that was asked for."""
    assert filesystem.ls(tree, detail=False) == below(tree, "a.txt", "d")
    assert filesystem.ls(f"{tree}/d", detail=False) == below(tree, "d/b.txt", "d/e", "d/x[1]?.txt")
    assert filesystem.ls(f"{tree}/a.txt", detail=False) == below(tree, "a.txt")
    filesystem.rm(f"{tree}/d", recursive=True)
    assert filesystem.ls(f"{tree}/d@c1", detail=False) == below(tree, "d@c1/b.txt", "d@c1/e", "d@c1/x[1]?.txt")
    assert [info["size"] for info in filesystem.ls(f"{tree}/d@c1/e")] == [3]
    assert filesystem.cat(f"{tree}/d@c1/e/c.txt") == b"333"


def test_a_root_as_of_a_commit_is_a_folder(filesystem: VersionedFileSystem, tree: str, root: str) -> None:
    """An address may stand on the artifact root itself; nothing can be written there."""
    filesystem.pipe(f"{tree}/a.txt", b"later")
    assert filesystem.ls(f"{tree}@c1", detail=False) == below(f"{tree}@c1", "a.txt", "d")
    assert filesystem.info(f"{tree}@c1/a.txt")["address"] == f"{root}/a.txt@@v1"
    assert filesystem.cat(f"{tree}@c1/a.txt") == b"1"
    with pytest.raises(InvalidInput):
        filesystem.pipe(f"{tree}@c1/a.txt", b"2")


def test_folders_above_artifact_roots_list_them(filesystem: VersionedFileSystem, tree: str, store: str) -> None:
    """From the store down one comes to every artifact root; find crosses them."""
    filesystem.pipe(f"{store}/{MODEL}/MLmodel", b"model")
    top = filesystem._strip_protocol(store)
    assert filesystem.ls(store, detail=False) == [f"{top}/1"]
    assert filesystem.ls(f"{store}/1", detail=False) == [f"{top}/1/{'a' * 32}", f"{top}/1/models"]
    assert filesystem.isdir(f"{store}/1/models")
    everything = filesystem.find(store)
    assert everything == sorted([*below(tree, *TREE), f"{top}/{MODEL}/MLmodel"])
    assert filesystem.glob(f"{store}/1/*/artifacts/*.txt") == below(tree, "a.txt")
    assert not filesystem.exists(f"{store}/1/{'c' * 32}/artifacts")


def test_find_and_walk_and_glob_agree(filesystem: VersionedFileSystem, tree: str) -> None:
    """Files with and without folders, to any depth."""
    assert filesystem.find(tree) == sorted(below(tree, *TREE))
    assert filesystem.find(tree, maxdepth=1) == below(tree, "a.txt")
    assert filesystem.find(tree, maxdepth=2, withdirs=True) == sorted(
        [tree, *below(tree, "a.txt", "d", "d/b.txt", "d/e", "d/x[1]?.txt")]
    )
    assert filesystem.find(tree, withdirs=True) == sorted([tree, *below(tree, *TREE, "d", "d/e")])
    assert filesystem.find(f"{tree}/d/b.txt") == below(tree, "d/b.txt")
    assert filesystem.find(f"{tree}/nothing") == []
    walked = {folder: (sorted(dirs), sorted(files)) for folder, dirs, files in filesystem.walk(tree)}
    assert walked == {
        tree: (["d"], ["a.txt"]),
        f"{tree}/d": (["e"], ["b.txt", "x[1]?.txt"]),
        f"{tree}/d/e": ([], ["c.txt"]),
    }
    assert filesystem.glob(f"{tree}/**/c.txt") == below(tree, "d/e/c.txt")
    assert filesystem.du(tree) == sum(map(len, TREE.values()))


def test_what_is_missing_says_what_there_is(filesystem: VersionedFileSystem, tree: str) -> None:
    """Paths, versions and stores that are not there are a missing file, with the words that help."""
    for path, words in (
        (f"{tree}/d/nothing", "in 'd' there are 'b.txt'"),
        (f"{tree}/a.txt@v7", "has only version v1"),
        (f"{tree}/a.txt@gold", "a.txt"),
        (f"{tree.partition('/store')[0]}/elsewhere/file", "no versioned store"),
    ):
        with pytest.raises(FileNotFoundError, match=words):
            filesystem.open(path)
        with pytest.raises(FileNotFoundError, match=words):
            filesystem.info(path)
        assert not filesystem.exists(path)
    with pytest.raises(IsADirectoryError):
        filesystem.open(f"{tree}/d")
    assert not filesystem.exists(f"{tree}/_mvs/store.json")


def test_what_cannot_be_read_is_not_missing(files_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where access is denied, nothing says that there is nothing."""
    filesystem = fsspec.filesystem("versioned-file")
    filesystem.pipe(f"{files_store}/{ROOT}/a.txt", b"1")

    def denied(*_: object, **__: object) -> None:
        raise AccessDenied("denied by the test")

    for verb in ("get", "list", "head", "folders"):
        monkeypatch.setattr(FilesBackend, verb, denied)
    calls: list[Callable[[str], object]] = [
        filesystem.exists,
        filesystem.isfile,
        filesystem.isdir,
        filesystem.ls,
        filesystem.find,
        filesystem.info,
        lambda path: list(filesystem.walk(path)),
        filesystem.glob,
    ]
    for call in calls:
        with pytest.raises(AccessDenied):
            call(f"{files_store}/{ROOT}")
    assert isinstance(filesystem.cat_ranges([f"{files_store}/{ROOT}/a.txt"], 0, 1)[0], AccessDenied)


def test_what_is_no_path_is_missing() -> None:
    """Tools try names out, as rasterio does before it trusts a file system; writing there is refused, saying why."""
    filesystem = fsspec.filesystem("versioned-file")
    with pytest.raises(FileNotFoundError):
        filesystem.size("test")
    assert not filesystem.exists("test/a.txt")
    with pytest.raises(InvalidInput, match="absolute path"):
        filesystem.pipe("test/a.txt", b"1")


def test_a_wrong_configuration_makes_nothing_missing(minio_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be looked at, because a variable is wrong, may be there."""
    monkeypatch.setenv("MLFLOW_S3_IGNORE_TLS", "perhaps")
    with pytest.raises(InvalidInput, match="MLFLOW_S3_IGNORE_TLS"):
        fsspec.filesystem("versioned-s3").exists(f"{minio_store}/{ROOT}/a.txt")


def test_percent_signs_are_characters(files_store: str) -> None:
    """Paths are taken literally, as MLflow writes them: nothing is decoded."""
    filesystem = fsspec.filesystem("versioned-file")
    filesystem.pipe(f"{files_store}/{ROOT}/a%20b.txt", b"1")
    assert filesystem.cat(f"{files_store}/{ROOT}/a%20b.txt") == b"1"
    assert not filesystem.exists(f"{files_store}/{ROOT}/a b.txt")


def test_options_are_refused() -> None:
    """What would be silently ignored is told: stores are configured by the environment."""
    with pytest.raises(InvalidInput, match="endpoint_url"):
        fsspec.filesystem("versioned-memory", endpoint_url="http://127.0.0.1:9000")


def test_a_call_about_many_paths_asks_once(minio_store: str) -> None:
    """However many files are looked at, the state of their artifact root is read once."""
    filesystem = fsspec.filesystem("versioned-s3")
    filesystem.pipe({f"{minio_store}/{ROOT}/many/{number}": b"%d" % number for number in range(50)})
    before = counted(minio_store).requests
    assert len(filesystem.glob(f"{minio_store}/{ROOT}/many/*")) == 50
    assert counted(minio_store).requests - before <= 2
