"""Reading files of a store through fsspec: whole, in ranges, many at once, in other processes."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import fsspec
import pytest
from fsspec.callbacks import Callback
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.filesystem import VersionedFileSystem
from mlflow_versioned_store.version_file import VersionFile
from tests.filesystem.conftest import ROOT, counted

MIB = 1 << 20
DATA = random.Random(6).randbytes(3 * MIB + 5)
BOUNDS = st.none() | st.integers(-4 * MIB, 4 * MIB)


@pytest.fixture
def file(filesystem: VersionedFileSystem, root: str) -> str:
    """A file of some megabytes."""
    filesystem.pipe(f"{root}/data.bin", DATA)
    return f"{root}/data.bin"


def test_files_open_as_bytes_and_as_text(filesystem: VersionedFileSystem, root: str) -> None:
    """The modes of Python's own open, and fsspec's compression."""
    filesystem.pipe(f"{root}/notes.txt", b"one\r\ntwo\n")
    with filesystem.open(f"{root}/notes.txt") as binary:
        assert isinstance(binary, VersionFile)
        assert binary.readlines() == [b"one\r\n", b"two\n"]
    with filesystem.open(f"{root}/notes.txt", "r") as text:
        assert text.read() == "one\ntwo\n"
    with filesystem.open(f"{root}/notes.txt.gz", "wb", compression="gzip") as packed:
        packed.write(b"three")
    with filesystem.open(f"{root}/notes.txt.gz@@v1", "rt", compression="gzip") as unpacked:
        assert unpacked.read() == "three"
    assert filesystem.head(f"{root}/notes.txt", 3) == b"one"
    assert filesystem.tail(f"{root}/notes.txt", 4) == b"two\n"
    assert filesystem.read_block(f"{root}/notes.txt", 1, 4, b"\n") == b"two\n"


@given(start=BOUNDS, stop=BOUNDS)
@settings(max_examples=30, deadline=None)
def test_a_range_is_a_slice(start: int | None, stop: int | None) -> None:
    """Bounds count as in a slice of Python's, negative ones from the end."""
    filesystem = fsspec.filesystem("versioned-memory")
    file = f"versioned-memory://filesystem-ranges/{ROOT}/data.bin"
    if not filesystem.exists(file):
        store_with(file)
    assert filesystem.cat_file(file, start, stop) == DATA[start:stop]
    assert filesystem.cat_ranges([file], [start], [stop]) == [DATA[start:stop]]


def store_with(file: str) -> None:
    """Make the store of a file, and the file."""
    from mlflow_versioned_store.store import create_store

    create_store(file.partition(f"/{ROOT}")[0])
    fsspec.filesystem("versioned-memory").pipe(file, DATA)


def test_many_ranges_are_few_requests(minio_store: str) -> None:
    """Ranges of a file that lie close together come together; each file's come in its own place among the answers."""
    filesystem = fsspec.filesystem("versioned-s3")
    names = [f"{minio_store}/{ROOT}/{name}" for name in ("a", "b")]
    filesystem.pipe({names[0]: DATA, names[1]: DATA[::-1]})
    filesystem.cat_ranges(names, 0, 1)
    before = counted(minio_store).requests
    starts = [at * 3000 for at in range(100)]
    answers = filesystem.cat_ranges(names * 50, starts, [at + 100 for at in starts])
    assert answers == [(DATA if at % 2 == 0 else DATA[::-1])[start : start + 100] for at, start in enumerate(starts)]
    # The state of the artifact root, and a request for each file.
    assert counted(minio_store).requests - before <= 3


def test_errors_of_many_files_are_returned_or_raised(filesystem: VersionedFileSystem, file: str, root: str) -> None:
    """As the caller wishes, and only for the files that they are of."""
    missing = f"{root}/missing"
    answers = filesystem.cat_ranges([file, missing], 0, 3)
    assert answers[0] == DATA[:3]
    assert isinstance(answers[1], FileNotFoundError)
    assert list(filesystem.cat([file, missing], on_error="omit").values()) == [DATA]
    with pytest.raises(FileNotFoundError):
        filesystem.cat_ranges([file, missing], 0, 3, on_error="raise")
    with pytest.raises(FileNotFoundError):
        filesystem.cat([file, missing])


class Told(Callback):  # type: ignore[misc]
    """Remembers what it is told."""


def test_downloads_count_bytes(filesystem: VersionedFileSystem, file: str, root: str, tmp_path: Path) -> None:
    """A folder comes whole, as of any commit, and the callback is told of its bytes."""
    filesystem.pipe(f"{root}/d/e.txt", b"later")
    told = Told()
    filesystem.get(root, str(tmp_path / "now"), recursive=True, callback=told)
    assert (tmp_path / "now/data.bin").read_bytes() == DATA
    assert (tmp_path / "now/d/e.txt").read_bytes() == b"later"
    assert told.size == told.value == len(DATA) + 5
    filesystem.get(f"{file}@v1", str(tmp_path / "one.bin"))
    assert (tmp_path / "one.bin").read_bytes() == DATA
    into = io.BytesIO()
    filesystem.get_file(file, into)
    assert into.getvalue() == DATA


@pytest.mark.parametrize("cache", ["simplecache", "filecache", "blockcache"])
def test_caches_of_fsspec_can_be_chained(files_store: str, tmp_path: Path, cache: str) -> None:
    """Each cache of fsspec in front of the file system gives what is asked for, also once it was filled."""
    file = f"{files_store}/{ROOT}/data.bin"
    fsspec.filesystem("versioned-file").pipe(file, DATA)
    for _ in range(2):
        chained = fsspec.open(f"{cache}::{file}@v1", **{cache: {"cache_storage": str(tmp_path / cache)}})
        with chained as opened:
            opened.seek(MIB)
            assert opened.read(10) == DATA[MIB : MIB + 10]
            opened.seek(-5, io.SEEK_END)
            assert opened.read() == DATA[-5:]


def test_a_file_system_travels(files_store: str) -> None:
    """Pickled, in a process of its own and in a thread it reads the same; so do files that are not open yet."""
    file = f"{files_store}/{ROOT}/data.bin"
    filesystem = fsspec.filesystem("versioned-file")
    filesystem.pipe(file, DATA)
    assert pickle.loads(pickle.dumps(filesystem)) == filesystem
    for method in ("spawn", "fork"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            assert pool.submit(read_with, filesystem, file).result(timeout=60) == DATA
            assert pool.submit(read_opened, fsspec.open(f"{file}@v1")).result(timeout=60) == DATA


def read_with(filesystem: VersionedFileSystem, path: str) -> bytes:
    """Read a file, in another process."""
    data: bytes = filesystem.cat(path)
    return data


def read_opened(opened: fsspec.core.OpenFile) -> bytes:
    """Read a file that another process described."""
    with opened as file:
        data: bytes = file.read()
    return data
