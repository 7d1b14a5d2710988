"""The two names of a chunk: its digest (what it is) and its tail fingerprint (where in some document it sits)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol, TypeAlias

import blake3
import xxhash

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.errors import Unsupported

Digest: TypeAlias = Callable[[Buffer], bytes]

DIGEST_BYTES = 32
TAIL_BYTES = 64


class Hasher(Protocol):
    """An incremental hash."""

    def update(self, data: bytes, /) -> object:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was taken in, hex."""


def digest_function(name: str) -> Digest:
    """Return the function that names chunks, packs and records in a store created with `digest=name`.

    Raises:
        Unsupported: This release does not know the algorithm.
    """
    if name == "blake3":
        return _blake3
    if name == "sha256":
        return _sha256
    raise Unsupported(f"The store uses the digest {name!r}; this release knows blake3 and sha256. Use a newer release.")


def tail_fingerprint(chunk: Buffer) -> int:
    """Return the 64-bit XXH3 hash of the last 64 bytes of a chunk (of all of it where it is shorter)."""
    return xxhash.xxh3_64_intdigest(memoryview(chunk)[-TAIL_BYTES:])


def tree_hasher(name: str) -> Hasher:
    """Return a hasher for a file's tree digest: that over the digests of its chunks in order, all bound by it."""
    return blake3.blake3() if name == "blake3" else hashlib.sha256()


def _blake3(data: Buffer) -> bytes:
    return blake3.blake3(data).digest()


def _sha256(data: Buffer) -> bytes:
    return hashlib.sha256(data).digest()
