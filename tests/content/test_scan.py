"""Reading sources: right digests whatever happens to a file meanwhile, or a refusal."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import blocks, scan
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.digests import tail_fingerprint
from mlflow_versioned_store.content.foreseen import Cursor, Foresight
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.scan import SEGMENT_BYTES, Scanner, Source, size_up_to
from mlflow_versioned_store.content.segments import Chunk, Segment
from mlflow_versioned_store.errors import LocalStorageFailed, SourceChanged
from tests.content.making import BLAKE3, MIB, domain_of, edited, indexes_of, noise, read, rows, store, text

SMALL = Chunking(average=2048, smallest=1024, largest=8192)


def scanned(
    *sources: Source, chunking: Chunking | None = None, foresight: Foresight | None = None
) -> tuple[Scanner, list[Chunk]]:
    """Return a scanner that read all sources, and the chunks that stand for them in the end."""
    scanner = Scanner(sources, chunking or Chunking(), BLAKE3, foresight)
    chunks = [chunk for segment in scanner.segments() for chunk in segment.chunks]
    return scanner, [chunk for chunk in chunks if chunk.source in scanner.scanned]


class OddStream(io.RawIOBase):
    """A stream that gives as many bytes as it likes, one at least.

    Args:
        data: All of them.
        sizes: How many at a time, over and over.
    """

    def __init__(self, data: bytes, sizes: Sequence[int]):
        self._data = memoryview(data)
        self._sizes = sizes
        self._turn = 0

    def read(self, size: int = -1) -> bytes:
        """Return a few bytes, at most `size`."""
        self._turn += 1
        count = min(size, self._sizes[self._turn % len(self._sizes)])
        data, self._data = bytes(self._data[:count]), self._data[count:]
        return data


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, MIB, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 21 * MIB])
def test_every_kind_of_source_gives_the_same_chunks(tmp_path: Path, size: int) -> None:
    """Bytes, files and streams of any length: the same chunks, all their bytes, the right SHA-256."""
    data = noise("scan", size)
    path = tmp_path / "file"
    path.write_bytes(data)
    for source in (data, str(path), path, io.BytesIO(data)):
        scanner, chunks = scanned(source)
        assert [(one.size, one.sha256) for one in scanner.scanned] == [(size, hashlib.sha256(data).hexdigest())]
        assert b"".join(chunk.data for chunk in chunks) == data
        for chunk in chunks:
            assert (chunk.digest, chunk.tail) == (BLAKE3(chunk.data), tail_fingerprint(chunk.data))
        assert [len(chunk.data) for chunk in chunks] == [len(chunk.data) for chunk in scanned(data)[1]]


@given(
    size=st.integers(0, 9 * MIB),
    sizes=st.lists(st.sampled_from([1 << 12, 65537, MIB, 4 * MIB, 4 * MIB - 1]), min_size=1, max_size=4),
)
@settings(max_examples=15, deadline=None)
def test_streams_may_give_what_they_like(size: int, sizes: list[int]) -> None:
    """However few bytes a read returns, nothing is lost and no cut moves."""
    data = noise("odd", size)
    scanner, chunks = scanned(OddStream(data, sizes))
    assert b"".join(chunk.data for chunk in chunks) == data
    assert [len(chunk.data) for chunk in chunks] == [len(chunk.data) for chunk in scanned(data)[1]]
    assert scanner.scanned[0].sha256 == hashlib.sha256(data).hexdigest()


def test_segments_are_about_16_mib() -> None:
    """Memory does not grow with the size of a source, nor requests with the number of small ones."""
    scanner = Scanner([noise("s", 40 * MIB), *[b"tiny"] * 1000], Chunking(), BLAKE3)
    segments = list(scanner.segments())
    assert all(segment.size < SEGMENT_BYTES + (256 << 10) for segment in segments)
    assert len(segments) == 3
    assert len(scanner.scanned) == 1001


class Meddling:
    """Stands for `os`: changes a file between the reads of it.

    Args:
        path: The file.
        changes: Called in turn, one before each read.
    """

    def __init__(self, path: Path, changes: Iterator[Callable[[Path], object]]):
        self._path = path
        self._changes = changes

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def _meddle(self) -> None:
        change = next(self._changes, None)
        if change is not None:
            change(self._path)

    def read(self, descriptor: int, size: int) -> bytes:
        """Read, after a change."""
        self._meddle()
        return os.read(descriptor, size)

    def file(self, descriptor: int, *, closefd: bool) -> io.FileIO:
        """Return a file that changes before each block."""
        meddle = self._meddle

        class Meddled(io.FileIO):
            """A file in large blocks."""

            def readinto(self, buffer: Any, /) -> int | None:
                """Read, after a change where a block begins."""
                if memoryview(buffer).nbytes == blocks.BLOCK_BYTES:
                    meddle()
                return super().readinto(buffer)

        return Meddled(descriptor, closefd=closefd)


def meddle(monkeypatch: pytest.MonkeyPatch, path: Path, changes: Iterator[Callable[[Path], object]]) -> None:
    """Let a file change while it is read."""
    meddling = Meddling(path, changes)
    monkeypatch.setattr(scan, "os", meddling)
    monkeypatch.setattr(blocks, "FileIO", meddling.file)


def grow(path: Path) -> None:
    """Append to a file."""
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    """Cut a file in half."""
    os.truncate(path, path.stat().st_size // 2)


def rewrite(path: Path) -> None:
    """Write other bytes over a file, as many as there were, later than before."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"X" * 100)
        file.seek(-100, os.SEEK_END)
        file.write(b"Y" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def replace(path: Path) -> None:
    """Put another file in its place, as careful programs do."""
    other = path.with_name("other")
    other.write_bytes(b"another file")
    other.replace(path)


def leave(path: Path) -> None:
    """Do nothing."""


CHANGES = [grow, shrink, rewrite]
SIZES = [100_000, 9 * MIB]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_once_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], size: int
) -> None:
    """What is recorded and stored is the file as it is afterwards, whole."""
    path = tmp_path / "file"
    path.write_bytes(noise("changing", size))
    meddle(monkeypatch, path, iter([leave, change] if size > 4 * MIB else [change]))
    uploaded = store(domain_of(backend := open_memory("scan")), b"before", str(path), b"after")
    data = path.read_bytes()
    assert uploaded.files[1].sha256 == hashlib.sha256(data).hexdigest()
    assert [read(backend, uploaded, at) for at in range(3)] == [b"before", data, b"after"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_never_rests_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], size: int
) -> None:
    """No mixture of old and new is ever stored; the error names the file."""
    path = tmp_path / "file"
    path.write_bytes(noise("restless", size))
    meddle(monkeypatch, path, iter([change] * 1000))
    with pytest.raises(SourceChanged, match="file") as caught:
        store(domain_of(open_memory("scan")), str(path))
    assert caught.value.key == str(path)


def test_a_file_that_is_replaced_is_read_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename over a file while it is open changes nothing for whoever reads it."""
    path = tmp_path / "file"
    data = noise("replaced", 9 * MIB)
    path.write_bytes(data)
    meddle(monkeypatch, path, iter([leave, replace]))
    scanner, chunks = scanned(str(path))
    assert b"".join(chunk.data for chunk in chunks) == data
    assert scanner.scanned[0].sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("after", [0, 1, 6])
def test_a_stream_that_fails_fails_the_upload(after: int) -> None:
    """Its own error comes through, however much was stored by then; nothing is taken for its end."""

    class Broken:
        """A stream that breaks off after a few reads."""

        reads = 0

        def read(self, size: int, /) -> bytes:
            """Give what is asked for, for a while."""
            self.reads += 1
            if self.reads > after:
                raise ConnectionResetError("the client is gone")
            return noise(self.reads, size)

    with pytest.raises(ConnectionResetError, match="the client is gone"):
        store(domain_of(open_memory("broken")), Broken())


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_what_is_no_file_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    """A path that is not there, or is a folder, is never an empty file."""
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    with pytest.raises(LocalStorageFailed, match=kind) as caught:
        scanned(b"x", str(path))
    assert caught.value.key == str(path)


def test_sizes_are_told_without_reading(tmp_path: Path) -> None:
    """Sizes add up to a limit; a stream, whose size nobody knows, counts as that much; what is not there as nothing."""
    (tmp_path / "file").write_bytes(bytes(100))
    assert size_up_to([b"abc", str(tmp_path / "file"), tmp_path / "missing"], 1000) == 103
    assert size_up_to([b"abc", str(tmp_path / "file")], 50) == 50
    assert size_up_to([io.BytesIO(b"abc")], 1000) == 1000
    assert size_up_to([], 1000) == 0


def foresight(*generations: bytes) -> Known:
    """Return what an upload knows after these were stored, each an edited version of the one before."""
    backend = open_memory("foresight")
    hints: tuple[object, ...] = ()
    for data in generations:
        hints = indexes_of(store(domain_of(backend), data, hints=hints))  # type: ignore[arg-type]
    known = Known(domain_of(backend), hints)  # type: ignore[arg-type]
    known.learn(Segment([*scanned(generations[-1])[1][:1]], 1))
    return known


LINES = rows(4, 220_000)
OLD = text(LINES)
VARIANTS = {
    "same": OLD,
    "longer": OLD + b"\nmore",
    "shorter": OLD[:-100_000],
    "a prefix that ends at a cut": None,
    "edited": text(edited(LINES, 5)),
    "edited at the end": OLD[:-1] + b"!",
    "another": noise("another", 6 * MIB),
    "its end first": OLD[len(OLD) // 2 :] + OLD[: len(OLD) // 2],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_foresight_changes_no_bytes_and_no_digest(tmp_path: Path, name: str) -> None:
    """With what is known of stored chunks a file is read at less cost, never to another result."""
    known = foresight(OLD)
    plain = scanned(OLD)[1]
    data = VARIANTS[name]
    if data is None:
        data = OLD[: sum(len(chunk.data) for chunk in plain[: len(plain) * 3 // 4])]
    path = tmp_path / "file"
    path.write_bytes(data)
    scanner, chunks = scanned(str(path), foresight=known)
    assert scanner.scanned[0].sha256 == hashlib.sha256(data).hexdigest()
    assert b"".join(chunk.data for chunk in chunks) == data
    for chunk in chunks:
        assert (chunk.digest, chunk.tail) == (BLAKE3(chunk.data), tail_fingerprint(chunk.data))
    # An edited file is cut where the old one was (see below); any other content where it would be cut by itself.
    if name != "edited":
        assert [len(chunk.data) for chunk in chunks] == [len(chunk.data) for chunk in scanned(str(path))[1]]


@pytest.mark.parametrize("size", [1, 100, 2000])
def test_cuts_of_a_known_file_survive_insertions_and_deletions(size: int) -> None:
    """However often a file is edited, nearly all of its cuts stay where its content put them."""
    known = foresight(OLD)
    old_ends = {chunk.tail for chunk in scanned(OLD)[1]}
    data = bytearray(OLD)
    for at in range(100_000, len(OLD) - 100_000, 700_000):
        data[at:at] = noise(at, size)
        del data[at + 300_000 : at + 300_000 + size]
    chunks = scanned(bytes(data), foresight=known)[1]
    kept = sum(chunk.tail in old_ends for chunk in chunks)
    assert b"".join(chunk.data for chunk in chunks) == data
    assert kept >= 0.95 * len(old_ends)


def test_a_known_file_that_changes_behind_its_reader_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where hashing was put off and has to be made up for, the second reading must give what the first one did."""
    known = foresight(OLD)
    path = tmp_path / "file"
    path.write_bytes(OLD[:-1] + b"!")
    before = path.stat()
    calls = 0

    class Changed(io.FileIO):
        """The file as it is read again."""

        def read(self, size: int | None = -1, /) -> bytes:
            """Find other bytes than before, once."""
            nonlocal calls
            calls += 1
            data = super().read(size)
            if calls != 3:
                return data
            with path.open("r+b") as file:
                file.write(b"Z" * 10)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            return b"Q" + data[1:]

    monkeypatch.setattr(scan, "FileIO", Changed)
    scanner, chunks = scanned(str(path), foresight=known)
    data = path.read_bytes()
    assert data.startswith(b"Z")
    assert calls > 3
    assert scanner.scanned[0].sha256 == hashlib.sha256(data).hexdigest()
    assert b"".join(chunk.data for chunk in chunks) == data


def test_a_known_file_is_followed_across_the_ends_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its two ends are looked for: a block that ends within a chunk is no reason to lose the place."""
    data = noise("blocks", 13 * MIB)
    known = foresight(data)
    looked: list[bytes] = []
    place_after = known.place_after

    def counted(digest: bytes, tail: int) -> Cursor | None:
        looked.append(digest)
        return place_after(digest, tail)

    monkeypatch.setattr(known, "place_after", counted)
    path = tmp_path / "file"
    path.write_bytes(data)
    chunks = scanned(str(path), foresight=known)[1]
    assert [chunk.digest for chunk in chunks] == [chunk.digest for chunk in scanned(data)[1]]
    assert looked == [chunks[0].digest, chunks[-1].digest]
