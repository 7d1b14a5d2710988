"""Filling packs and sending them."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import frames, packs
from mlflow_versioned_store.content.codecs import RAW
from mlflow_versioned_store.content.indexes import Placed
from mlflow_versioned_store.content.packing import PACK_BYTES, Encoded, PackWriter
from mlflow_versioned_store.content.workers import memory
from mlflow_versioned_store.errors import AccessDenied
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import BLAKE3, MIB, domain_of, noise


def append(writer: PackWriter, seed: int, size: int = MIB) -> Placed:
    """Append a chunk of random bytes."""
    data = noise(seed, size)
    placed = Placed(BLAKE3(data), seed, size)
    writer.append(placed, Encoded(RAW, data))
    return placed


def test_packs_are_about_16_mib_and_hold_what_was_appended() -> None:
    """Full packs are sent one by one; each checks against its name and has every frame where its chunk was noted."""
    backend = open_memory("packing")
    writer = PackWriter(domain_of(backend))
    placed = [append(writer, seed) for seed in range(40)]
    names = writer.finish()
    assert len(names) == 3
    assert all(name.size < PACK_BYTES + 64_000 for name in names)
    assert {info.key: info.size for info in backend.list("")} == {name.key: name.size for name in names}
    assert writer.bytes_sent == sum(name.size for name in names)
    for name in names:
        packs.decode_pack(name, backend.get(name.key).data, BLAKE3)
    for seed, one in enumerate(placed):
        place = one.place()
        data = backend.get(place.pack.key, start=place.offset, stop=place.offset + place.size).data
        header, chunk, end = frames.decode(data, 0, BLAKE3)
        assert (bytes(chunk), end, header.tail) == (noise(seed, MIB), place.size, seed)


def test_nothing_appended_is_no_pack() -> None:
    """No empty pack is ever written, however often it is finished."""
    backend = open_memory("packing")
    writer = PackWriter(domain_of(backend))
    assert writer.finish() == []
    append(writer, 1)
    assert writer.finish() == writer.finish()
    assert len(list(backend.list(""))) == 1


def test_a_chunk_larger_than_a_pack_may_be_has_one_of_its_own() -> None:
    """The limit is where a pack is closed, not a limit of a chunk."""
    writer = PackWriter(domain_of(open_memory("packing")))
    append(writer, 1, 100)
    append(writer, 2, PACK_BYTES)
    append(writer, 3, 100)
    assert len(writer.finish()) == 3


def test_a_failed_pack_fails_the_upload_and_gives_back_its_memory() -> None:
    """A pack that cannot be written is an error at the next pack or at the end, and blocks nobody after that."""
    faulty = FaultyBackend(open_memory("packing"))
    faulty.when(lambda call: call.verb == "put", Fault.DENY)
    writer = PackWriter(domain_of(faulty))
    append(writer, 1)
    with pytest.raises(AccessDenied):
        writer.finish()
    with pytest.raises(AccessDenied):
        _ = [append(writer, seed) for seed in range(200)]
    with pytest.raises(AccessDenied):
        writer.finish()
    transfers = memory().transfers
    transfers.give(transfers.take(transfers.total))
