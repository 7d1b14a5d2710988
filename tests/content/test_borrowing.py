"""Objects that lie in a store lend their chunks: later uploads store what is new, and every byte is checked."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import borrowing, cache
from mlflow_versioned_store.content.borrowing import Borrowing
from mlflow_versioned_store.content.clock import GRACE_SECONDS
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.locations import Content
from mlflow_versioned_store.content.packs import FramePlace, decode_pack
from mlflow_versioned_store.errors import Damaged, ObjectMissing, Unavailable
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import (
    BLAKE3,
    KIB,
    MIB,
    content_of,
    domain_of,
    edited,
    indexes_of,
    lend,
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

KEY = "1/run/artifacts/big"
DATA = noise("lent", 3 * MIB)
TABLE = rows(1, 60_000)


@pytest.fixture(params=["memory", "files"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A store."""
    return open_memory("borrowing") if request.param == "memory" else FilesBackend(str(tmp_path))


def added(backend: Backend, data: bytes) -> int:
    """Store bytes, read them back, and return how many bytes that added."""
    before = stored_bytes(backend)
    uploaded = store(domain_of(backend), data)
    assert read(backend, uploaded) == data
    return stored_bytes(backend) - before


def test_the_same_bytes_are_not_stored_again(backend: Backend) -> None:
    """Nothing is stored for a whole object that was read, and what names it needs the object."""
    lend(domain_of(backend), KEY, DATA)
    assert added(backend, DATA) == 0
    uploaded = store(domain_of(backend), DATA)
    content = content_of(uploaded)
    assert [lender.key for lender in content.lenders] == [KEY]
    assert not content.leans
    # The frames of an object lie in a row.
    assert len(wanted(uploaded).location.extents) == 1


def test_lending_costs_little(backend: Backend) -> None:
    """A few bytes a chunk, in one pack, one index and a hook."""
    backend.put(KEY, DATA)
    before = stored_bytes(backend)
    content = lend(domain_of(backend), KEY, DATA)
    assert (len(content.packs), len(content.indexes)) == (1, 1)
    assert stored_bytes(backend) - before < len(DATA) / 400


def test_an_edited_version_stores_what_is_new(backend: Backend) -> None:
    """New chunks of noise are stored, and changed rows of a table as deltas against what is borrowed."""
    lend(domain_of(backend), KEY, DATA)
    assert added(backend, DATA[:MIB] + noise("new", 100 * KIB) + DATA[MIB:]) < 200 * KIB
    lend(domain_of(backend), "table.csv", text(TABLE))
    plain = open_memory("plain")
    store(domain_of(plain), text(TABLE))
    changed = text(edited(TABLE, 2))
    assert added(backend, changed) < 1.1 * added(plain, changed)


def test_versions_go_on_from_what_is_borrowed(backend: Backend) -> None:
    """Changes of changes of a borrowed file lean on it too, and each is read as it was."""
    content = lend(domain_of(backend), KEY, text(TABLE))
    hints, lines, uploads = content.indexes, TABLE, []
    for generation in range(6):
        lines = edited(lines, generation)
        uploads.append((text(lines), store(domain_of(backend), text(lines), hints=hints)))
        hints = indexes_of(uploads[-1][1])
    for data, uploaded in uploads:
        assert read(backend, uploaded) == data
        assert [lender.key for lender in content_of(uploaded).lenders] == [KEY]
        file = wanted(uploaded)
        assert read_range(reader(backend), file, 1_000_000, 1_100_000) == data[1_000_000:1_100_000]
    assert sum(uploaded.bytes_sent for _, uploaded in uploads) < len(text(TABLE)) / 10


@given(cuts=st.lists(st.integers(0, 3 * MIB), min_size=2, max_size=6), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_whatever_is_rearranged_reads_back(cuts: list[int], seed: int) -> None:
    """Parts of a borrowed file in any order, with others between them, come back byte for byte, also in parts."""
    backend = open_memory(f"rearranged-{seed}-{cuts}")
    lend(domain_of(backend), KEY, DATA)
    parts = [DATA[min(pair) : max(pair)] for pair in pairwise(cuts)]
    data = noise(seed, 20_000).join(parts) + noise(seed + 1, 300 * KIB)
    uploaded = store(domain_of(backend), data)
    assert read(backend, uploaded) == data
    middle = len(data) // 2
    assert read_range(reader(backend), wanted(uploaded), middle, middle + 70_000) == data[middle : middle + 70_000]


@pytest.mark.parametrize("change", [b"short", DATA[::-1]], ids=["shorter", "other bytes"])
def test_an_object_that_changed_is_an_error_which_names_it(change: bytes) -> None:
    """Bytes that are not those that were read are never returned; once they are back, they are."""
    backend = open_memory("changed")
    lend(domain_of(backend), KEY, DATA)
    uploaded = store(domain_of(backend), DATA)
    backend.put(KEY, change)
    with pytest.raises(Damaged, match=f"adopted object {KEY}") as caught:
        read(backend, uploaded)
    assert caught.value.key == KEY
    with pytest.raises(Damaged, match=f"adopted object {KEY}"):
        read_range(reader(backend), wanted(uploaded), 5, 6)
    backend.put(KEY, DATA)
    assert read(backend, uploaded) == DATA


def test_a_commit_that_hides_what_it_borrows_is_damage() -> None:
    """Frames without bytes are never taken for chunks."""
    backend = open_memory("hidden")
    lend(domain_of(backend), KEY, DATA)
    file = wanted(store(domain_of(backend), DATA))
    file = replace(file, content=replace(file.content, lenders=()))
    with pytest.raises(Damaged, match="borrows"):
        reader(backend).read([file])


def test_an_object_that_is_gone_is_an_error_which_names_it() -> None:
    """So is one that somebody deleted."""
    backend = open_memory("gone")
    lend(domain_of(backend), KEY, DATA)
    uploaded = store(domain_of(backend), DATA)
    backend.delete([KEY])
    with pytest.raises(ObjectMissing, match=f"adopted object {KEY}") as caught:
        read(backend, uploaded)
    assert caught.value.key == KEY


def test_bytes_that_were_hurt_on_their_way_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One corrupt answer is no error, and does not stay in the cache."""
    monkeypatch.setattr(cache, "default", lambda: cache.Cache(str(tmp_path)))
    backend = FaultyBackend(open_memory("hurt"))
    lend(domain_of(backend), KEY, DATA)
    uploaded = store(domain_of(backend), DATA)
    first = iter([True])
    backend.when(lambda call: call.verb == "get" and call.key == KEY and next(first, False), Fault.CORRUPT)
    assert read(backend, uploaded) == DATA
    assert read(backend, uploaded) == DATA


def test_nothing_leans_on_an_object_that_changed_before() -> None:
    """What a writer does not find as it was, it stores."""
    backend = open_memory("before")
    domain = domain_of(backend)
    lend(domain, KEY, DATA)
    assert added(backend, DATA) == 0
    backend.put(KEY, DATA[::-1])
    assert added(backend, DATA) > len(DATA)
    # The process that saw it a moment ago looks again.
    assert not content_of(store(domain, DATA)).lenders


def test_an_object_that_changes_during_an_upload_is_found_out_before_the_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last look comes when all is stored."""
    backend = open_memory("during")
    domain = domain_of(backend)
    lend(domain, KEY, DATA)
    unusable = domain.sightings.unusable
    looks = []

    def changing(holders: set[object]) -> set[object]:
        looks.append(holders)
        if len(looks) == 2:
            backend.put(KEY, DATA[::-1])
        return unusable(holders)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(domain.sightings, "unusable", changing)
    with pytest.raises(Unavailable, match="went meanwhile; log it again"):
        store(domain, DATA)
    assert len(looks) == 2


def test_domains_do_not_borrow_from_each_other() -> None:
    """What was read for one domain is not known in another."""
    backend = open_memory("domains")
    lend(domain_of(backend), KEY, DATA)
    other = replace(domain_of(backend), name="other")
    assert store(other, DATA).bytes_sent > len(DATA)


def test_long_objects_have_several_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read is published now and then, and hooks lead to all of it."""
    monkeypatch.setattr(borrowing, "_INDEXED_BYTES", 16 * MIB)
    backend = open_memory("long")
    data = noise("long", 40 * MIB)
    content = lend(domain_of(backend), KEY, data)
    assert (len(content.indexes), len(content.packs)) == (3, 3)
    assert store(domain_of(backend), data).bytes_sent == 0


def test_what_took_too_long_lends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packs may be collected before the commit names them."""
    backend = open_memory("slow")
    now = [0.0]
    monkeypatch.setattr(borrowing, "elapsed", lambda: now[0])
    lending = Borrowing(domain_of(backend))
    backend.put(KEY, DATA)
    lending.read(Lender(KEY, "", len(DATA), backend.head(KEY).e_tag or ""), io.BytesIO(DATA))
    now[0] += GRACE_SECONDS / 2 + 1
    assert lending.finish() == Content()


def test_a_pack_of_borrowed_chunks_says_where_they_are() -> None:
    """Its directory names the object, and each frame where in it the chunk begins: enough to read it all by hand."""
    backend = open_memory("pack")
    content = lend(domain_of(backend), KEY, DATA)
    (pack,), (lender,) = content.packs, content.lenders
    data = bytes(backend.get(pack.key).data)
    directory = decode_pack(pack, data, BLAKE3)
    whole = []
    for at, base in directory.bases.items():
        offset = directory.offsets[at]
        assert base == FramePlace(lender, base.offset, directory.raws[at])
        assert data[offset] == 3
        assert int.from_bytes(data[offset + 53 : offset + 61], "little") == base.offset
        whole.append(DATA[base.offset : base.offset + base.size])
    assert hashlib.sha256(b"".join(whole)).digest() == hashlib.sha256(DATA).digest()
