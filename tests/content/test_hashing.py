"""Hashing that is put off: the right SHA-256 of any file, and little of it read again where a known one ends."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import hashing
from mlflow_versioned_store.content.hashing import FileChangedError, Hashing, PutOffHashing
from mlflow_versioned_store.content.indexes import FileRows, Placed
from mlflow_versioned_store.content.sha256 import State
from tests.content.making import BLAKE3, noise

CHUNK = 1000
BLOCK = 5
APART = 16 * 1024
# Halving the states of a file of 200,000 bytes, one chunk each time.
GUESSES = 4


class Files:
    """Known files, cut into chunks of equal size."""

    def __init__(self, *datas: bytes):
        self._files = [known(data) for data in datas]

    def files_from(self, digest: bytes) -> Sequence[tuple[FileRows, Sequence[Placed]]]:
        """Return those that start with this chunk."""
        return [(file, rows) for file, rows in self._files if rows[0].digest == digest]


class Reread(io.FileIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read, and count."""
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.fixture(autouse=True)
def many_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a state each 16 KiB, so that small files have many."""
    monkeypatch.setattr(hashing, "_STATES_APART_BYTES", APART)
    monkeypatch.setattr(hashing, "cpu_limit", lambda: 2)


def chunked(data: bytes) -> list[bytes]:
    """Return the chunks of a file."""
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


def fed(hasher: Hashing, data: bytes) -> Hashing:
    """Give a file to a hasher, block by block."""
    chunks = chunked(data)
    for at in range(0, len(chunks), BLOCK):
        block = chunks[at : at + BLOCK]
        hasher.add(b"".join(block), [(BLAKE3(chunk), len(chunk)) for chunk in block])
    return hasher


def known(data: bytes) -> tuple[FileRows, Sequence[Placed]]:
    """Return what an index says of a file."""
    rows = [Placed(BLAKE3(chunk), 0, len(chunk)) for chunk in chunked(data)]
    hasher = fed(Hashing(), data)
    return FileRows(0, len(rows), len(data), hasher.hexdigest(), tuple(hasher.states)), rows


def put_off(path: Path, data: bytes, files: Files) -> tuple[PutOffHashing, Reread]:
    """Return the hasher of a file that was given to it, and its second reading."""
    path.write_bytes(data)
    again = Reread(path)
    return PutOffHashing(again, len(data), files, BLAKE3), again


@given(
    kept=st.integers(0, 200_000),
    inserted=st.integers(0, 3000),
    dropped=st.integers(0, 3000),
    others=st.lists(st.integers(0, 200_000), max_size=3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sha256_of_files_that_begin_alike(
    tmp_path: Path, kept: int, inserted: int, dropped: int, others: list[int]
) -> None:
    """Wherever a file parts from known ones, its SHA-256 and the states on the way are those of its own bytes."""
    old = noise("old", 200_000)
    data = old[:kept] + noise("new", inserted) + old[kept + dropped :]
    if not data:
        return
    more = [old[:cut] + noise("other", 5000) for cut in others]
    hasher, again = put_off(tmp_path / "file", data, Files(*more, old))
    fed(hasher, data)
    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()
    states = {state.position: state.value for state in fed_states(data)}
    assert all(states.get(state.position, state.value) == state.value for state in hasher.states)
    assert hasher.states == sorted(hasher.states)
    if kept >= CHUNK:  # it begins as a known file does, and is followed
        # A state lies at most so far before the chunk where the file parts, and blocks are put off whole.
        assert again.count <= APART + (BLOCK + 2 * BLOCK + GUESSES) * CHUNK
    hasher.close()
    again.close()


def fed_states(data: bytes) -> list[State]:
    """Return the states of a file that nothing is known of."""
    hasher = fed(Hashing(), data)
    hasher.hexdigest()
    return hasher.states


def test_a_known_file_is_not_hashed(tmp_path: Path) -> None:
    """All chunks of a known file, in order: its SHA-256 and states are taken over, hardly anything is read again."""
    data = noise("known", 100_000)
    hasher, again = put_off(tmp_path / "file", data, Files(data[:50_000], data))
    assert fed(hasher, data).hexdigest() == hashlib.sha256(data).hexdigest()
    assert hasher.states == fed_states(data) != []
    assert again.count <= GUESSES * CHUNK


def test_without_states_all_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no state can be gone on from, a file of the same size that parts late is hashed from its beginning on."""
    old = noise("states", 100_000)
    files = Files(old)
    monkeypatch.setattr(hashing, "is_resumable", lambda: False)
    data = old[:-1] + b"!"
    hasher, again = put_off(tmp_path / "file", data, files)
    assert fed(hasher, data).hexdigest() == hashlib.sha256(data).hexdigest()
    assert again.count == len(data)


@pytest.mark.parametrize("ahead", [1 << 20, 10_000])
def test_what_is_behind_an_insertion_is_hashed_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """While the reader is still before it, in steps; nothing has to be made up for then."""
    monkeypatch.setattr(hashing, "_AHEAD_BYTES_MAX", ahead)
    monkeypatch.setattr(hashing, "_READ_BYTES", 1000)
    old = noise("ahead", 200_000)
    data = old[:120_000] + noise("inserted", 777) + old[120_000:]
    hasher, again = put_off(tmp_path / "file", data, Files(old))
    monkeypatch.setattr(PutOffHashing, "_catch_up", None)
    assert fed(hasher, data).hexdigest() == hashlib.sha256(data).hexdigest()
    assert hasher.states[-1].position > 180_000
    assert again.count <= GUESSES * CHUNK


def test_a_wrong_guess_is_made_good(tmp_path: Path) -> None:
    """A file that parts earlier than guessed, for a moment, has its own SHA-256 all the same."""
    old = noise("guess", 200_000)
    data = old[:5500] + b"?" + old[5501:150_000] + noise("rest", 60_000)
    hasher, _ = put_off(tmp_path / "file", data, Files(old))
    assert fed(hasher, data).hexdigest() == hashlib.sha256(data).hexdigest()


def test_what_is_hashed_ahead_is_checked(tmp_path: Path) -> None:
    """Where the reader had other bytes than were hashed ahead, there is no SHA-256."""
    old = noise("ahead", 200_000)
    data = old[:120_000] + noise("inserted", 777) + old[120_000:]
    hasher, _ = put_off(tmp_path / "file", data, Files(old))
    with pytest.raises(FileChangedError):
        fed(hasher, data[:-1] + bytes([data[-1] ^ 1])).hexdigest()


def test_what_is_read_again_is_checked(tmp_path: Path) -> None:
    """A second reading that differs from the first is an error, not another file's SHA-256."""
    old = noise("checked", 100_000)
    data = old[:60_000] + noise("more", 40_000)
    hasher, _ = put_off(tmp_path / "file", data, Files(old))
    (tmp_path / "file").write_bytes(noise("yet other", len(data)))
    with pytest.raises(FileChangedError):
        fed(hasher, data).hexdigest()
