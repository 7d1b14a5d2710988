"""What an upload leaves for later ones: its index, and which of it."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, Buffer, ObjectInfo
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content import indexes, packing, publishing
from mlflow_versioned_store.content.indexes import FileRows, Placed
from mlflow_versioned_store.content.known import Known
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.packs import PackRef
from mlflow_versioned_store.content.publishing import Document, publish
from mlflow_versioned_store.content.segments import Scanned
from mlflow_versioned_store.content.upload import upload
from mlflow_versioned_store.errors import AccessDenied, LocalStorageFailed, Unavailable
from tests.content.making import MIB, PACK, domain_of, noise, read, store

OTHER = IndexName("all", "ee" * 32)


@pytest.fixture
def backend() -> Backend:
    """An empty store in memory."""
    return open_memory("publishing")


def row(number: int) -> Placed:
    """Return a chunk of 10 bytes."""
    return Placed(number.to_bytes(32, "big"), number, 10, PackRef(PACK), 24 + number * 60, 60)


def document_of(*files: Sequence[bool], whole: bool = True) -> Document:
    """Return a document of files, each chunk of which is new or not."""
    document = Document()
    number = 0
    for file in files:
        source = Scanned(10 * len(file), "ab" * 32 if whole else "")
        for new in file:
            document.add(row(number), source, new=new)
            number += 1
    return document


def known_with(*used: IndexName) -> Known:
    """Return what is known by an upload that found chunks in these indexes."""
    known = Known(domain_of(open_memory("publishing")))
    known.used.update(dict.fromkeys(used))
    return known


def numbers(document: Document, known: Known) -> list[int]:
    """Return which chunks the index of a document would have."""
    index = document.index(known)
    return [] if index is None else [placed.tail for placed in index.rows]


def test_a_new_document_is_written_down_whole() -> None:
    """All chunks, where each file ends, and which large file is all there."""
    document = document_of([True] * 100, [True] * 3)
    index = document.index(known_with())
    assert index is not None
    assert len(index.rows) == 103
    assert [at for at, last in enumerate(index.follows) if last] == [99, 102]
    assert index.files == [FileRows(0, 100, 1000, "ab" * 32)]
    assert document.raw == 1030


def test_nothing_new_is_nothing_to_write() -> None:
    """The indexes that know it all are named instead."""
    known = known_with(OTHER)
    domain = domain_of(open_memory("publishing"))
    assert publish(domain, document_of([False] * 10), known, 100) == ([OTHER], [])
    assert list(domain.backend.list("")) == []


def test_few_new_chunks_are_written_with_their_neighbours() -> None:
    """The rest is left to the index that knows it; both are named, the new one first."""
    new = [at in (3, 20) for at in range(40)]
    known = known_with(OTHER)
    assert numbers(document_of(new), known) == [2, 3, 4, 19, 20, 21]
    domain = domain_of(open_memory("publishing"))
    names, writes = publish(domain, document_of(new), known, 100)
    for write in writes:
        write.result()
    assert names[1:] == [OTHER]
    assert len(indexes.decode(domain.backend.get(names[0].key).data).rows) == 6
    assert [name for name, _ in domain.recent.newest()] == names[:1]


def test_many_new_chunks_or_many_indexes_make_a_whole_index() -> None:
    """A document is never spread over more than a few indexes."""
    known = known_with(OTHER)
    assert len(numbers(document_of([at % 4 == 0 for at in range(40)]), known)) == 40
    assert known.used == {}
    several = known_with(*(IndexName("all", f"{number:064x}") for number in range(4)))
    assert len(numbers(document_of([at == 3 for at in range(40)]), several)) == 40
    assert len(numbers(document_of([at == 3 for at in range(40)]), known_with())) == 40


def test_a_file_that_was_not_read_to_its_end_has_no_digest() -> None:
    """Its rows are worth keeping; it is never taken for a whole file."""
    index = document_of([True] * 100, whole=False).index(known_with())
    assert index is not None
    assert index.files == []
    document = Document()
    source = Scanned(1010, "ab" * 32)
    for number in range(1, 101):  # its first chunk lies in the document before
        document.add(row(number), source, new=True)
    index = document.index(known_with())
    assert index is not None
    assert index.files == []


class Interrupted:
    """A stream that is interrupted once enough of what it gave is durable.

    Args:
        data: What it gives, all but the last 8 MiB.
        enough: Bytes.
        error: What the interruption is.
    """

    def __init__(self, data: bytes, enough: int, error: BaseException):
        self._data = io.BytesIO(data[: -8 * MIB])
        self._missing = enough
        self._error = error
        self._is_durable = threading.Event()

    def read(self, size: int, /) -> bytes:
        """Return what follows, or be interrupted."""
        data = self._data.read(size)
        if not data:
            self._is_durable.wait()
            raise self._error
        return data

    def stored(self, size: int) -> None:
        """Count what is durable."""
        self._missing -= size
        if self._missing <= 0:
            self._is_durable.set()


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let packs be full at 1 MiB."""
    monkeypatch.setattr(packing, "PACK_BYTES", MIB)


def break_off(backend: Backend, data: bytes, error: BaseException) -> None:
    """Upload `data` and let that end by an error once 8 MiB of it are durable."""
    source = Interrupted(data, 8 * MIB, error)
    with pytest.raises(type(error)) as caught:
        upload(domain_of(backend), [source], on_stored=source.stored)
    assert caught.value is error


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), LocalStorageFailed("The disk is gone.")])
def test_a_run_again_finds_what_an_interrupted_one_stored(backend: Backend, error: BaseException) -> None:
    """What was durable by then is not sent again, though no commit names it."""
    data = noise("interrupted", 48 * MIB)
    break_off(backend, data, error)
    uploaded = store(domain_of(backend), data)
    assert uploaded.bytes_sent < 41 * MIB
    assert read(backend, uploaded) == data


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("error", [Unavailable("It does not answer."), AccessDenied("It may not be written.")])
def test_where_the_store_fails_nothing_more_is_tried(backend: Backend, error: BaseException) -> None:
    """Neither index nor hooks are sent to a store that does not answer, or refuses."""
    break_off(backend, noise("unreachable", 48 * MIB), error)
    assert {keys.kind(info.key) for info in backend.list("")} == {"packs"}


@pytest.mark.usefixtures("small_packs")
def test_an_interruption_is_not_held_up(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes no index keeps nobody from ending; that the index fails at last is of no interest."""
    ended = threading.Event()

    class Stuck(WrapperBackend):
        def put_named(self, key: str, data: Buffer | Sequence[Buffer]) -> ObjectInfo:
            if keys.kind(key) != "packs":
                ended.wait()
                raise Unavailable("It does not answer.")
            return super().put_named(key, data)

    monkeypatch.setattr(publishing, "HELP_SECONDS", 0.2)
    break_off(Stuck(backend), noise("stuck", 48 * MIB), KeyboardInterrupt())
    ended.set()


@pytest.mark.usefixtures("small_packs")
def test_nothing_is_tried_while_the_process_ends(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no thread can be had, and the attempt would take as long as it takes."""
    monkeypatch.setattr(threading, "main_thread", threading.Thread)
    break_off(backend, noise("late", 48 * MIB), KeyboardInterrupt())
    assert {keys.kind(info.key) for info in backend.list("")} == {"packs"}
