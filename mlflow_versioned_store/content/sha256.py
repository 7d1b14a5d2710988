"""SHA-256 that can be gone on with later: hashlib's own code, with its state (the working hash value) in the open.

hashlib keeps the state to itself, so OpenSSL is called directly, in the library that hashlib is linked to. Where that
cannot be, or does not compute what hashlib does, hashlib hashes and no state is told.

Source: FIPS 180-4, 6.2; `SHA256_CTX` of OpenSSL's `openssl/sha.h`, unchanged since its release 0.9.8.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
import sys
from typing import Any, NamedTuple

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.digests import Hasher

BLOCK_BYTES = 64


class State(NamedTuple):
    """What hashing the first bytes of something came to.

    Args:
        position: How many bytes those are; a multiple of 64.
        value: The hash value after them: eight big-endian words.
    """

    position: int
    value: bytes


class Sha256(Hasher):
    """A SHA-256 whose state is not known."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, data: Buffer, /) -> None:
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()

    def hexdigest(self) -> str:
        return self.digest().hex()

    def state(self) -> State | None:
        """Return the state after the last whole block; None where it cannot be had."""
        return None


def sha256(after: State | None = None) -> Sha256:
    """Return a hasher of what follows a state, or of something from its beginning on."""
    library = _library()
    if library is None:
        assert after is None, "a state is only gone on from where states can be had"
        return Sha256()
    return _OpenSslSha256(library, after)


def is_resumable() -> bool:
    """Tell whether states can be had and gone on from."""
    return _library() is not None


class _Context(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_uint32 * 8),
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("rest", ctypes.c_uint32 * 16),
        ("rest_bytes", ctypes.c_uint),
        ("digest_bytes", ctypes.c_uint),
    )


class _OpenSslSha256(Sha256):
    def __init__(self, library: ctypes.CDLL, after: State | None):
        self._library = library
        self._context = _Context()
        library.SHA256_Init(ctypes.byref(self._context))
        if after is not None:
            self._context.value[:] = struct.unpack(">8I", after.value)
            self._context.bits_high, self._context.bits_low = divmod(8 * after.position, 1 << 32)

    def update(self, data: Buffer, /) -> None:
        view = memoryview(data).cast("B")
        if not view:
            return
        passed: Any = data
        if not isinstance(data, bytes):
            # The address of what cannot be written to is not told, but for that of a `bytes`.
            passed = bytes(view) if view.readonly else ctypes.byref(ctypes.c_char.from_buffer(view))
        self._library.SHA256_Update(ctypes.byref(self._context), passed, len(view))

    def digest(self) -> bytes:
        context, digest = _Context.from_buffer_copy(self._context), ctypes.create_string_buffer(32)
        self._library.SHA256_Final(digest, ctypes.byref(context))
        return digest.raw

    def state(self) -> State:
        bits = self._context.bits_high << 32 | self._context.bits_low
        return State(bits // 8 // BLOCK_BYTES * BLOCK_BYTES, struct.pack(">8I", *self._context.value))


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return OpenSSL, once it was seen to compute what hashlib does, also when gone on with."""
    try:
        library = ctypes.CDLL(_file_of_openssl())
        pointer = ctypes.POINTER(_Context)
        library.SHA256_Init.argtypes = (pointer,)
        library.SHA256_Update.argtypes = (pointer, ctypes.c_void_p, ctypes.c_size_t)
        library.SHA256_Final.argtypes = (ctypes.c_char_p, pointer)
    except (ImportError, OSError, AttributeError, TypeError):
        return None
    sample = bytes(range(200))
    first = _OpenSslSha256(library, None)
    first.update(sample[:150])
    second = _OpenSslSha256(library, first.state())
    second.update(sample[first.state().position :])
    return library if second.digest() == hashlib.sha256(sample).digest() else None


def _file_of_openssl() -> str:
    import _hashlib

    # Elsewhere, what a library is linked to is found through it.
    return "libcrypto-3.dll" if sys.platform == "win32" else str(_hashlib.__file__)
