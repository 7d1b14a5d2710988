"""The two names of a chunk: its digest (what it is) and its tail fingerprint (where in some document it sits)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import xxhash

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.digests import Hasher, hasher_named

Digest: TypeAlias = Callable[[Buffer], bytes]

DIGEST_BYTES = 32
TAIL_BYTES = 64


def digest_function(name: str) -> Digest:
    """Return the function that names chunks and packs in a store created with `digest=name`.

    Raises:
        Unsupported: This release does not know the algorithm.
    """
    hasher = hasher_named(name)
    return lambda data: hasher(data).digest()


def tail_fingerprint(chunk: Buffer) -> int:
    """Return the 64-bit XXH3 hash of the last 64 bytes of a chunk (of all of it where it is shorter)."""
    return xxhash.xxh3_64_intdigest(memoryview(chunk)[-TAIL_BYTES:])


def tree_hasher(name: str) -> Hasher:
    """Return a hasher for a file's tree digest: that over the digests of its chunks in order, all bound by it."""
    return hasher_named(name)()
