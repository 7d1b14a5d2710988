"""Reading back: what is damaged is an error that names it, is read twice first, and leaves nothing half-done."""

from __future__ import annotations

import errno
import hashlib
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import download, workers
from mlflow_versioned_store.content.locations import Content, Extent, Packed
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.content.sinks import FileSink, MemorySink
from mlflow_versioned_store.content.upload import Uploaded
from mlflow_versioned_store.content.wanted import Wanted
from mlflow_versioned_store.errors import Damaged, LocalStorageFailed, ObjectMissing, Unavailable
from mlflow_versioned_store.testing.faults import Call, Fault, FaultyBackend
from tests.content.making import (
    BLAKE3,
    MIB,
    Weighing,
    domain_of,
    edited,
    frame,
    noise,
    place,
    read,
    read_range,
    reader,
    rows,
    store,
    text,
    wanted,
)
from tests.content.test_packs import pack_of

LINES = rows(1, 60_000)
PLAIN, EDITED = text(LINES), text(edited(LINES, 2))
RANDOM = noise("download", 40 * MIB)


@pytest.fixture(scope="module")
def stored() -> tuple[Backend, dict[str, Uploaded]]:
    """A store with a plain file, one made of deltas, and one of several packs."""
    backend = open_memory("download")
    domain = domain_of(backend)
    return backend, {
        "plain": store(domain, PLAIN),
        "delta": store(domain, EDITED),
        "random": store(domain, RANDOM),
    }


CONTENTS = {"plain": PLAIN, "delta": EDITED, "random": RANDOM}
KINDS = list(CONTENTS)


@pytest.fixture
def faulty(stored: tuple[Backend, dict[str, Uploaded]]) -> FaultyBackend:
    """That store, to fail on purpose."""
    return FaultyBackend(stored[0])


@pytest.fixture
def uploads(stored: tuple[Backend, dict[str, Uploaded]]) -> dict[str, Uploaded]:
    """What is in it."""
    return stored[1]


def pack_get(call: Call) -> bool:
    """Pick the reads of packs."""
    return call.verb == "get" and "/packs/" in call.key


class Once:
    """Picks the nth call that another rule picks, and no other."""

    def __init__(self, picks: Callable[[Call], bool], number: int):
        self._picks = picks
        self._left = number

    def __call__(self, call: Call) -> bool:
        if self._picks(call):
            self._left -= 1
            return self._left == 0
        return False


def file_sink(folder: Path) -> FileSink:
    """Return a sink for a file that is there already, with older content."""
    path = folder / "file"
    path.write_bytes(b"older")
    return FileSink(str(path))


def assert_untouched(folder: Path) -> None:
    """Check that a failed download left the older file and nothing else."""
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == {"file": b"older"}


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_back(faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, tmp_path: Path) -> None:
    """A file is written whole over what had its name, and nothing else is left in the folder."""
    told: list[int] = []
    reader(faulty).read([wanted(uploads[kind], sink=file_sink(tmp_path))], told.append)
    assert (tmp_path / "file").read_bytes() == CONTENTS[kind]
    assert os.listdir(tmp_path) == ["file"]
    assert sum(told) == len(CONTENTS[kind])


@given(bounds=st.tuples(st.integers(0, len(EDITED)), st.integers(0, len(EDITED))), kind=st.sampled_from(KINDS))
@settings(max_examples=40, deadline=None)
def test_a_range_is_a_slice(stored: tuple[Backend, dict[str, Uploaded]], bounds: tuple[int, int], kind: str) -> None:
    """Any range of any file is the slice of its bytes."""
    backend, uploads = stored
    start, stop = sorted(bounds)
    assert read_range(reader(backend), wanted(uploads[kind]), start, stop) == CONTENTS[kind][start:stop]


def test_a_range_reads_few_bytes(faulty: FaultyBackend, uploads: dict[str, Uploaded]) -> None:
    """A kilobyte out of 40 MiB takes one directory and one chunk."""
    weighing = Weighing(faulty)
    assert (
        read_range(reader(weighing), wanted(uploads["random"]), 10_000_000, 10_001_000)
        == (RANDOM[10_000_000:10_001_000])
    )
    assert sum(count for _, _, count in weighing.reads) < 600_000


@pytest.mark.parametrize("start", range(500_000, 10_000_000, 1_900_000))
def test_what_the_ends_of_a_range_hold_beyond_it_is_no_request_of_its_own(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], start: int
) -> None:
    """4 MiB of one pack, begun and ended within frames, are one request beside that for the directory."""
    weighing = Weighing(faulty)
    found = read_range(reader(weighing), wanted(uploads["random"]), start, start + 4 * MIB)
    assert found == RANDOM[start : start + 4 * MIB]
    assert len(weighing.reads) == 2


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE, Fault.MISSING])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_hurt_on_its_way_is_read_again(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, number: int, fault: Fault
) -> None:
    """One bad answer to any request, data or directory, costs another request and nothing else."""
    faulty.when(Once(pack_get, number), fault)
    file = wanted(uploads[kind])
    reader(faulty).read([file])
    assert file.sink.data == CONTENTS[kind]  # type: ignore[attr-defined]


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE, Fault.MISSING])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_range_that_was_hurt_on_its_way_is_read_again(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, number: int, fault: Fault
) -> None:
    """The same for ranges."""
    faulty.when(Once(pack_get, number), fault)
    assert read_range(reader(faulty), wanted(uploads[kind]), 5000, 9000) == CONTENTS[kind][5000:9000]


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE])
@pytest.mark.parametrize("kind", KINDS)
def test_damage_names_pack_and_version(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, fault: Fault, tmp_path: Path
) -> None:
    """Bytes that stay wrong are an error that says which object and which version, and nothing is left behind."""
    faulty.when(pack_get, fault)
    with pytest.raises(Damaged) as caught:
        reader(faulty).read([wanted(uploads[kind], sink=file_sink(tmp_path))])
    assert "file0@@v1" in str(caught.value)
    assert caught.value.key is not None
    assert "/packs/" in caught.value.key
    assert caught.value.key in str(caught.value)
    assert_untouched(tmp_path)
    with pytest.raises(Damaged, match="file0@@v1") as in_range:
        read_range(reader(faulty), wanted(uploads[kind]), 5000, 9000)
    assert in_range.value.key is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_pack_is_named(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, tmp_path: Path
) -> None:
    """A pack that is gone is `ObjectMissing`, never an empty or a partial file."""
    faulty.when(pack_get, Fault.MISSING)
    with pytest.raises(ObjectMissing, match="file0@@v1") as caught:
        reader(faulty).read([wanted(uploads[kind], sink=file_sink(tmp_path))])
    assert caught.value.key is not None
    assert_untouched(tmp_path)
    with pytest.raises(ObjectMissing, match="file0@@v1"):
        read_range(reader(faulty), wanted(uploads[kind]), 5000, 9000)


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED])
def test_a_store_out_of_reach_is_not_damage(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], fault: Fault, tmp_path: Path
) -> None:
    """Errors of the network or of permissions come through as what they are."""
    faulty.when(Once(pack_get, 3), fault)
    with pytest.raises((PermissionError, Unavailable)):
        reader(faulty).read([wanted(uploads["random"], sink=file_sink(tmp_path))])
    assert_untouched(tmp_path)


def test_one_bad_file_leaves_no_part_of_any(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], tmp_path: Path
) -> None:
    """Of several files that are read together, those that are not complete leave nothing in their folders."""
    bad = wanted(uploads["random"], sink=FileSink(str(tmp_path / "bad")))
    bad = replace(bad, location=Packed(tuple(reversed(bad.location.extents)), bad.location.tree))
    files = [wanted(uploads["plain"], sink=FileSink(str(tmp_path / "plain"))), bad]
    with pytest.raises(Damaged):
        reader(faulty).read(files)
    assert set(os.listdir(tmp_path)) <= {"plain"}


def swapped(file: Wanted) -> Wanted:
    """Return the same with its first two extents the other way round."""
    first, second, *others = file.location.extents
    return replace(file, location=Packed((second, first, *others), file.location.tree))


def test_good_chunks_in_the_wrong_order_are_damage(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], tmp_path: Path
) -> None:
    """Every chunk may be what it says: a file is its chunks in their order, all of them."""
    with pytest.raises(Damaged, match="not the ones that were committed"):
        reader(faulty).read([swapped(wanted(uploads["random"], sink=file_sink(tmp_path)))])
    assert_untouched(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_another_digest_of_the_file_is_damage(
    faulty: FaultyBackend, uploads: dict[str, Uploaded], kind: str, tmp_path: Path
) -> None:
    """A tree digest that is not that of the chunks is never overlooked."""
    file = wanted(uploads[kind], sink=file_sink(tmp_path))
    with pytest.raises(Damaged, match="not the ones that were committed"):
        reader(faulty).read([replace(file, location=Packed(file.location.extents, "0" * 64))])
    assert_untouched(tmp_path)


def one_frame(data: bytes, **other: object) -> tuple[Backend, Wanted]:
    """Return a store with a pack of one frame, and a version that is all of it."""
    backend = open_memory("one")
    encoded = frame(data)
    name, pack = pack_of([encoded])
    backend.put(name.key, pack)
    location = Packed((Extent(0, 24, len(encoded), len(data)),))
    sha256 = hashlib.sha256(data).hexdigest()
    file = Wanted("one@@v1", len(data), sha256, location, Content((name,)), lambda: b"", MemorySink(len(data)))
    return backend, replace(file, **other)  # type: ignore[arg-type]


def test_a_file_of_one_chunk_is_held_to_its_sha256() -> None:
    """There is no tree digest then; the chunk itself must have the SHA-256 that was committed."""
    backend, file = one_frame(b"content" * 100)
    reader(backend).read([file])
    assert file.sink.data == b"content" * 100  # type: ignore[attr-defined]
    with pytest.raises(Damaged, match="not the ones that were committed"):
        reader(backend).read([replace(file, sha256="0" * 64)])


@pytest.mark.parametrize("leans", [False, True], ids=["plain", "with directories"])
@pytest.mark.parametrize(
    "extent",
    [
        Extent(0, 24, 1 << 50, 700),
        Extent(0, 1 << 50, 60, 700),
        Extent(0, 25, 60, 700),
        Extent(0, 0, 60, 700),
        Extent(0, 24, 59, 700),
        Extent(0, 24, 10_000, 700),
        Extent(1, 24, 60, 700),
        Extent(-1, 24, 60, 700),
        Extent(1 << 40, 24, 60, 700),
    ],
    ids=repr,
)
def test_extents_that_lie_are_damage(extent: Extent, *, leans: bool) -> None:
    """A commit cannot make a reader take more than a pack has, or anything but whole frames of it."""
    backend, file = one_frame(b"content" * 100)
    content = Content(file.content.packs, file.content.packs if leans else ())
    file = replace(file, location=Packed((extent,)), content=content)
    weighing = Weighing(backend)
    with pytest.raises(Damaged, match="one@@v1"):
        reader(weighing).read([file])
    with pytest.raises(Damaged, match="one@@v1"):
        read_range(reader(weighing), file, 10, 20)
    assert all(stop is not None and stop <= file.content.packs[0].size for _, stop, _ in weighing.reads)


def test_a_base_that_lies_about_its_length_is_damage() -> None:
    """A directory cannot make a reader fetch more for a base than its frame has."""
    backend = open_memory("base")
    base, chunk = text(rows(1, 100)), text(edited(rows(1, 100), 2))
    below, above = frame(base), frame(chunk, base)
    base_name, base_pack = pack_of([below])
    backend.put(base_name.key, base_pack)
    for size, good in ((len(below), True), (len(below) + 1, False), (1 << 50, False), (1, False), (0, False)):
        name, pack = pack_of([above], {0: place(24, size, base_name)})
        backend.put(name.key, pack)
        location = Packed((Extent(0, 24, len(above), len(chunk)),))
        sha256 = hashlib.sha256(chunk).hexdigest()
        content = Content((name,), (base_name,))
        file = Wanted("delta@@v1", len(chunk), sha256, location, content, lambda: b"", MemorySink(len(chunk)))
        if good:
            reader(backend).read([file])
            assert file.sink.data == chunk  # type: ignore[attr-defined]
        else:
            with pytest.raises(Damaged, match="delta@@v1"):
                reader(backend).read([file])


def test_deltas_in_a_circle_are_damage() -> None:
    """Frames that lean on each other end in an error, not in a loop."""
    backend = open_memory("circle")
    chunk = text(rows(1, 100))
    above = frame(chunk, chunk)
    name = PackName("all", "ab" * 32, 0, 0)
    for _ in range(2):
        own, pack = pack_of([above], {0: place(24, len(above), name)})
        name = PackName("all", "ab" * 32, own.size, own.tail)
    backend.put(name.key, pack)
    location = Packed((Extent(0, 24, len(above), len(chunk)),))
    file = Wanted("c@@v1", len(chunk), "0" * 64, location, Content((name,), (name,)), lambda: b"", MemorySink(0))
    with pytest.raises(Damaged, match="c@@v1"):
        reader(backend).read([file])


class FullDisk(MemorySink):
    """A disk on which nothing fits any more, from the second write on."""

    writes = 0
    abandoned = False

    def write(self, offset: int, data: object) -> None:
        """Fail as a full disk does."""
        self.writes += 1
        if self.writes > 1:
            raise LocalStorageFailed("the disk is full") from OSError(errno.ENOSPC, "No space left on device")

    def abandon(self) -> None:
        """Note that all is over."""
        self.abandoned = True


def test_a_full_disk_ends_the_download(faulty: FaultyBackend, uploads: dict[str, Uploaded]) -> None:
    """The error is that of the disk, not damage; and no more is written after the sink was told that it is over."""
    sink = FullDisk(0)
    with pytest.raises(LocalStorageFailed):
        reader(faulty).read([wanted(uploads["random"], sink=sink)])
    assert sink.abandoned
    written = sink.writes
    assert written < 600
    reader(faulty).read([wanted(uploads["plain"])])
    assert sink.writes == written


def test_a_lying_commit_allocates_little(faulty: FaultyBackend, uploads: dict[str, Uploaded]) -> None:
    """Extents that claim petabytes end in an error before memory is taken."""
    file = wanted(uploads["plain"])
    extents = (Extent(0, 24, 1 << 49, 1 << 50),)
    file = replace(file, size=1 << 50, location=Packed(extents, file.location.tree))
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            reader(faulty).read([file])
        with pytest.raises(Damaged):
            read_range(reader(faulty), file, 1 << 40, (1 << 40) + 10)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_every_flipped_bit_of_a_pack_is_found() -> None:
    """Whatever bit of a stored pack is wrong, a reader gets an error or the bytes that were stored."""
    backend = open_memory("flips")
    chunk = b"content" * 30
    encoded = frame(chunk)
    name, pack = pack_of([encoded])
    location = Packed((Extent(0, 24, len(encoded), len(chunk)),))
    sha256 = hashlib.sha256(chunk).hexdigest()
    refused = 0
    for at in range(8 * len(pack)):
        hurt = bytearray(pack)
        hurt[at // 8] ^= 1 << at % 8
        backend.put(name.key, bytes(hurt))
        for leans in ((), (name,)):
            content = Content((name,), leans)
            file = Wanted("f@@v1", len(chunk), sha256, location, content, lambda: b"", MemorySink(len(chunk)))
            try:
                reader(backend).read([file])
            except Damaged:
                refused += 1
            else:
                assert file.sink.data == chunk  # type: ignore[attr-defined]
    assert refused > 8 * len(encoded)
    assert BLAKE3(pack).hex() == name.digest


def test_several_downloads_at_once_give_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a large download freed is given back while others run; one alone need not."""
    backend = open_memory("crowd")
    uploaded = store(domain_of(backend), noise("large", 9 * MIB))
    given_back: list[bool] = []
    monkeypatch.setattr(download, "give_back_freed_memory", lambda: given_back.append(True))
    read(backend, uploaded)
    assert not given_back
    with workers.memory().downloads:
        read(backend, uploaded)
    assert given_back
