"""Versions that are read again: their bytes come from this machine's disk, and are as right as those of the store."""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.counting import CountingBackend
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content import cache
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Call, Fault, FaultyBackend
from tests.engine.uploads import CONTEXT, ROOT
from tests.golden.test_golden import HERE
from tests.golden.test_golden import ROOT as GOLDEN_ROOT

SIZE = 3_000_000
DATA = random.Random(2).randbytes(SIZE)
# What the history of these small stores takes; far below any of the files.
RECORDS = 20_000


class Remote(WrapperBackend):
    """A store that counts as one behind a network."""

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """As the inner backend, but remote."""
        return dataclasses.replace(self.inner.capabilities, remote=True)


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv("MVS_CACHE", "on")
    monkeypatch.setenv("MVS_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with one large file in it."""
    folder = tmp_path / "store"
    folder.mkdir()
    new_store(FilesBackend(str(folder)))
    log(folder, DATA)
    return folder


def log(store: Path, data: bytes) -> None:
    """Log `data` as a file's next version, as another machine does."""
    client(FilesBackend(str(store))).root(ROOT).upload([Item("file", data)], context=CONTEXT)


def current(root: ArtifactRoot, address: str = "file") -> Version:
    """Return the version at an address."""
    version = root.resolve(address)
    assert isinstance(version, Version)
    return version


def moved(backend: Path | Backend, work: Callable[[ArtifactRoot], object], name: str = ROOT) -> int:
    """Return how many bytes a client that never read before had to move for its work on an artifact root."""
    counting = CountingBackend(backend if isinstance(backend, Backend) else FilesBackend(str(backend)))
    work(client(Remote(counting)).root(name))
    return counting.snapshot().bytes_down


def read_all(root: ArtifactRoot) -> None:
    """Read the file's newest version and check it."""
    assert root.read(current(root, "file@@v1")) == DATA


def read_elsewhere(store: Path) -> int:
    """Read the file, and return how many bytes moved; for another process."""
    return moved(store, read_all)


def test_a_version_that_is_read_twice_moves_its_bytes_once(store: Path) -> None:
    """Also where another process reads it the second time."""
    assert moved(store, read_all) >= SIZE
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        assert processes.submit(read_elsewhere, store).result() < RECORDS
    assert moved(store, read_all) < RECORDS


def test_a_download_fills_the_cache_for_ranges(store: Path, tmp_path: Path) -> None:
    """What was downloaded whole is read in ranges, and as a file, without another byte."""
    moved(store, lambda root: root.download([(current(root), str(tmp_path / "out"))]))
    assert (tmp_path / "out").read_bytes() == DATA

    def look(root: ArtifactRoot) -> None:
        with root.open(current(root)) as file:
            file.seek(1_000_000)
            assert file.read(70_000) == DATA[1_000_000:1_070_000]
        assert root.read(current(root), SIZE - 10) == DATA[-10:]

    # The directory of the pack says where frames are; a download of frames that stand alone does without.
    assert moved(store, look) < RECORDS


def test_a_range_that_is_read_twice_moves_once(store: Path) -> None:
    """The second reading of a range, or of part of it, moves nothing."""

    def look(root: ArtifactRoot) -> None:
        assert root.read(current(root), 500_000, 900_000) == DATA[500_000:900_000]

    assert 400_000 <= moved(store, look) < 1_000_000
    assert moved(store, look) < RECORDS
    assert moved(store, lambda root: root.read(current(root), 600_000, 600_001)) < RECORDS


def test_a_new_version_moves_what_is_new(store: Path) -> None:
    """After version 1, version 2 moves about the bytes in which it differs."""
    moved(store, read_all)
    edited = DATA[:1_500_000] + b"inserted" + DATA[1_500_000:]
    log(store, edited)

    def look(root: ArtifactRoot) -> None:
        assert root.read(current(root)) == edited

    assert moved(store, look) < SIZE / 5


def test_a_disk_that_turns_bits_is_found_out(store: Path, cache_folder: Path) -> None:
    """Damage in the cache costs another request, never a wrong byte."""
    moved(store, read_all)
    cache.settle()
    for path in cache_folder.rglob("*"):
        if path.is_file() and path.stat().st_size > 1_000_000:
            data = bytearray(path.read_bytes())
            data[500_000] ^= 1
            path.write_bytes(data)
    assert 0 < moved(store, read_all) < SIZE / 5
    assert moved(store, read_all) < RECORDS


@pytest.mark.parametrize("part", ["frames", "directory"])
def test_bytes_that_were_hurt_on_their_way_do_not_stay(store: Path, part: str) -> None:
    """What came damaged is read again from the store, and what is kept is right."""
    hurt: list[int] = []

    def first_of_a_pack(call: Call) -> bool:
        # A range is read by way of the directory, all of the file without it.
        if call.verb == "get" and "/packs/" in call.key and not hurt:
            hurt.append(call.number)
            return True
        return False

    def look(root: ArtifactRoot) -> None:
        start = 0 if part == "frames" else 1
        assert root.read(current(root), start) == DATA[start:]

    faulty = FaultyBackend(FilesBackend(str(store)))
    faulty.when(first_of_a_pack, Fault.CORRUPT)
    moved(faulty, look)
    assert hurt
    assert moved(store, look) < RECORDS


def test_a_pack_that_is_damaged_is_not_hidden_by_trying(store: Path) -> None:
    """Where the store itself is damaged, that is an error each time, and the cache keeps none of it."""
    (pack,) = (store / "_mvs/data/all/packs").rglob("*/*")
    data = bytearray(pack.read_bytes())
    data[SIZE // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    for _ in range(2):
        with pytest.raises(Damaged):
            moved(store, read_all)
    data[SIZE // 2] ^= 1
    pack.write_bytes(data)
    moved(store, read_all)


def test_native_objects_are_kept_by_their_digest(tmp_path: Path) -> None:
    """A native object moves once; one that was overwritten behind our back does not replace what was recorded."""
    store = tmp_path / "store"
    shutil.copytree(HERE / "format-1" / "blake3", store)
    native = next(path for path in store.rglob("native.bin") if path.is_file())
    data = native.read_bytes()

    def look(root: ArtifactRoot) -> None:
        assert root.read(current(root, "native.bin")) == data
        assert root.read(current(root, "native.bin"), 10, 20) == data[10:20]

    assert moved(store, look, GOLDEN_ROOT) == moved(store, look, GOLDEN_ROOT) + len(data)
    native.chmod(0o600)
    native.write_bytes(data[::-1])
    moved(store, look, GOLDEN_ROOT)
    cache.default().clear()
    for _ in range(2):
        with pytest.raises(Damaged):
            moved(store, look, GOLDEN_ROOT)


def test_stores_on_this_machine_are_not_kept_twice(store: Path, cache_folder: Path) -> None:
    """What lies on a local disk already is read from there."""
    read_all(client(FilesBackend(str(store))).root(ROOT))
    assert not cache_folder.exists()


@pytest.mark.parametrize("setting", ["MVS_CACHE=off", "MVS_CACHE_SIZE=0", "MVS_CACHE_DIR=/proc/nowhere"])
def test_without_a_cache_bytes_move_each_time(store: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """The cache can be switched off, and where it has no place nothing else is missing."""
    monkeypatch.setenv(*setting.split("="))
    assert moved(store, read_all) >= SIZE
    assert moved(store, read_all) >= SIZE
