"""Versions that are one whole object: read in ranges, checked, never waiting for each other for ever."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import whole_objects
from mlflow_versioned_store.content.parts import Parts, filled
from mlflow_versioned_store.content.sinks import FileSink, MemorySink
from mlflow_versioned_store.content.whole_objects import WholeObject
from mlflow_versioned_store.content.workers import Memory, fetching, memory
from mlflow_versioned_store.errors import Damaged, ObjectMissing
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import MIB, noise

DATA = noise("whole", 20 * MIB + 7)
KEY = "run/artifacts/model.bin"


@pytest.fixture
def faulty() -> FaultyBackend:
    """A store with one readable object."""
    backend = open_memory("whole")
    backend.put(KEY, DATA)
    return FaultyBackend(backend)


def whole(faulty: FaultyBackend, **other: object) -> WholeObject:
    """Return the object as a version of it."""
    told: dict[str, object] = {
        "s3_version_id": None,
        "e_tag": None,
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
    }
    return WholeObject("model.bin@@v1", faulty, KEY, **(told | other))  # type: ignore[arg-type]


def read_range(file: WholeObject, start: int, stop: int) -> bytes:
    """Return the bytes [start, stop) of the object."""
    return filled(stop - start, lambda view: file.read_parts(Parts([(start, view)] if view else [])))


def test_it_comes_back(faulty: FaultyBackend, tmp_path: Path) -> None:
    """All bytes, in ranges of 8 MiB, and progress adds up to them."""
    told: list[int] = []
    whole(faulty).read(FileSink(str(tmp_path / "file")), told.append)
    assert (tmp_path / "file").read_bytes() == DATA
    assert sum(told) == len(DATA)
    assert len(faulty.calls) == 3


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 10), (MIB, 9 * MIB), (len(DATA) - 1, len(DATA)), (5, 5)])
def test_a_range_is_a_slice(faulty: FaultyBackend, start: int, stop: int) -> None:
    """A range is a request each 8 MiB."""
    assert read_range(whole(faulty), start, stop) == DATA[start:stop]
    assert len(faulty.calls) == -(-(stop - start) // (8 * MIB))


def test_an_empty_object_is_an_empty_file(faulty: FaultyBackend, tmp_path: Path) -> None:
    """Nothing is asked for, and the file is there."""
    empty = whole(faulty, size=0, sha256=hashlib.sha256(b"").hexdigest())
    empty.read(FileSink(str(tmp_path / "file")), lambda _: None)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize(
    "other",
    [{"sha256": "0" * 64}, {"size": len(DATA) - 1}, {"size": len(DATA) + 1}, {"e_tag": "another"}],
    ids=["digest", "shorter", "longer", "entity tag"],
)
def test_another_object_in_its_place_is_damage(faulty: FaultyBackend, tmp_path: Path, other: dict[str, object]) -> None:
    """An object that was overwritten is never taken for the version; nothing is left behind."""
    with pytest.raises(Damaged, match=r"model\.bin@@v1") as caught:
        whole(faulty, **other).read(FileSink(str(tmp_path / "file")), lambda _: None)
    assert caught.value.key == KEY
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("fault", "error"), [(Fault.TRUNCATE, Damaged), (Fault.MISSING, ObjectMissing)])
def test_what_does_not_come_is_an_error(faulty: FaultyBackend, fault: Fault, error: type[Damaged]) -> None:
    """A short answer and a missing object name version and key, for ranges too."""
    faulty.when(lambda call: True, fault)
    with pytest.raises(error, match=r"model\.bin@@v1"):
        whole(faulty).read(MemorySink(len(DATA)), lambda _: None)
    with pytest.raises(error, match=r"model\.bin@@v1"):
        read_range(whole(faulty), 0, 100)


def test_it_does_not_wait_for_those_who_wait_for_it(faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the budget for transfers and needs a thread to fetch with gets one, however many wait here."""
    small = Memory(64 * MIB)
    monkeypatch.setattr(whole_objects, "memory", lambda: small)
    taken = small.transfers.take(small.transfers.total)
    readers = [
        threading.Thread(target=whole(faulty).read, args=(MemorySink(len(DATA)), lambda _: None), daemon=True)
        for _ in range(20)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(0.02)
    try:
        assert fetching.submit(lambda: "fetched").result(timeout=20) == "fetched"
    finally:
        small.transfers.give(taken)
        for reader in readers:
            reader.join(60)
    assert not any(reader.is_alive() for reader in readers)
    assert small.transfers.take(1 << 60) == taken
    assert memory().transfers is not small.transfers
