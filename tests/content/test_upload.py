"""Uploads read back: byte for byte over many generations, and what they cost."""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.backends.contract import Backend, Buffer, ObjectInfo
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.directories import FramesOfRun
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.locations import INLINE
from mlflow_versioned_store.content.sightings import Sightings
from mlflow_versioned_store.content.upload import INLINE_RAW_MAX, Staging, Uploaded, upload
from mlflow_versioned_store.testing.faults import FaultyBackend
from tests.content.making import (
    MIB,
    content_of,
    domain_of,
    edited,
    indexes_of,
    noise,
    read,
    read_range,
    reader,
    rows,
    store,
    stored_bytes,
    text,
    wanted,
)

# Small chunks let small files have many; real sizes are used where they matter.
SMALL = Chunking(average=2048, smallest=1024, largest=8192)


@pytest.fixture
def backend() -> Backend:
    """An empty store in memory, opened as any store is."""
    return open_container(f"versioned-memory://{uuid.uuid4().hex}/x")[0]


def small_domain(backend: Backend, digest: str = "blake3") -> Domain:
    """Return a domain whose files are cut into small chunks."""
    return Domain(backend, "all", SMALL, digest, Sightings(backend))


def change(data: bytes, source: random.Random) -> bytes:
    """Return `data` changed at random: bytes inserted, removed, replaced, moved, doubled or cut off."""
    for _ in range(source.randrange(1, 4)):
        at, stop = sorted((source.randrange(len(data) + 1), source.randrange(len(data) + 1)))
        stop = min(stop, at + 50_000)
        fresh = source.randbytes(source.choice((0, 1, 10, 3000)))
        data = source.choice(
            [
                data[:at] + fresh + data[at:],
                data[:at] + data[stop:],
                data[:at] + fresh + data[at + len(fresh) :],
                data[stop:] + data[:stop],
                data + data[at:stop],
                data[:at],
                data[at:stop] * 2 + data,
            ]
        )[: 3 * MIB]
    return data


@given(seed=st.integers(0, 1 << 32), size=st.sampled_from([0, 1, 5000, 300_000, MIB]), kind=st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_file_edited_in_any_way_comes_back(seed: int, size: int, kind: bool) -> None:
    """Every generation of a file, edited at random, reads back byte for byte, whole and in ranges."""
    backend = open_memory("generations")
    source = random.Random(seed)
    data = source.randbytes(size) if kind else text(rows(seed, size // 40))
    hints: tuple[object, ...] = ()
    kept: list[tuple[bytes, Uploaded]] = []
    domain = small_domain(backend)
    for generation in range(8):
        if generation % 3 == 2:
            domain = small_domain(backend)  # another process
        uploaded = store(domain, data, hints=() if generation % 2 else hints)  # type: ignore[arg-type]
        hints = indexes_of(uploaded)
        kept.append((data, uploaded))
        data = change(data, source)
    for data, uploaded in kept:
        assert read(backend, uploaded) == data
        start, stop = sorted((source.randrange(len(data) + 1), source.randrange(len(data) + 1)))
        assert read_range(reader(backend), wanted(uploaded), start, stop) == data[start:stop]


@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 25))
@settings(max_examples=12, deadline=None)
def test_any_files_of_one_upload_come_back(seed: int, count: int) -> None:
    """Files that are alike, empty, tiny, large, doubled: all of one upload come back, in order."""
    backend = open_memory("many")
    source = random.Random(seed)
    files = [b""]
    for _ in range(count):
        fresh = source.randbytes(source.choice((0, 1, 100, 20_000, 200_000)))
        files.append(source.choice((fresh, source.choice(files), change(source.choice(files), source))))
    source.shuffle(files)
    uploaded = store(small_domain(backend), *files)
    assert [read(backend, uploaded, number) for number in range(len(files))] == files
    assert [file.size for file in uploaded.files] == [len(file) for file in files]


@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_either_digest_works(backend: Backend, digest: str) -> None:
    """Stores of both digests round-trip, deltas and all, and a reader with the other digest reads nothing."""
    first = text(rows(1, 40_000))
    second = text(edited(rows(1, 40_000), 2))
    domain = domain_of(backend, digest)
    uploads = [store(domain, first), store(domain, second)]
    assert content_of(uploads[1]).leans
    for uploaded, data in zip(uploads, (first, second), strict=True):
        file = wanted(uploaded)
        reader(backend, digest).read([file])
        assert file.sink.data == data  # type: ignore[attr-defined]


def test_a_hundred_generations_stay_small_and_short(backend: Backend) -> None:
    """A small table edited and shifted a hundred times costs less than eight times the first, in few packs."""
    lines = rows(7, 15_000)
    first = store(domain_of(backend), text(lines))
    cost = stored_bytes(backend)
    last = first
    for generation in range(1, 101):
        lines = edited(lines, generation)
        last = store(domain_of(backend), text(lines), hints=indexes_of(last))
    assert read(backend, last) == text(lines)
    assert stored_bytes(backend) < 8 * cost
    file = wanted(last)
    directories = reader(backend).directories.load((*file.content.packs, *file.content.leans))
    frames = [frame for extent in file.location.extents for frame in FramesOfRun(directories, file.run(extent))]
    assert 1 < max(len(frame.chain) for frame in frames) <= 8  # log2(100) + 1
    assert len(directories) <= 20


def test_chunks_that_do_not_always_change_lean_on_few_versions(backend: Backend) -> None:
    """After fifty versions, of each of which a tenth of the chunks is unchanged, few packs and ranges are read."""
    table = [rows(seed, 100) for seed in range(80)]
    data = text([row for part in table for row in part])
    last = store(small_domain(backend), data)
    source = random.Random(5)
    for generation in range(1, 51):
        for number in source.sample(range(80), 60):
            table[number] = edited(table[number], generation, 0.02)
        data = text([row for part in table for row in part])
        last = store(small_domain(backend), data, hints=indexes_of(last))
    faulty = FaultyBackend(backend)
    assert read(faulty, last) == data
    assert len(content_of(last).leans) <= 20
    assert len(faulty.calls) <= 60


def test_regions_edited_in_turn_lean_on_few_versions(backend: Backend) -> None:
    """Chunks at the border of two regions change with both, and their chains stay as short as those of the others."""
    regions = [rows(seed, 700) for seed in range(8)]
    last = store(small_domain(backend), text([row for region in regions for row in region]))
    for generation in range(80):
        regions[generation % 8] = edited(regions[generation % 8], generation, 0.02)
        data = text([row for region in regions for row in region])
        last = store(small_domain(backend), data, hints=indexes_of(last))
    faulty = FaultyBackend(backend)
    assert read(faulty, last) == data
    file = wanted(last)
    directories = reader(backend).directories.load((*file.content.packs, *file.content.leans))
    frames = [frame for extent in file.location.extents for frame in FramesOfRun(directories, file.run(extent))]
    assert max(len(frame.chain) for frame in frames) <= 7
    assert len(faulty.calls) <= 5 * len(regions)


def test_the_same_bytes_again_store_nothing(backend: Backend) -> None:
    """A file logged again without a change adds no bytes, also where its chunks had been cut like older ones."""
    lines = rows(1, 60_000)
    uploaded = store(domain_of(backend), text(lines))
    for generation in range(5):
        lines = edited(lines, generation)
        uploaded = store(domain_of(backend), text(lines), hints=indexes_of(uploaded))
        before = stored_bytes(backend)
        again = store(domain_of(backend), text(lines), hints=indexes_of(uploaded))
        assert stored_bytes(backend) == before
        assert again.files == uploaded.files or read(backend, again) == text(lines)


def test_another_process_finds_the_same_bytes_by_hooks(backend: Backend) -> None:
    """Without any hint a file that is stored already costs next to nothing, from another process and run."""
    data = noise("hooks", 6 * MIB)
    store(domain_of(backend), data)
    before = stored_bytes(backend)
    again = store(domain_of(backend), data)
    assert stored_bytes(backend) - before < 20_000
    assert again.bytes_sent == 0
    assert read(backend, again) == data


def test_an_insertion_costs_its_length(backend: Backend) -> None:
    """A piece put into the middle of random bytes stores that piece and the chunks around it."""
    data = noise("inserted", 8 * MIB)
    domain = domain_of(backend)
    store(domain, data)
    changed = data[: 4 * MIB] + noise("piece", 100_000) + data[4 * MIB :]
    uploaded = store(domain, changed)
    assert uploaded.bytes_sent < 900_000
    assert read(backend, uploaded) == changed


def test_a_file_twice_in_one_upload_is_stored_once(backend: Backend) -> None:
    """Also within one upload, whatever lies between: both copies name the same frames."""
    data = noise("twice", 2 * MIB)
    uploaded = store(domain_of(backend), data, noise("between", 20 * MIB), data)
    assert uploaded.bytes_sent < 22.5 * MIB
    assert uploaded.files[0] == uploaded.files[2]
    assert read(backend, uploaded, 2) == data


def test_small_uploads_travel_in_their_commit(backend: Backend) -> None:
    """What is small enough makes no request at all; its frames are inline."""
    faulty = FaultyBackend(backend)
    files = [b"a" * 1000, b"", noise("inline", 30_000), b"a" * 1000]
    uploaded = store(domain_of(faulty), *files)
    assert faulty.calls == []
    assert uploaded.content == {}
    assert [wanted(uploaded, at).is_inline for at in range(4)] == [True] * 4
    assert [read(faulty, uploaded, at) for at in range(4)] == files
    assert len(uploaded.frames) < 32_000
    assert faulty.calls == []


@pytest.mark.parametrize(
    ("data", "inline"),
    [
        (b"x" * INLINE_RAW_MAX, True),
        (b"x" * (INLINE_RAW_MAX + 1), False),
        (noise("limit", 64_000), True),
        (noise("limit", 66_000), False),
    ],
    ids=["raw limit", "over raw limit", "stored limit", "over stored limit"],
)
def test_inline_has_limits(backend: Backend, data: bytes, inline: bool) -> None:
    """A commit holds at most 64 KiB of frames, of at most 256 KiB raw."""
    uploaded = store(domain_of(backend), data)
    assert wanted(uploaded).is_inline == inline
    assert (content_of(uploaded).packs == ()) == inline
    assert read(backend, uploaded) == data


def test_inline_ranges_are_slices(backend: Backend) -> None:
    """A range of a small file is read from its commit alone."""
    data = text(rows(3, 2000))
    uploaded = store(domain_of(backend), data)
    file = wanted(uploaded)
    assert file.is_inline
    for start, stop in ((0, 0), (0, len(data)), (10, 20), (len(data) - 1, len(data)), (100, 50_000)):
        assert read_range(reader(backend), file, start, stop) == data[start:stop]


def test_many_small_files_share_packs(backend: Backend) -> None:
    """Two thousand files take a handful of requests up and down, and little more than their bytes."""
    files = [noise(number, 500 + 3 * number) for number in range(2000)]
    faulty = FaultyBackend(backend)
    uploaded = store(domain_of(faulty), *files)
    assert len(faulty.calls) <= 12
    assert stored_bytes(backend) < 1.08 * sum(map(len, files))
    faulty.calls.clear()
    wanteds = [wanted(uploaded, number) for number in range(len(files))]
    reader(faulty).read(wanteds)
    assert [bytes(one.sink.data) for one in wanteds] == files  # type: ignore[attr-defined]
    assert len(faulty.calls) <= 4


def test_a_read_costs_few_requests(backend: Backend) -> None:
    """A plain file is one request a pack; with deltas the directories come first; a range needs two."""
    lines = rows(1, 60_000)
    domain = domain_of(backend)
    first = store(domain, text(lines))
    second = store(domain, text(edited(lines, 1)))
    faulty = FaultyBackend(backend)
    for uploaded, calls in ((first, 1), (second, 4)):
        faulty.calls.clear()
        assert read(faulty, uploaded) == (text(lines) if uploaded is first else text(edited(lines, 1)))
        assert {call.verb for call in faulty.calls} == {"get"}
        assert len(faulty.calls) <= calls
    faulty.calls.clear()
    assert read_range(reader(faulty), wanted(first), 1_000_000, 1_000_100) == text(lines)[1_000_000:1_000_100]
    assert len(faulty.calls) == 2


@pytest.mark.parametrize("size", [0, 1, 5 * MIB + 3])
def test_any_kind_of_source_is_the_same(backend: Backend, tmp_path: Path, size: int) -> None:
    """A path, a path object, bytes and a stream with the same bytes are stored as the same thing."""
    data = noise("sources", size)
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as stream:
        uploaded = store(domain_of(backend), str(path), path, data, io.BytesIO(data), stream)
    assert uploaded.files == [uploaded.files[0]] * 5
    assert all(read(backend, uploaded, number) == data for number in range(5))


def test_what_is_durable_is_told(backend: Backend) -> None:
    """Progress never counts bytes that are still on their way; those that were stored before count at once."""
    told: list[int] = []
    told_when_put: list[int] = []

    class Watching(WrapperBackend):
        """Notes what was told when a pack comes."""

        def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
            told_when_put.append(sum(told))
            return super().put(key, data, create=create)

    data = noise("durable", 9 * MIB)
    uploaded = upload(domain_of(Watching(backend)), [data], on_stored=told.append)
    assert told_when_put[0] == 0
    assert sum(told) == len(data)
    uploaded.settle()
    told.clear()
    upload(domain_of(backend), [data], hints=indexes_of(uploaded), on_stored=told.append)
    assert sum(told) == len(data)


def test_progress_adds_up(backend: Backend, tmp_path: Path) -> None:
    """What is told is in the end the bytes of all sources."""
    path = tmp_path / "file"
    path.write_bytes(noise("progress", 9 * MIB))
    told: list[int] = []
    upload(domain_of(backend), [str(path), b"abc", io.BytesIO(bytes(MIB)), b""], on_stored=told.append)
    assert sum(told) == 10 * MIB + 3


def test_nothing_is_deduplicated_where_that_is_switched_off(backend: Backend) -> None:
    """With `dedup` off every upload stores all its bytes, makes no look-up, and leaves neither index nor hook."""
    data = noise("off", 2 * MIB)
    faulty = FaultyBackend(backend)
    domain = domain_of(faulty, dedup=False)
    for _ in range(2):
        uploaded = store(domain, data)
        assert uploaded.bytes_sent > 2 * MIB
        assert read(backend, uploaded) == data
    assert {call.verb for call in faulty.calls} == {"put"}
    assert all("/packs/" in call.key for call in faulty.calls)


def test_no_delta_is_written_where_that_is_switched_off(backend: Backend) -> None:
    """With `delta` off only whole chunks are shared, so that every frame stands alone."""
    lines = rows(1, 60_000)
    domain = domain_of(backend, delta=False)
    for generation in range(3):
        uploaded = store(domain, text(edited(lines, generation, 0.0001)))
        assert content_of(uploaded).leans == ()
        assert read(backend, uploaded) == text(edited(lines, generation, 0.0001))
    assert len(content_of(uploaded).packs) > 1


def test_without_deltas_short_runs_between_new_chunks_are_stored_again(backend: Backend) -> None:
    """A file of which every other chunk is new is not scattered over old packs."""
    data = bytearray(noise("scattered", 8 * MIB))
    domain = domain_of(backend, delta=False)
    store(domain, bytes(data))
    for at in range(0, len(data), 160_000):
        data[at] ^= 1
    uploaded = store(domain, bytes(data))
    location = wanted(uploaded).location
    assert len(location.extents) <= 8
    assert uploaded.bytes_sent > 7 * MIB
    assert read(backend, uploaded) == data


def test_without_deltas_long_runs_are_leaned_on(backend: Backend) -> None:
    """A few changes in a file leave the rest of it where it is."""
    data = bytearray(noise("runs", 8 * MIB))
    domain = domain_of(backend, delta=False)
    store(domain, bytes(data))
    for at in (MIB, 5 * MIB):
        data[at] ^= 1
    uploaded = store(domain, bytes(data))
    assert uploaded.bytes_sent < 600_000
    assert read(backend, uploaded) == data


def test_a_long_upload_publishes_what_it_finished(backend: Backend) -> None:
    """After each step a `stage` names packs that are there, and what follows leans on them."""
    staged: list[dict[str, object]] = []

    def commit(content: dict[str, object]) -> None:
        packs = content["packs"]
        assert isinstance(packs, list)
        assert {f"_mvs/data/all/packs/{digest[:2]}/{digest}" for _, digest, *_ in packs} <= {
            info.key for info in backend.list("_mvs/data/all/packs")
        }
        staged.append(content)

    data = noise("staged", 60 * MIB)
    uploaded = upload(domain_of(backend), [data, data[: 20 * MIB]], staging=Staging(commit, size=20 * MIB))
    uploaded.settle()
    assert len(staged) >= 2
    assert uploaded.bytes_sent < 61 * MIB
    assert [read(backend, uploaded, 0), read(backend, uploaded, 1)] == [data, data[: 20 * MIB]]
    before = stored_bytes(backend)
    again = store(domain_of(backend), data[: 30 * MIB])
    assert stored_bytes(backend) - before < 100_000
    assert read(backend, again) == data[: 30 * MIB]


def test_inline_frames_are_named_by_minus_one(backend: Backend) -> None:
    """The pack number of inline frames is part of the format."""
    uploaded = store(domain_of(backend), b"small")
    assert INLINE == -1
    assert msgspec.json.encode(uploaded.files[0].at) == b"[[-1,0,58,5]]"
