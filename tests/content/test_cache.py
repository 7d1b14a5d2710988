"""The cache on this machine's disk: each byte comes once, nothing wrong is ever given, and no trouble with it shows."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import cache
from mlflow_versioned_store.content.cache import DEFAULT_BYTES_MAX, Cache, default
from mlflow_versioned_store.content.workers import memory
from mlflow_versioned_store.errors import InvalidInput, Unavailable

SIZE = 3 << 20
DATA = random.Random(1).randbytes(SIZE)


class Source:
    """An object elsewhere, and what was asked of it."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.asked: list[tuple[int, int]] = []

    def get(self, start: int, stop: int) -> bytes:
        """Return a range."""
        self.asked.append((start, stop))
        return self.data[start:stop]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A folder that nobody has made yet."""
    return str(tmp_path / "cache")


def read(folder: str, start: int, stop: int, *, name: str = "object") -> list[tuple[int, int]]:
    """Read a range through the cache as a process does that never read before; return what it had to ask for."""
    asked = begin_to_read(folder, start, stop, name)
    cache.settle()
    return asked


def begin_to_read(folder: str, start: int, stop: int, name: str = "object") -> list[tuple[int, int]]:
    """Read a range, and leave what is to be kept on its way."""
    source = Source()
    assert Cache(folder).through(name, start, stop, source.get) == DATA[start:stop]
    return source.asked


def files_of(folder: str) -> Iterator[Path]:
    """Yield the files of all objects."""
    return (path for path in Path(folder).glob("mvs-cache-1/??/*") if path.is_file())


def test_bytes_come_once(folder: str) -> None:
    """What was read is there for whoever reads it again, also any part of it."""
    assert read(folder, 0, SIZE) == [(0, SIZE)]
    assert read(folder, 0, SIZE) == []
    assert read(folder, 1_000_001, 1_000_002) == []


def test_what_is_on_its_way_comes_once_too(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads bytes that another thread still writes waits for it; until then they are part of the budget."""
    may_write = threading.Event()
    real = cache._write

    def late(path: str, start: int, data: memoryview) -> None:
        may_write.wait()
        real(path, start, data)

    monkeypatch.setattr(cache, "_write", late)
    assert begin_to_read(folder, 0, 1 << 20) == [(0, 1 << 20)]
    assert memory().transfers.used == 1 << 20
    threading.Timer(0.2, may_write.set).start()
    assert read(folder, 0, 1 << 20) == []
    cache.settle()
    assert memory().transfers.used == 0


def test_only_what_is_missing_is_asked_for(folder: str) -> None:
    """A range that is there in part costs one request, for the smallest range that covers the rest."""
    read(folder, 100, 200)
    read(folder, 500_000, 600_000)
    assert read(folder, 100, 600_000) == [(200, 500_000)]
    assert read(folder, 0, 700_000) == [(0, 700_000)]
    assert read(folder, 0, 700_000) == []


def test_objects_are_kept_apart(folder: str) -> None:
    """What is there of one object is never taken for another's."""
    read(folder, 0, 10)
    assert read(folder, 0, 10, name="another") == [(0, 10)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ranges=st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, 400_000)), max_size=12), seed=st.integers())
def test_any_reads_give_what_is_there(tmp_path: Path, ranges: list[tuple[int, int]], seed: int) -> None:
    """Whatever was read before, a read gives the right bytes, and asks for none that are there."""
    folder = str(tmp_path / f"cache-{abs(seed)}-{len(ranges)}")
    Cache(folder).clear()
    there = bytearray(SIZE)
    for start, size in ranges:
        stop = min(SIZE, start + size)
        asked = read(folder, start, stop)
        missing = [at for at in range(start, stop) if not there[at]]
        assert asked == ([(missing[0], missing[-1] + 1)] if missing else [])
        there[start:stop] = b"\x01" * (stop - start)


@pytest.mark.parametrize("where", [0, 1_234_567, SIZE - 1])
def test_a_flipped_bit_is_as_good_as_missing(folder: str, where: int) -> None:
    """Bytes that changed on the disk are fetched again, and are right from then on."""
    read(folder, 0, SIZE)
    (data,) = (path for path in files_of(folder) if not path.suffix)
    with data.open("r+b") as file:
        file.seek(where)
        file.write(bytes([DATA[where] ^ 1]))
    ((start, stop),) = read(folder, 0, SIZE)
    assert start <= where < stop
    assert stop - start <= 256 << 10
    assert read(folder, 0, SIZE) == []


@pytest.mark.parametrize("junk", [b"", b"x", DATA[:120], DATA[:77], b"\xff" * 48, bytes(48)], ids=range(6))
def test_a_broken_journal_is_no_harm(folder: str, junk: bytes) -> None:
    """Whatever the journal says, only bytes that have their hash are given."""
    read(folder, 0, SIZE)
    (journal,) = (path for path in files_of(folder) if path.suffix)
    journal.write_bytes(junk)
    assert read(folder, 0, SIZE) == [(0, SIZE)]
    journal.write_bytes(junk[: len(junk) // 24 * 24] + journal.read_bytes()[-24:])
    read(folder, 0, SIZE)


def test_lost_bytes_are_fetched_again(folder: str) -> None:
    """A journal without its bytes, or with bytes that end early, is a cache that has nothing."""
    read(folder, 0, SIZE)
    (data,) = (path for path in files_of(folder) if not path.suffix)
    os.truncate(data, 100)
    assert read(folder, 0, SIZE) == [(0, SIZE)]
    data.unlink()
    assert read(folder, 0, SIZE) == [(0, SIZE)]
    assert read(folder, 0, SIZE) == []


def test_what_is_forgotten_is_fetched_again(folder: str) -> None:
    """Bytes that were wrong when they came are not kept once somebody says so; other objects stay."""
    read(folder, 0, 10)
    read(folder, 0, 10, name="another")
    Cache(folder).forget("object")
    assert read(folder, 0, 10) == [(0, 10)]
    assert read(folder, 0, 10, name="another") == []


def test_what_fails_is_not_kept(folder: str) -> None:
    """An error of the store reaches the reader, and leaves nothing."""

    def fail(_start: int, _stop: int) -> bytes:
        raise Unavailable("no network")

    with pytest.raises(Unavailable):
        Cache(folder).through("object", 0, 10, fail)
    assert read(folder, 0, 10) == [(0, 10)]


def test_the_longest_unused_goes_first(folder: str) -> None:
    """Beyond the limit objects go, those first that nobody read for the longest time; the limit holds all the time."""
    small = Cache(folder, 8 << 20)
    for number in range(20):
        small.through(f"object {number}", 0, 1 << 20, Source().get)
        cache.settle()
        # The clock of the files is too coarse for a test; each object is as old as its number says.
        for path in Path(folder).glob("mvs-cache-1/??/*"):
            if time.time() - path.stat().st_mtime < 1000:
                os.utime(path, (0, time.time() - 100_000 + number))
        small.through("object 0", 0, 1, Source().get)
        assert small.usage().size <= 8 << 20
    assert read(folder, 0, 1 << 20, name="object 0") == []
    assert read(folder, 0, 1 << 20, name="object 19") == []
    assert read(folder, 0, 1 << 20, name="object 1") == [(0, 1 << 20)]


def test_use_is_noted(folder: str) -> None:
    """Reading an object makes it young again."""
    read(folder, 0, 10)
    for path in files_of(folder):
        os.utime(path, (0, 1_000))
    read(folder, 0, 10)
    assert max(path.stat().st_mtime for path in files_of(folder)) > time.time() - 100


def test_usage_says_what_is_there(folder: str) -> None:
    """Usage counts what lies on the disk, and clearing removes all of it."""
    empty = Cache(folder, 1 << 30)
    assert empty.usage() == cache.Usage(folder, on=True, objects=0, size=0, limit=1 << 30)
    read(folder, 0, 1 << 20)
    read(folder, 0, 1 << 20, name="another")
    usage = empty.usage()
    assert usage.objects == 2
    assert 2 << 20 <= usage.size <= 3 << 20
    assert empty.clear() == usage.size
    assert (empty.usage().objects, list(files_of(folder))) == (0, [])
    assert read(folder, 0, 10) == [(0, 10)]


def test_only_what_is_its_own_is_removed(tmp_path: Path) -> None:
    """In a folder that is used for other things as well, those are neither counted nor removed."""
    Cache(str(tmp_path)).through("object", 0, 10, Source().get)
    others = [tmp_path / "1/ab/cd", tmp_path / "mvs-cache-1/note", tmp_path / "mvs-cache-1/ab/note"]
    for other in others:
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(b"")
    assert Cache(str(tmp_path)).usage().objects == 1
    Cache(str(tmp_path)).clear()
    Cache(str(tmp_path), 1).shed()
    assert all(other.exists() for other in others)


def test_a_hole_takes_no_room(folder: str) -> None:
    """A few bytes far behind in an object take the room of a few bytes."""
    Cache(folder).through("object", 200 << 20, (200 << 20) + 10, lambda *_: b"0123456789")
    assert Cache(folder).usage().size < 1 << 20


@pytest.mark.parametrize(("free", "limit"), [(50 << 30, 5 << 30), (1000 << 30, DEFAULT_BYTES_MAX)])
def test_the_limit_follows_the_free_disk(folder: str, monkeypatch: pytest.MonkeyPatch, free: int, limit: int) -> None:
    """Without a limit it is a tenth of what would be free without the cache, and at most 10 GiB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert Cache(folder).usage().limit == limit


def test_nobody_else_can_look_inside(folder: str) -> None:
    """Folder and files are closed to other users, whatever the umask."""
    before = os.umask(0)
    try:
        read(folder, 0, 10)
    finally:
        os.umask(before)
    cache.settle()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in Path(folder).rglob("*")]
    assert {mode & 0o077 for mode in modes} == {0}


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
def test_a_folder_that_others_reach_is_not_used(folder: str, mode: int) -> None:
    """What others may have written is not believed, and where others may look nothing is left."""
    os.makedirs(Path(folder, "mvs-cache-1"))
    os.chmod(Path(folder, "mvs-cache-1"), mode)
    assert [read(folder, 0, 10), read(folder, 0, 10)] == [[(0, 10)], [(0, 10)]]
    assert list(files_of(folder)) == []


def test_without_a_place_there_is_no_cache(tmp_path: Path) -> None:
    """No folder, or one that cannot be made, costs nothing but the cache."""
    (tmp_path / "file").write_bytes(b"")
    for folder in (None, "/proc/nowhere", str(tmp_path / "file")):
        nowhere = Cache(folder)
        assert nowhere.through("object", 0, 10, Source().get) == DATA[:10]
        nowhere.forget("object")
        assert nowhere.usage().objects == nowhere.clear() == 0


def test_a_full_disk_is_no_harm(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full in the middle of a write, the reader has its bytes, and nothing half-written stays."""
    real = cache._write

    def full(path: str, start: int, data: memoryview) -> None:
        real(path, start, data[:1000])
        raise OSError(28, "No space left on device")

    read(folder, 0, 10)
    monkeypatch.setattr(cache, "_write", full)
    assert read(folder, 0, SIZE) == [(10, SIZE)]
    assert list(files_of(folder)) == []
    monkeypatch.undo()
    assert read(folder, 0, SIZE) == [(0, SIZE)]


def test_a_folder_that_vanishes_is_no_harm(folder: str) -> None:
    """Somebody may remove the folder while processes use it: they go on without."""
    read(folder, 0, 10)
    os.rename(folder, folder + "-gone")
    assert read(folder, 0, 10) == [(0, 10)]
    assert not os.path.exists(folder)


def test_the_environment_sets_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Place, limit and switch come from the environment; nonsense is named."""
    monkeypatch.setenv("MVS_CACHE", "on")
    monkeypatch.setenv("MVS_CACHE_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("MVS_CACHE_SIZE", "3M")
    assert default().usage() == cache.Usage(str(tmp_path / "here"), on=True, objects=0, size=0, limit=3 << 20)
    monkeypatch.setenv("MVS_CACHE", "off")
    assert not default().usage().on
    monkeypatch.setenv("MVS_CACHE", "on")
    monkeypatch.setenv("MVS_CACHE_SIZE", "0")
    assert not default().usage().on
    monkeypatch.setenv("MVS_CACHE_SIZE", "much")
    with pytest.raises(InvalidInput, match="MVS_CACHE_SIZE='much'"):
        default()


def test_the_place_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is set, the cache lies in the user's folder for caches; without a home there is none."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ann")
    assert default().folder == "/home/ann/.cache/mlflow-versioned-store"
    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/ann")
    assert default().folder == "/scratch/ann/mlflow-versioned-store"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert default().folder is None
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local/ann")
    assert default().folder == "/local/ann/mlflow-versioned-store"


def hammer(folder: str, seed: int, reads: int) -> None:
    """Read at random through a cache that is much too small, for ever where `reads` is 0."""
    dice = random.Random(seed)
    small = Cache(folder, 4 << 20)
    done = 0
    while not reads or done < reads:
        done += 1
        start = dice.randrange(SIZE)
        stop = min(SIZE, start + dice.choice((1, 1_000, 300_000, 1_000_000)))
        name = str(dice.randrange(12))
        assert small.through(name, start, stop, Source().get) == DATA[start:stop]
        if dice.random() < 0.05:
            small.shed()
        if dice.random() < 0.02:
            small.forget(name)


def test_processes_read_and_evict_at_once(folder: str) -> None:
    """Several processes that read, write, forget and evict in one small cache always read the right bytes."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=hammer, args=(folder, seed, 400)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    Cache(folder, 4 << 20).shed()
    assert Cache(folder, 4 << 20).usage().size <= 4 << 20


def test_a_killed_process_leaves_a_valid_cache(folder: str) -> None:
    """Wherever in its writing a process is killed, what it left is right, or counts as missing."""
    context = multiprocessing.get_context("spawn")
    for seed in range(5):
        process = context.Process(target=hammer, args=(folder, seed, 0))
        process.start()
        while not list(files_of(folder)):
            time.sleep(0.005)
        time.sleep(seed * 0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        for name in map(str, range(12)):
            read(folder, 0, SIZE, name=name)
            assert read(folder, 0, SIZE, name=name) == []
        Cache(folder).clear()
