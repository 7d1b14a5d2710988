"""A version as a file: the same bytes as any file would give, few of them fetched, and some ahead of the reader."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content import workers
from mlflow_versioned_store.content.workers import Budget, Memory
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Damaged, InvalidInput
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from mlflow_versioned_store.version_file import VersionFile
from tests.content.making import Weighing

MIB = 1 << 20
ROOT = f"1/{'a' * 32}/artifacts"
RANDOM = random.Random(5).randbytes(24 * MIB + 1)
LINES = b"".join(b"%d,%d\n" % (number, number * number) for number in range(60_000))
CONTENTS = {
    "random": RANDOM,
    "edited": LINES[:400_000] + b"edited\n" + LINES[400_000:],
    "small": b"a\nb\n",
    "empty": b"",
}


@pytest.fixture(scope="module")
def weighing() -> Weighing:
    """A store that counts what is read from it."""
    return Weighing(open_memory("version-file"))


@pytest.fixture(scope="module")
def root(weighing: Weighing) -> ArtifactRoot:
    """An artifact root with files of all kinds: many chunks, deltas, inline, none."""
    root = new_store(weighing).root(ROOT)
    root.upload([Item("edited", LINES)], context=Context())
    root.upload([Item(name, data) for name, data in CONTENTS.items()], context=Context())
    return root


@pytest.fixture(autouse=True)
def ahead(monkeypatch: pytest.MonkeyPatch) -> Iterator[Budget]:
    """The memory for what is fetched ahead; all of it must be free again once all files are closed."""
    memory = Memory(256 * MIB)
    monkeypatch.setattr(workers, "_memory", memory)
    yield memory.ahead
    assert memory.ahead.take(memory.ahead.total) == memory.ahead.total


def opened(root: ArtifactRoot, name: str) -> VersionFile:
    """Open the current version of a file."""
    version = root.resolve(name)
    assert isinstance(version, Version)
    return root.open(version)


def read_by(file: io.RawIOBase | io.BytesIO, call: tuple[str, int]) -> object:
    """Do one call; what it gives must be what any binary file gives."""
    name, argument = call
    if name == "seek":
        return file.seek(argument)
    if name == "seek to the end":
        return file.seek(-min(argument, file.seek(0, 2)), 2)
    if name == "readinto":
        buffer = bytearray(argument)
        return file.readinto(buffer), bytes(buffer)
    if name == "readline":
        return file.readline()
    return file.read(argument)


CALLS = st.tuples(
    st.sampled_from(["seek", "seek to the end", "read", "read", "read", "readinto", "readline"]),
    st.integers(0, 1000) | st.integers(0, 6 * MIB),
)


@pytest.mark.parametrize("name", CONTENTS)
@given(calls=st.lists(CALLS, max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_reads_as_any_file_does(root: ArtifactRoot, name: str, calls: list[tuple[str, int]]) -> None:
    """Whatever is called in whatever order gives what a file with these bytes in memory gives, read-ahead or not."""
    with opened(root, name) as file:
        plain = io.BytesIO(CONTENTS[name])
        for call in calls:
            assert read_by(file, call) == read_by(plain, call)
            assert file.tell() == plain.tell()
        assert file.read() == plain.read()
        assert file.size == len(CONTENTS[name])


@pytest.mark.parametrize("size", [1000, 100_000, MIB, 5 * MIB + 3, 20 * MIB])
def test_reading_on_gives_all_bytes_once(root: ArtifactRoot, weighing: Weighing, size: int) -> None:
    """A file read in pieces of any size comes whole, and hardly a byte of it is fetched twice."""
    weighing.reads.clear()
    with opened(root, "random") as file:
        pieces = list(iter(lambda: file.read(size), b""))
    assert all(len(piece) == size for piece in pieces[:-1])
    assert b"".join(pieces) == RANDOM
    assert sum(count for *_, count in weighing.reads) < 1.15 * len(RANDOM)


def test_lines_and_text_come_through_other_readers(root: ArtifactRoot) -> None:
    """Iteration, a buffered reader and a text wrapper find the same lines."""
    lines = CONTENTS["edited"].splitlines(keepends=True)
    with opened(root, "edited") as file:
        assert list(file) == lines
    with io.BufferedReader(opened(root, "edited")) as buffered:
        assert list(buffered) == lines
    with io.TextIOWrapper(opened(root, "edited")) as text:
        assert list(text) == [line.decode() for line in lines]


def test_jumps_fetch_what_is_asked_for(root: ArtifactRoot, weighing: Weighing, ahead: Budget) -> None:
    """A read here and a read there, two neighbours too, fetch the chunks that hold them, and nothing is taken ahead."""
    with opened(root, "random") as file:
        file.read(1)
        weighing.reads.clear()
        for start in (20 * MIB, 3 * MIB, 12 * MIB, 12 * MIB + 300_000):
            file.seek(start)
            assert file.read(300_000) == RANDOM[start : start + 300_000]
        assert ahead.used == 0
    assert sum(count for *_, count in weighing.reads) < 4 * (300_000 + 2 * 256 * 1024) + 100_000


def test_reading_on_fetches_ahead(root: ArtifactRoot, ahead: Budget) -> None:
    """Whoever reads on has the next bytes waiting, within the budget for that; closing gives it back."""
    with opened(root, "random") as file:
        for _ in range(8):
            file.read(100_000)
        assert ahead.used > MIB
        file.seek(20 * MIB)
        file.read(1)
        assert ahead.used == 0


def test_without_memory_nothing_is_fetched_ahead(root: ArtifactRoot, ahead: Budget) -> None:
    """Files that keep all of the budget do not hold up those that come later."""
    taken = ahead.take(ahead.total)
    try:
        with opened(root, "random") as file:
            assert b"".join(iter(lambda: file.read(MIB), b"")) == RANDOM
    finally:
        ahead.give(taken)


def test_ranges_are_read_in_one_plan(root: ArtifactRoot, weighing: Weighing) -> None:
    """Ranges in any order, overlapping or empty, are slices; those close together are one request."""
    ranges = [(5_000_000, 5_000_100), (10, 20), (7, 7), (15, 90), (5_000_050, 5_000_300)]
    with opened(root, "random") as file:
        file.read_ranges([(0, 1), (5_000_000, 5_000_001)])
        weighing.reads.clear()
        assert file.read_ranges(ranges) == [RANDOM[start:stop] for start, stop in ranges]
        assert len(weighing.reads) == 2
        assert file.tell() == 0


def test_a_damaged_chunk_is_an_error_where_it_is_read(root: ArtifactRoot) -> None:
    """What was fetched ahead and is bad is told when its turn comes, not before and not instead of the good bytes."""
    faulty = FaultyBackend(open_memory("version-file-damage"))
    store = new_store(faulty)
    store.root(ROOT).upload([Item("random", RANDOM)], context=Context())
    file = opened(client(faulty).root(ROOT), "random")
    with file:
        assert file.read(300_000) == RANDOM[:300_000]
        faulty.when(lambda call: call.verb == "get" and "/packs/" in call.key, Fault.CORRUPT)
        with pytest.raises(Damaged, match="random@@v1"):
            file.readall()
        faulty.clear()
        file.seek(300_000)
        assert file.read() == RANDOM[300_000:]


def test_a_closed_file_and_a_place_before_the_beginning_are_refused(root: ArtifactRoot) -> None:
    """The errors are those of any file."""
    file = opened(root, "small")
    with pytest.raises(InvalidInput):
        file.seek(-1)
    file.close()
    for call in (
        file.read,
        file.readall,
        file.tell,
        file.peek,
        lambda: file.seek(0),
        lambda: file.readinto(bytearray(1)),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reads_on(tmp_path: Path) -> None:
    """What the parent's threads were to fetch, the child fetches itself; the parent reads on too."""
    root = new_store(open_container(f"versioned-file://{tmp_path}")[0], str(tmp_path).lstrip("/")).root(ROOT)
    root.upload([Item("random", RANDOM)], context=Context())
    with opened(root, "random") as file:
        for _ in range(8):
            file.read(100_000)
        child = os.fork()
        if not child:
            os._exit(file.read(8 * MIB) != RANDOM[800_000 : 800_000 + 8 * MIB])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert file.read() == RANDOM[800_000:]
