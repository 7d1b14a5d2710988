"""SHA-256 with its state in the open: hashlib's digests, however it is interrupted."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content import sha256 as module
from mlflow_versioned_store.content.sha256 import BLOCK_BYTES, State, is_resumable, sha256

# Eight words of 32 bits.
STATE_BYTES = 32


@pytest.fixture
def fresh() -> Iterator[None]:
    """Look for OpenSSL anew, before and after the test."""
    module._library.cache_clear()
    yield
    module._library.cache_clear()


def test_states_can_be_had_here() -> None:
    """Where the tests run hashlib is linked to OpenSSL, so that none of them passes without trying anything."""
    assert is_resumable()


@given(pieces=st.lists(st.binary(max_size=200), max_size=8), rest=st.binary(max_size=200))
def test_hashing_goes_on_from_a_state(pieces: list[bytes], rest: bytes) -> None:
    """A state and the bytes behind its position give the digest of all bytes."""
    begun = sha256()
    for piece in pieces:
        begun.update(piece)
    whole = b"".join(pieces) + rest
    state = begun.state()
    assert state is not None
    assert (state.position, len(state.value)) == (len(whole[: len(whole) - len(rest)]) // BLOCK_BYTES * 64, STATE_BYTES)
    resumed = sha256(state)
    resumed.update(whole[state.position :])
    begun.update(rest)
    assert begun.digest() == resumed.digest() == hashlib.sha256(whole).digest()
    assert begun.digest() == resumed.digest(), "asking changes nothing"
    assert resumed.hexdigest() == resumed.digest().hex()


def test_positions_beyond_32_bits() -> None:
    """The number of bits before a state, which the digest depends on, is carried in both words of it."""
    state = State(BLOCK_BYTES << 40, bytes(STATE_BYTES))
    assert sha256(state).state() == state


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data))], ids=["b", "ba", "mv", "writable"]
)
def test_every_kind_of_buffer(kind: Callable[[bytes], bytes]) -> None:
    """Buffers are hashed, whether they can be written to or not, and are let go."""
    data = kind(b"abc" * 100)
    hashing = sha256()
    hashing.update(data)
    assert hashing.digest() == hashlib.sha256(b"abc" * 100).digest()
    if isinstance(data, bytearray):
        data.append(0)


def test_without_openssl_hashlib_hashes(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not found the digests are the same, and no state is told."""
    monkeypatch.setattr(module, "_file_of_openssl", lambda: "/nowhere/libcrypto.so")
    assert not is_resumable()
    hashing = sha256()
    hashing.update(b"abc")
    assert hashing.digest() == hashlib.sha256(b"abc").digest()
    assert hashing.state() is None


def test_a_library_that_computes_something_else_is_not_used(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded has to agree with hashlib first."""
    real = ctypes.CDLL

    class Wrong:
        """A library that starts from another value."""

        def __init__(self, name: str):
            library = real(name)
            self.SHA256_Init = library.SHA224_Init
            self.SHA256_Update, self.SHA256_Final = library.SHA256_Update, library.SHA256_Final

    monkeypatch.setattr(ctypes, "CDLL", Wrong)
    assert not is_resumable()
