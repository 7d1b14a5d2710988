"""Directories that a process remembers, and what they tell of a run of frames."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import directories, fetch
from mlflow_versioned_store.content.directories import Directories, FramesOfRun
from mlflow_versioned_store.content.packs import Directory, FramePlace, PackName
from mlflow_versioned_store.errors import Damaged, ObjectMissing
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import KIB, frame, noise
from tests.content.test_packs import pack_of


def packs(count: int) -> tuple[FaultyBackend, list[PackName]]:
    """Return a store with packs of ten frames each."""
    backend = open_memory("directories")
    names = []
    for number in range(count):
        name, data = pack_of([frame(noise((number, at), 100)) for at in range(10)])
        backend.put(name.key, data)
        names.append(name)
    return FaultyBackend(backend), names


def test_a_directory_is_read_once() -> None:
    """One request a pack, none for those that are known."""
    backend, names = packs(3)
    known = Directories(backend)
    first = known.load(names[:2])
    assert len(backend.calls) == 2
    assert known.load([*names, *names])[names[0]] is first[names[0]]
    assert len(backend.calls) == 3


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, and what is asked for at once is returned all the same."""
    monkeypatch.setattr(directories, "_FRAMES_REMEMBERED", 35)
    backend, names = packs(8)
    known = Directories(backend)
    assert set(known.load(names)) == set(names)
    backend.calls.clear()
    known.load(names[-3:])
    assert backend.calls == []
    known.load(names[:1])
    assert len(backend.calls) == 1


def test_threads_that_read_the_same_directory_do_not_wear_out_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What several threads loaded at the same time counts once."""
    monkeypatch.setattr(directories, "_FRAMES_REMEMBERED", 35)
    backend, names = packs(3)
    known = Directories(backend)
    barrier = threading.Barrier(4)
    read_span = fetch.read_span

    def together(*args: Any) -> memoryview:
        barrier.wait(30)
        return read_span(*args)

    monkeypatch.setattr(fetch, "read_span", together)
    threads = [threading.Thread(target=known.load, args=(names[:1],), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    monkeypatch.setattr(fetch, "read_span", read_span)
    known.load(names)
    backend.calls.clear()
    known.load(names)
    assert backend.calls == []


def test_a_directory_that_stays_damaged_names_its_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read twice, then it is an error with the pack's key; a missing pack is another one."""
    monkeypatch.setattr(directories, "_SMALL_PACK_BYTES", 0)  # nothing but the directory is there to be hurt
    backend, (name,) = packs(1)
    for fault, error in ((Fault.CORRUPT, Damaged), (Fault.TRUNCATE, Damaged), (Fault.MISSING, ObjectMissing)):
        backend.clear()
        backend.when(lambda call: True, fault)
        with pytest.raises(error) as caught:
            Directories(backend).load([name])
        assert caught.value.key == name.key
        assert name.key in str(caught.value)


PACK = PackName("all", "cd" * 32, 2000, 100)
BELOW = PackName("all", "ef" * 32, 2000, 100)
KNOWN = {
    PACK: Directory(
        [24, 124, 224, 324],
        [1000, 2000, 3000],
        b"\x01\x02\x02",
        {1: FramePlace(PACK, 24, 100), 2: FramePlace(BELOW, 124, 100)},
    ),
    BELOW: Directory([24, 124, 224], [1, 2], b"\x01\x02", {1: FramePlace(BELOW, 24, 100)}),
}


def test_a_run_tells_its_frames_and_all_that_they_lean_on() -> None:
    """Own place first, then the base, and the base of that, across packs."""
    found = list(FramesOfRun(KNOWN, FramePlace(PACK, 24, 300)))
    assert [frame.raw for frame in found] == [1000, 2000, 3000]
    assert [[(place.pack, place.offset) for place in frame.chain] for frame in found] == [
        [(PACK, 24)],
        [(PACK, 124), (PACK, 24)],
        [(PACK, 224), (BELOW, 124), (BELOW, 24)],
    ]
    assert [frame.raw for frame in FramesOfRun(KNOWN, FramePlace(PACK, 124, 100))] == [2000]


@pytest.mark.parametrize(("offset", "size"), [(25, 99), (24, 99), (24, 101), (24, 301), (324, 10), (0, 24), (1000, 5)])
def test_runs_that_are_not_of_whole_frames_are_damage(offset: int, size: int) -> None:
    """A run begins where a frame begins and ends where one ends."""
    with pytest.raises(Damaged, match=PACK.key):
        list(FramesOfRun(KNOWN, FramePlace(PACK, offset, size)))


@pytest.mark.parametrize(
    "base",
    [
        FramePlace(PACK, 124, 100),
        FramePlace(PACK, 25, 100),
        FramePlace(PACK, 24, 101),
        FramePlace(PackName("all", "00" * 32, 2000, 100), 24, 100),
    ],
    ids=["itself", "no frame", "another length", "a pack that is not named"],
)
def test_bases_that_are_not_there_are_damage(base: FramePlace) -> None:
    """A frame that leans on itself, on no frame, or on a pack that its commit does not name ends in an error."""
    known = {PACK: Directory([24, 124, 224], [1, 2], b"\x01\x02", {1: base})}
    with pytest.raises(Damaged):
        list(FramesOfRun(known, FramePlace(PACK, 24, 200)))


def test_a_chain_may_have_64_steps_and_no_more() -> None:
    """Readers accept what writers may make, and nothing longer."""
    for steps, good in ((64, True), (65, False), (5000, False)):
        offsets = [24 + 10 * at for at in range(steps + 2)]
        bases = {at: FramePlace(PACK, offsets[at - 1], 10) for at in range(1, steps + 1)}
        known = {PACK: Directory(offsets, [1] * (steps + 1), b"\x02" * (steps + 1), bases)}
        run = FramePlace(PACK, offsets[steps], 10)
        if good:
            assert len(FramesOfRun(known, run)[0].chain) == steps + 1
        else:
            with pytest.raises(Damaged):
                list(FramesOfRun(known, run))


def test_a_small_pack_comes_whole() -> None:
    """Its frames cost no request beyond the one for its directory; of a large one only the directory comes."""
    backend, (small,) = packs(1)
    large, data = pack_of([frame(noise("large", 300 * KIB))])
    backend.put(large.key, data)
    known = Directories(backend)
    backend.calls.clear()
    known.load([small, large])
    assert len(backend.calls) == 2
    whole = fetch.Span(small, 30, 900)
    assert known.bytes_of(whole) == backend.get(small.key, start=30, stop=900).data
    assert known.bytes_of(fetch.Span(large, 30, 900)) is None
    known.forget_bytes(small)
    assert known.bytes_of(whole) is None


def test_small_packs_are_forgotten_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first, and a pack loaded twice counts once."""
    backend, names = packs(4)
    monkeypatch.setattr(directories, "_SMALL_PACKS_REMEMBERED_BYTES", 2 * names[0].size + 10)
    monkeypatch.setattr(directories, "_FRAMES_REMEMBERED", 10)
    known = Directories(backend)
    for name in (*names[:3], names[2], names[3]):
        known.load([name])
    there = [known.bytes_of(fetch.Span(name, 0, 50)) is not None for name in names]
    assert there == [False, False, True, True]
