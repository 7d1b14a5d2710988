"""Where bytes go: complete and under their name, or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content.sinks import PART_SUFFIX, FileSink, MemorySink
from mlflow_versioned_store.errors import Conflict, LocalStorageFailed


def test_a_file_appears_when_it_is_finished(tmp_path: Path) -> None:
    """Until then the name keeps what it had, beside one temporary file."""
    path = tmp_path / "file"
    path.write_bytes(b"older and longer than the new one")
    sink = FileSink(str(path))
    sink.write(5, b"67890")
    sink.write(0, b"12345")
    assert path.read_bytes() == b"older and longer than the new one"
    (part,) = set(os.listdir(tmp_path)) - {"file"}
    assert part.endswith(PART_SUFFIX)
    sink.finish()
    assert path.read_bytes() == b"1234567890"
    assert os.listdir(tmp_path) == ["file"]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    """A version without bytes appears like any other."""
    FileSink(str(tmp_path / "empty")).finish(empty=True)
    assert (tmp_path / "empty").read_bytes() == b""


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    """Before, during and after writing; twice does no harm."""
    for writes in (0, 1):
        sink = FileSink(str(tmp_path / "file"))
        for _ in range(writes):
            sink.write(0, b"half")
        sink.abandon()
        sink.abandon()
        assert os.listdir(tmp_path) == []


def test_two_downloads_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Each has a temporary file of its own; the last one to finish stays."""
    one, other = FileSink(str(tmp_path / "file")), FileSink(str(tmp_path / "file"))
    one.write(0, b"one")
    other.write(0, b"other")
    one.finish()
    other.finish()
    assert (tmp_path / "file").read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("links", [True, False])
def test_what_came_meanwhile_stays_where_it_is_not_to_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """Whoever is first keeps the name, also where the file system has no hard links; else it is given as usual."""
    if not links:
        monkeypatch.setattr(os, "link", _no_link)
    first, second = (FileSink(str(tmp_path / "file"), replace=False) for _ in range(2))
    first.write(0, b"first")
    second.write(0, b"second")
    first.finish()
    with pytest.raises(Conflict, match="file was made by somebody else"):
        second.finish()
    second.abandon()
    assert (tmp_path / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def _no_link(*_: str) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127], ids=["ascii", "two bytes a letter"])
def test_the_longest_names_work(tmp_path: Path, name: str) -> None:
    """A name that fills its component leaves no room for a suffix, and needs none."""
    sink = FileSink(str(tmp_path / name))
    sink.write(0, b"x")
    sink.finish()
    assert (tmp_path / name).read_bytes() == b"x"


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """A link that lies where a file goes never leads the bytes elsewhere."""
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    sink = FileSink(str(tmp_path / "link"))
    sink.write(0, b"new")
    sink.finish()
    assert (tmp_path / "target").read_bytes() == b"target"
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_bytes() == b"new"


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    """Where a folder has the name, it stays; the message names the path."""
    (tmp_path / "name").mkdir()
    sink = FileSink(str(tmp_path / "name"))
    sink.write(0, b"x")
    with pytest.raises(LocalStorageFailed, match="name"):
        sink.finish()
    sink.abandon()
    assert os.listdir(tmp_path) == ["name"]


def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and tells what to do."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    sink = FileSink(str(tmp_path / "file"))
    with pytest.raises(LocalStorageFailed, match="Free some space") as caught:
        sink.write(0, b"x")
    assert caught.value.key == str(tmp_path / "file")
    sink.abandon()
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it was given; none is lost."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    sink = FileSink(str(tmp_path / "file"))
    sink.write(2, b"0123456789")
    sink.write(0, b"ab")
    sink.finish()
    assert (tmp_path / "file").read_bytes() == b"ab0123456789"


@given(pieces=st.permutations([(0, b"abc"), (3, b""), (3, b"defg"), (7, b"h")]))
def test_memory_takes_pieces_in_any_order(pieces: list[tuple[int, bytes]]) -> None:
    """The bytes are those of the file, whatever came first."""
    sink = MemorySink(8)
    for offset, data in pieces:
        sink.write(offset, data)
    sink.finish()
    assert sink.data == b"abcdefgh"
    sink.abandon()
    assert sink.data == b""
