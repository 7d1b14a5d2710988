"""What two versions share, against the chunks they are made of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.counting import CountingBackend, counts_of
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content.sharing import Sharing
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.testing.clients import client, new_store
from tests.content.making import MIB, noise

RUNS = (f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts")


def stored(root: ArtifactRoot, data: bytes, path: str = "file") -> None:
    """Store some bytes as the next version of a path."""
    root.upload([Item(path, data)], context=Context())


def sharing(root: ArtifactRoot, new: int, old: int) -> Sharing | None:
    """Return what two versions of the one file share."""
    versions = root.versions("file")
    return root.sharing(versions[new - 1], root, versions[old - 1])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3 * MIB), st.integers(1, MIB))
def test_bytes_put_in_are_what_is_not_shared(at: int, size: int) -> None:
    """All but the chunks around bytes that were put in is shared, and about those bytes are added."""
    root = new_store(open_memory(f"sharing-{at}-{size}")).root(RUNS[0])
    data = noise("shared", 3 * MIB)
    stored(root, data)
    stored(root, data[:at] + noise("put in", size) + data[at:])
    found = sharing(root, 2, 1)
    assert found is not None
    assert 3 * MIB - (1 << 20) <= found.shared <= 3 * MIB
    assert size <= found.added <= size + (1 << 20)


def test_deltas_share_no_chunks_but_add_little() -> None:
    """Chunks that changed a little are not shared, and the store keeps little more for them."""
    root = new_store(open_memory("sharing")).root(RUNS[0])
    data = bytearray(noise("deltas", 2 * MIB))
    stored(root, bytes(data))
    for at in range(0, len(data), 20_000):
        data[at] ^= 1
    stored(root, bytes(data))
    found = sharing(root, 2, 1)
    assert found is not None
    assert found.shared < MIB // 4
    assert found.added < MIB // 4
    back = sharing(root, 1, 2)
    # The older one lies at the base of the newer one's deltas.
    assert back is not None
    assert back.added == 0


def test_versions_of_other_roots_and_paths_share_too() -> None:
    """The same bytes, logged by another run under another name, lie in the same chunks."""
    store = new_store(open_memory("sharing"))
    data = noise("runs", 2 * MIB)
    stored(store.root(RUNS[0]), data)
    stored(store.root(RUNS[1]), data, "elsewhere")
    (a,), (b,) = store.root(RUNS[0]).versions("file"), store.root(RUNS[1]).versions("elsewhere")
    assert store.root(RUNS[1]).sharing(b, store.root(RUNS[0]), a) == Sharing(2 * MIB, 0)


def test_versions_inside_commits_share_nothing_that_is_known() -> None:
    """Of small versions, which lie inside commits, nothing is told."""
    root = new_store(open_memory("sharing")).root(RUNS[0])
    stored(root, b"a")
    stored(root, b"ab")
    assert sharing(root, 2, 1) is None


@pytest.mark.parametrize("size", [4 * MIB, 40 * MIB])
def test_nothing_of_the_versions_is_read(size: int) -> None:
    """What versions share is known from commits and directories alone: a few small requests, whatever the size."""
    data = noise("size", size)
    store = new_store(open_memory("sharing"))
    stored(store.root(RUNS[0]), data)
    stored(store.root(RUNS[0]), data[: size // 2] + b"in the middle" + data[size // 2 :])
    backend = CountingBackend(store.backend)
    found = sharing(client(backend).root(RUNS[0]), 2, 1)
    assert found is not None
    assert found.shared > size - MIB
    assert counts_of(backend).bytes_down < 200_000
