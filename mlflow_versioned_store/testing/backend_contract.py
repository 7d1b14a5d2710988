"""What every backend promises, as a test class to inherit.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def subject(self) -> Subject:
            return Subject(MyBackend(...), side_put=…, side_get=…)

A subject may serve many tests: each keeps to a folder of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown

_ODD_NAMES = (
    "x y",
    "ü",
    "%41%zz",
    "a+b&c=d",
    "#hash",
    "tilde~'quote\"",
    "(b)[c]{d}",
    "a@v2",
    "naïve☃",
    ".dot",
    "A",
    "a",
)
_BAD_KEYS = ("", "/a", "a/", "a//b", ".", "a/../b", "a/./b", "a\0b", "a\nb", "x" * 256, "d/" * 512 + "x", "\ud800")


@dataclass(frozen=True)
class Subject:
    """A backend under test and a way to its objects that does not lead through it.

    Args:
        backend: The backend, holding whatever earlier tests left in it.
        side_put: Writes an object of the same container by other means.
        side_get: Reads one by other means; None where there is none.
    """

    backend: Backend
    side_put: Callable[[str, bytes], None]
    side_get: Callable[[str], bytes | None]


class BackendContract:
    """The properties of a backend; a subclass provides the fixture `subject`."""

    @pytest.fixture
    def subject(self) -> Subject:
        """Return the backend to test."""
        raise NotImplementedError

    @pytest.fixture
    def backend(self, subject: Subject) -> Backend:
        """Return the backend alone."""
        return subject.backend

    @pytest.fixture
    def folder(self) -> str:
        """Return a folder that no other test uses."""
        return f"contract/{uuid.uuid4().hex}"

    def test_put_is_seen_from_outside(self, subject: Subject, folder: str) -> None:
        """What is put is what another client reads."""
        subject.backend.put(f"{folder}/a", b"some bytes")
        assert subject.side_get(f"{folder}/a") == b"some bytes"

    def test_get_sees_the_outside(self, subject: Subject, folder: str) -> None:
        """What another client wrote is what get returns."""
        subject.side_put(f"{folder}/a", b"other bytes")
        assert bytes(subject.backend.get(f"{folder}/a").data) == b"other bytes"

    @pytest.mark.parametrize("pieces", [[], [b""], [b"abc"], [b"a", bytearray(b"bc"), memoryview(b"xdx")[1:2]]])
    def test_put_joins_pieces(self, backend: Backend, folder: str, pieces: list[bytes]) -> None:
        """Several buffers are written in a row."""
        written = backend.put(f"{folder}/a", pieces)
        assert written.size == sum(map(len, pieces))
        assert bytes(backend.get(f"{folder}/a").data) == b"".join(pieces)

    def test_put_replaces(self, backend: Backend, folder: str) -> None:
        """A plain put replaces what was there."""
        backend.put(f"{folder}/a", b"old and long")
        backend.put(f"{folder}/a", b"new")
        assert bytes(backend.get(f"{folder}/a").data) == b"new"

    def test_create_makes_a_new_object(self, backend: Backend, folder: str) -> None:
        """A create on a free key writes."""
        assert backend.put(f"{folder}/a", [b"x", b"y"], create=True).key == f"{folder}/a"
        assert bytes(backend.get(f"{folder}/a").data) == b"xy"

    def test_create_on_a_taken_key_is_a_conflict(self, subject: Subject, folder: str) -> None:
        """A create on a taken key fails and leaves the object alone."""
        subject.side_put(f"{folder}/a", b"first")
        with pytest.raises(Conflict):
            subject.backend.put(f"{folder}/a", b"second", create=True)
        assert subject.side_get(f"{folder}/a") == b"first"

    def test_what_is_named_by_its_content_is_written_once(self, subject: Subject, folder: str) -> None:
        """Writing it again is no conflict, and leaves the object alone."""
        assert subject.backend.put_named(f"{folder}/named", b"content").size == 7
        subject.side_put(f"{folder}/other", b"there already")
        assert subject.backend.put_named(f"{folder}/other", b"written again").size == 13
        assert subject.side_get(f"{folder}/named") == b"content"
        assert subject.side_get(f"{folder}/other") == b"there already"

    def test_one_of_many_creates_wins(self, backend: Backend, folder: str) -> None:
        """Of concurrent creates of one key exactly one succeeds, and it is its bytes that stay."""

        def create(number: int) -> int | None:
            try:
                backend.put(f"{folder}/race", b"%d" % number, create=True)
            except (Conflict, OutcomeUnknown):
                return None
            return number

        with ThreadPoolExecutor(12) as pool:
            winners = [number for number in pool.map(create, range(12)) if number is not None]
        assert [bytes(backend.get(f"{folder}/race").data)] == [b"%d" % number for number in winners]

    def test_a_large_object_comes_back(self, backend: Backend, folder: str) -> None:
        """Nine megabytes in pieces, created in one request, read in ranges."""
        pieces = [bytes([number]) * (1 << 20) for number in range(9)]
        backend.put(f"{folder}/large", pieces, create=True)
        assert bytes(backend.get(f"{folder}/large").data) == b"".join(pieces)
        part = backend.get(f"{folder}/large", start=(1 << 20) - 1, stop=(2 << 20) + 1)
        assert bytes(part.data) == b"\0" + pieces[1] + b"\2"

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [(0, None, b"0123456789"), (0, 1, b"0"), (3, 7, b"3456"), (9, 10, b"9"), (4, None, b"456789"), (8, 99, b"89")],
    )
    def test_ranges(self, backend: Backend, folder: str, start: int, stop: int | None, expected: bytes) -> None:
        """A range is half open, may reach beyond the end, and comes with the whole object's size."""
        backend.put(f"{folder}/a", b"0123456789")
        fetched = backend.get(f"{folder}/a", start=start, stop=stop)
        assert (bytes(fetched.data), fetched.info.size) == (expected, 10)

    @pytest.mark.parametrize(("start", "stop"), [(10, None), (10, 12), (99, None), (-1, None), (3, 3), (5, 2)])
    def test_ranges_beyond_the_end(self, backend: Backend, folder: str, start: int, stop: int | None) -> None:
        """A range that holds nothing is invalid input, not no bytes."""
        backend.put(f"{folder}/a", b"0123456789")
        with pytest.raises(InvalidInput):
            backend.get(f"{folder}/a", start=start, stop=stop)

    @pytest.mark.parametrize("stop", [None, 5])
    def test_empty_object(self, backend: Backend, folder: str, stop: int | None) -> None:
        """An object of no bytes can be written, found and read."""
        backend.put(f"{folder}/empty", b"", create=True)
        assert len(backend.get(f"{folder}/empty", stop=stop).data) == 0
        assert backend.head(f"{folder}/empty").size == 0

    def test_fetched_bytes_are_read_only(self, backend: Backend, folder: str) -> None:
        """Callers can share what get returns: nobody can change it."""
        backend.put(f"{folder}/a", b"bytes")
        assert memoryview(backend.get(f"{folder}/a").data).readonly

    def test_missing_objects(self, backend: Backend, folder: str) -> None:
        """Reading and looking up an object that is not there is NotFound and names it."""
        with pytest.raises(NotFound, match="missing") as read:
            backend.get(f"{folder}/missing")
        with pytest.raises(NotFound, match="missing"):
            backend.get(f"{folder}/missing", start=2, stop=4)
        with pytest.raises(NotFound, match="missing"):
            backend.head(f"{folder}/missing")
        assert read.value.key is not None
        assert read.value.key.endswith(f"{folder}/missing")

    def test_a_folder_is_no_object(self, backend: Backend, folder: str) -> None:
        """The name of a folder is not the name of an object."""
        backend.put(f"{folder}/a/b", b"")
        with pytest.raises(NotFound):
            backend.get(f"{folder}/a")
        with pytest.raises(NotFound):
            backend.head(f"{folder}/a")

    def test_every_answer_tells_the_same(self, backend: Backend, folder: str) -> None:
        """Head, get and list agree about an object."""
        backend.put(f"{folder}/a", b"12345")
        looked_up, read = backend.head(f"{folder}/a"), backend.get(f"{folder}/a").info
        (listed,) = backend.list(folder)
        for info in (looked_up, read, listed):
            assert (info.key, info.size, info.e_tag) == (f"{folder}/a", 5, looked_up.e_tag)
            assert abs(info.modified - looked_up.modified) <= timedelta(seconds=1)

    def test_times_are_the_stores(self, backend: Backend, folder: str) -> None:
        """An object's time lies between the store's times before and after, to the second, and is UTC."""
        before = backend.now(folder)
        backend.put(f"{folder}/a", b"")
        modified = backend.head(f"{folder}/a").modified
        assert before - timedelta(seconds=1) <= modified <= backend.now(folder) + timedelta(seconds=1)
        assert modified.utcoffset() == timedelta(0)

    def test_list_is_deep(self, backend: Backend, folder: str) -> None:
        """A listing holds all objects below a folder, and no others."""
        below = [f"{folder}/{name}" for name in ("a", "b/c", "b/d/e", "b-")]
        for key in (*below, f"{folder}-", f"{folder}x/a"):
            backend.put(key, b"")
        assert sorted(info.key for info in backend.list(folder)) == sorted(below)

    def test_list_of_nothing(self, backend: Backend, folder: str) -> None:
        """A folder that is not there lists as empty."""
        assert list(backend.list(folder)) == []
        assert list(backend.folders(folder)) == []

    def test_list_after(self, backend: Backend, folder: str) -> None:
        """`after` leaves out the keys up to and with that one, whether or not it exists."""
        for name in "aceg":
            backend.put(f"{folder}/{name}", b"")
        for after, expected in (("b", "ceg"), ("c", "eg"), ("g", ""), ("0", "aceg")):
            found = backend.list(folder, after=f"{folder}/{after}")
            assert sorted(info.key[-1] for info in found) == list(expected)

    def test_list_limit(self, backend: Backend, folder: str) -> None:
        """`limit` bounds what is listed; in an ordered listing it is the first ones."""
        for name in "abcdef":
            backend.put(f"{folder}/{name}", b"")
        for limit in (1, 3, 6, 9):
            found = [info.key[-1] for info in backend.list(folder, limit=limit)]
            assert len(found) == min(limit, 6)
            if backend.capabilities.ordered_list:
                assert found == list("abcdef"[:limit])
        after = [info.key[-1] for info in backend.list(folder, after=f"{folder}/d", limit=1)]
        assert after in (["e"], ["f"])

    def test_list_order(self, backend: Backend, folder: str) -> None:
        """An ordered backend sorts by the bytes of the whole key."""
        names = ["a-", "a.b", "a/b", "a0", "B", "b/a", "é", "z"]
        for name in names:
            backend.put(f"{folder}/{name}", b"")
        found = [info.key for info in backend.list(folder)]
        assert len(found) == len(names)
        if backend.capabilities.ordered_list:
            assert found == sorted(found, key=str.encode)

    def test_long_listing(self, backend: Backend, folder: str) -> None:
        """A listing of more than one page is whole and holds nothing twice."""
        names = {f"{folder}/{number:04d}" for number in range(1100)}
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda key: backend.put(key, b""), names))
        found = [info.key for info in backend.list(folder)]
        assert (len(found), set(found)) == (1100, names)
        assert len(list(backend.list(folder, limit=1050))) == 1050
        backend.delete(sorted(names))
        assert list(backend.list(folder)) == []

    def test_folders(self, backend: Backend, folder: str) -> None:
        """Folders are those directly inside, sorted, without objects."""
        for name in ("b/x", "a/x/y", "a/z", "c"):
            backend.put(f"{folder}/{name}", b"")
        assert list(backend.folders(folder)) == [f"{folder}/a", f"{folder}/b"]

    def test_delete(self, backend: Backend, folder: str) -> None:
        """Deleted objects are gone; absent ones among them are no error; the rest stays."""
        for name in ("a", "b/c", "d"):
            backend.put(f"{folder}/{name}", b"")
        backend.delete([f"{folder}/a", f"{folder}/absent", f"{folder}/b/c"])
        assert [info.key for info in backend.list(folder)] == [f"{folder}/d"]
        backend.delete([])

    def test_create_after_delete(self, backend: Backend, folder: str) -> None:
        """A deleted object's key is free again."""
        backend.put(f"{folder}/a/b", b"1", create=True)
        backend.delete([f"{folder}/a/b"])
        backend.put(f"{folder}/a/b", b"2", create=True)
        assert bytes(backend.get(f"{folder}/a/b").data) == b"2"

    def test_odd_names(self, subject: Subject, folder: str) -> None:
        """Names keep every legal character, and differ where one letter differs."""
        for name in _ODD_NAMES:
            subject.backend.put(f"{folder}/{name}/{name}", name.encode(), create=True)
            assert subject.side_get(f"{folder}/{name}/{name}") == name.encode()
        listed = {info.key for info in subject.backend.list(folder)}
        assert listed == {f"{folder}/{name}/{name}" for name in _ODD_NAMES}
        assert set(subject.backend.folders(folder)) == {f"{folder}/{name}" for name in _ODD_NAMES}

    @pytest.mark.parametrize("key", _BAD_KEYS)
    def test_bad_keys(self, backend: Backend, key: str) -> None:
        """A key that some backend could not hold is refused by all, before anything is sent."""
        for call in (backend.get, backend.head, lambda key: backend.put(key, b""), lambda key: backend.delete([key])):
            with pytest.raises(InvalidInput):
                call(key)

    def test_versions_are_declared(self, backend: Backend, folder: str) -> None:
        """Where object versions are not kept, asking for one is invalid input."""
        backend.put(f"{folder}/a", b"")
        if not backend.capabilities.object_versions:
            with pytest.raises(InvalidInput):
                backend.get(f"{folder}/a", s3_version_id="some")

    def test_threads(self, backend: Backend, folder: str) -> None:
        """Calls of many threads do not disturb each other."""

        def round_trip(number: int) -> bool:
            backend.put(f"{folder}/{number}", b"%d" % number, create=True)
            return bytes(backend.get(f"{folder}/{number}").data) == b"%d" % number

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(round_trip, range(64)))

    def test_location_holds_no_secret(self, backend: Backend) -> None:
        """The name of a container is fit for messages."""
        assert "://" in backend.location
        assert "@" not in backend.location
