"""The algorithms that a store may name bytes by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Protocol

from blake3 import blake3

from mlflow_versioned_store.errors import Unsupported


class Hasher(Protocol):
    """An incremental hash."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """Return the digest of what was taken in."""

    def hexdigest(self) -> str:
        """Return the digest of what was taken in, hex."""


_HASHERS: Mapping[str, Callable[..., Hasher]] = {"blake3": blake3, "sha256": hashlib.sha256}


def hasher_named(name: str) -> Callable[..., Hasher]:
    """Return what makes a hasher, of the bytes it is given if any, in a store created with `digest=name`.

    Raises:
        Unsupported: This release does not know the algorithm.
    """
    hasher = _HASHERS.get(name)
    if hasher is None:
        known = " and ".join(_HASHERS)
        raise Unsupported(f"The store names bytes by {name!r}; this release knows {known}. Use a newer release.")
    return hasher
