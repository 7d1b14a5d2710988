"""Writing files of a store through fsspec: each becomes a version, whole or not at all."""

from __future__ import annotations

import gc
import random
import zipfile
from pathlib import Path

import fsspec
import pytest

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.filesystem import VersionedFileSystem
from mlflow_versioned_store.history.records import Commit
from mlflow_versioned_store.store import create_store, open_store
from tests.filesystem.conftest import ROOT, counted

DATA = random.Random(7).randbytes(3 << 20)


def commits(root: str) -> list[Commit]:
    """Return the commits of an artifact root, newest first."""
    store, name = open_store(root)
    return list(store.root(name).history())


def test_a_closed_file_is_a_version(filesystem: VersionedFileSystem, root: str) -> None:
    """Nothing is there while it is written; then all of it is, also after seeking back, and large or empty."""
    with filesystem.open(f"{root}/a.bin", "wb") as file:
        file.write(b"....")
        file.write(DATA)
        file.seek(0)
        file.write(b"head")
        assert file.tell() == 4
        assert not filesystem.exists(f"{root}/a.bin")
    assert filesystem.cat(f"{root}/a.bin") == b"head" + DATA
    with filesystem.open(f"{root}/a.bin", "wb") as file:
        file.write(DATA)
        file.truncate(5)
    assert filesystem.cat(f"{root}/a.bin") == DATA[:5]
    filesystem.touch(f"{root}/a.bin")
    assert filesystem.cat(f"{root}/a.bin") == b""
    assert filesystem.cat(f"{root}/a.bin@v1") == b"head" + DATA
    assert len(commits(root)) == 3


def test_archives_and_text_can_be_written(filesystem: VersionedFileSystem, root: str) -> None:
    """What writes into files of its own works on these."""
    with filesystem.open(f"{root}/a.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.txt", "x" * 1000)
    with filesystem.open(f"{root}/a.zip") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside.txt") == b"x" * 1000
    with filesystem.open(f"{root}/a.txt", "w", encoding="utf-16") as text:
        text.write("ä")
    assert filesystem.read_text(f"{root}/a.txt", encoding="utf-16") == "ä"


class Broken(Exception):
    """Something went wrong while a file was written."""


def write_half(filesystem: VersionedFileSystem, path: str, mode: str, compression: str | None) -> None:
    """Write something, then fail."""
    with filesystem.open(path, mode, compression=compression) as file:
        file.write(b"half" if mode == "wb" else "half")
        raise Broken


def drop_half(filesystem: VersionedFileSystem, path: str, mode: str, compression: str | None) -> None:
    """Write something, and forget the file."""
    filesystem.open(path, mode, compression=compression).write(b"half" if mode == "wb" else "half")
    gc.collect()


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_what_breaks_off_is_no_version(filesystem: VersionedFileSystem, root: str, mode: str) -> None:
    """An error in the block, through text and compression too, leaves what was there."""
    filesystem.pipe(f"{root}/a.txt", b"whole")
    for compression in (None, "gzip"):
        with pytest.raises(Broken):
            write_half(filesystem, f"{root}/a.txt", mode, compression)
        with pytest.warns(ResourceWarning, match="never closed"):
            drop_half(filesystem, f"{root}/a.txt", mode, compression)
    assert filesystem.cat(f"{root}/a.txt") == b"whole"
    assert len(commits(root)) == 1


def test_a_file_written_while_an_error_is_handled_is_a_version(filesystem: VersionedFileSystem, root: str) -> None:
    """A report on an error is no error."""
    try:
        raise Broken
    except Broken:
        with filesystem.open(f"{root}/report.txt", "w") as file:
            file.write("broken")
    assert filesystem.cat(f"{root}/report.txt") == b"broken"


def test_many_files_are_one_change(filesystem: VersionedFileSystem, root: str, tmp_path: Path) -> None:
    """Put and pipe and copy of many files are one commit each."""
    (tmp_path / "local/d/e").mkdir(parents=True)
    for name in ("a.txt", "d/b.txt", "d/e/c.txt"):
        (tmp_path / "local" / name).write_text(name)
    filesystem.put(str(tmp_path / "local"), root, recursive=True)
    filesystem.pipe({f"{root}/x": b"1", f"{root}/y": b"2"})
    filesystem.cp(f"{root}/d", f"{root}/copy", recursive=True)
    assert filesystem.cat(f"{root}/copy/e/c.txt") == b"d/e/c.txt"
    assert [len(commit.changes[0].entries) for commit in commits(root)] == [2, 2, 3]


def test_copies_move_no_bytes(minio_store: str) -> None:
    """Within a store, whatever the artifact root; any version can be copied, and comes back whole."""
    filesystem = fsspec.filesystem("versioned-s3")
    root, other = f"{minio_store}/{ROOT}", f"{minio_store}/1/{'b' * 32}/artifacts"
    filesystem.pipe(f"{root}/a.bin", DATA)
    filesystem.pipe(f"{root}/a.bin", DATA[::-1])
    before = counted(minio_store)
    filesystem.cp(f"{root}/a.bin@v1", f"{other}/b.bin")
    filesystem.mv(f"{root}/a.bin", f"{root}/c.bin")
    moved = counted(minio_store) - before
    assert moved.bytes_up + moved.bytes_down < 100_000
    assert filesystem.cat(f"{other}/b.bin") == DATA
    assert filesystem.cat(f"{root}/c.bin") == DATA[::-1]


def test_copies_between_stores_are_uploads(filesystem: VersionedFileSystem, root: str, store: str) -> None:
    """Another store gets the bytes."""
    create_store(f"{store}-other")
    filesystem.pipe(f"{root}/a.txt", b"a")
    filesystem.cp(f"{root}/a.txt", f"{store}-other/b.txt")
    assert filesystem.cat(f"{store}-other/b.txt") == b"a"


def test_a_transaction_is_one_change_or_none(filesystem: VersionedFileSystem, root: str, tmp_path: Path) -> None:
    """However files are written in it; what it takes from elsewhere is what was there when it was asked."""
    (tmp_path / "local.txt").write_text("local")
    filesystem.pipe(f"{root}/old.txt", b"old")
    with filesystem.transaction:
        with filesystem.open(f"{root}/a.txt", "w") as file:
            file.write("a")
        filesystem.pipe({f"{root}/b.txt": b"b", f"{root}/c.txt": b"c"})
        filesystem.put(str(tmp_path / "local.txt"), f"{root}/d.txt")
        (tmp_path / "local.txt").write_text("changed")
        filesystem.cp(f"{root}/old.txt", f"{root}/e.txt")
        assert filesystem.ls(root, detail=False) == [filesystem._strip_protocol(f"{root}/old.txt")]
    assert [filesystem.cat(f"{root}/{name}.txt") for name in "abcde"] == [b"a", b"b", b"c", b"local", b"old"]
    assert len(commits(root)) == 2
    with pytest.raises(Broken), filesystem.transaction:
        write_half(filesystem, f"{root}/f.txt", "wb", None)
    assert not filesystem.exists(f"{root}/f.txt")
    filesystem.pipe(f"{root}/g.txt", b"after")
    assert filesystem.cat(f"{root}/g.txt") == b"after"


def test_removing_records_that_something_is_gone(filesystem: VersionedFileSystem, root: str) -> None:
    """Versions stay; a folder needs to be meant; patterns and moves work."""
    filesystem.pipe({f"{root}/{name}": name.encode() for name in ("a.txt", "b.txt", "c.bin", "d/e.txt")})
    filesystem.rm(f"{root}/*.txt")
    assert len(commits(root)) == 2
    assert filesystem.find(root) == [filesystem._strip_protocol(f"{root}/{name}") for name in ("c.bin", "d/e.txt")]
    assert filesystem.cat(f"{root}/a.txt@v1") == b"a.txt"
    with pytest.raises(IsADirectoryError):
        filesystem.rm(f"{root}/d")
    with pytest.raises(FileNotFoundError):
        filesystem.rm(f"{root}/a.txt")
    with pytest.raises(OSError, match="lies in the folder"):
        filesystem.rmdir(f"{root}/d")
    filesystem.mv(f"{root}/d", f"{root}/f", recursive=True)
    assert not filesystem.exists(f"{root}/d")
    assert filesystem.cat(f"{root}/f/e.txt") == b"d/e.txt"
    filesystem.rm(root, recursive=True)
    assert filesystem.find(root) == []


def test_what_cannot_be_written_is_refused_before_it_is(filesystem: VersionedFileSystem, root: str) -> None:
    """Versions, appending, artifact roots themselves, and places without a store."""
    filesystem.pipe(f"{root}/a.txt", b"1")
    for path in (f"{root}/a.txt@v1", f"{root}/a.txt@@v1"):
        with pytest.raises(InvalidInput, match="never change"):
            filesystem.open(path, "wb")
        with pytest.raises(InvalidInput, match="never change"):
            filesystem.pipe(path, b"2")
        with pytest.raises(InvalidInput, match="never change"):
            filesystem.rm(path)
    with pytest.raises(InvalidInput, match="'ab'"):
        filesystem.open(f"{root}/a.txt", "ab")
    with pytest.raises(InvalidInput, match="artifact root"):
        filesystem.pipe(root, b"2")
    with pytest.raises(FileNotFoundError, match="no versioned store"):
        filesystem.open(f"{root.partition('/store')[0]}/elsewhere/a.txt", "wb")
    with pytest.raises(FileExistsError):
        filesystem.pipe(f"{root}/a.txt", b"2", mode="create")
    assert len(commits(root)) == 1


def test_a_name_that_looks_like_an_address_can_be_written(filesystem: VersionedFileSystem, root: str) -> None:
    """Where no version has that address, it is a name like any other."""
    filesystem.pipe(f"{root}/mail@home?.txt", b"1")
    assert filesystem.cat(f"{root}/mail@home?.txt") == b"1"
    assert filesystem.cat_file(f"{root}/mail@home?.txt@@v1") == b"1"
    filesystem.rm_file(f"{root}/mail@home?.txt")
    assert not filesystem.exists(f"{root}/mail@home?.txt")
