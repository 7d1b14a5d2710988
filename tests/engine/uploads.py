"""What is uploaded when something goes wrong, and what must be there afterwards."""

from __future__ import annotations

import random

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.testing.clients import client

ROOT = f"1/{'a' * 32}/artifacts"
CONTEXT = Context()


def noise(seed: int, size: int) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def table(seed: int, rows: int) -> bytes:
    """Return a table as text, about 30 bytes a row."""
    values = random.Random(seed)
    return b"".join(b"%d,%d,%.6f\n" % (row, values.getrandbits(40), values.random()) for row in range(rows))


def edited(data: bytes) -> bytes:
    """Return `data` with small changes all over, so that most chunks become deltas."""
    changed = bytearray(data)
    for at in range(1000, len(data), 40_000):
        changed[at] = 33
    return bytes(changed)


OLD = {"small": b"old", "large": table(1, 30_000), "kept/other": noise(2, 90_000)}
INLINE = {"small": b"new", "fresh/one": b"one", "fresh/two": b"two"}
PACKED = {"large": edited(OLD["large"]), "small": b"new", "fresh/big": noise(3, 700_000)}


def items(contents: dict[str, bytes]) -> list[Item]:
    """Return what to upload for `contents`."""
    return [Item(path, data) for path, data in contents.items()]


def contents_of(container: Backend) -> dict[str, bytes]:
    """Return everything current, as a client reads it that comes new."""
    root = client(container).root(ROOT)
    return {version.path: root.read(version) for version in root.walk()}


def check_old_versions(container: Backend) -> None:
    """Check that version 1 of everything old still reads."""
    root = client(container).root(ROOT)
    assert {path: root.read(root.versions(path)[0]) for path in OLD} == OLD


def numbers(container: Backend, contents: dict[str, bytes]) -> dict[str, int]:
    """Return how many versions each path has."""
    root = client(container).root(ROOT)
    return {path: len(root.versions(path)) for path in contents}


def one_new_version(contents: dict[str, bytes]) -> dict[str, int]:
    """Return how many versions each path has after one upload of `contents`."""
    return {path: 2 if path in OLD else 1 for path in contents}
