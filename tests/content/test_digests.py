"""The names of chunks, pinned for ever."""

from __future__ import annotations

import hashlib

import pytest

from mlflow_versioned_store.content.digests import digest_function, tail_fingerprint, tree_hasher
from mlflow_versioned_store.errors import Unsupported

BLAKE3_EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
BLAKE3_ABC = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


def test_blake3_is_blake3() -> None:
    """The published vectors of BLAKE3 hold."""
    assert digest_function("blake3")(b"").hex() == BLAKE3_EMPTY
    assert digest_function("blake3")(b"abc").hex() == BLAKE3_ABC


def test_sha256_is_sha256() -> None:
    """A store with `digest=sha256` names things as `sha256sum` does."""
    assert digest_function("sha256")(memoryview(b"abc")).hex() == hashlib.sha256(b"abc").hexdigest()


def test_an_unknown_digest_is_refused_by_name() -> None:
    """A store of a newer release is not read with the wrong digest."""
    with pytest.raises(Unsupported, match="'md5'"):
        digest_function("md5")


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (b"", 0x2D06800538D394C2),
        (b"a", 0xE6C632B61E964E1F),
        (bytes(range(64)), 0x6187EB9089B0ED55),
        (b"q" * 1000, 0x65195FC0DE232376),
    ],
    ids=["empty", "byte", "64 bytes", "long"],
)
def test_tail_fingerprints_never_change(chunk: bytes, expected: int) -> None:
    """Hooks in stores are named by them."""
    assert tail_fingerprint(chunk) == expected


def test_only_the_last_64_bytes_make_the_fingerprint() -> None:
    """Chunks that end alike share it, whatever comes before; one other byte among the last 64 changes it."""
    end = bytes(range(64))
    assert tail_fingerprint(b"one" + end) == tail_fingerprint(memoryview(b"another" + end)) == tail_fingerprint(end)
    assert tail_fingerprint(end) != tail_fingerprint(b"\xff" + end[1:])
    assert tail_fingerprint(end) != tail_fingerprint(end[:-1] + b"\xff")


@pytest.mark.parametrize("name", ["blake3", "sha256"])
def test_a_tree_digest_is_that_over_the_digests_of_the_chunks(name: str) -> None:
    """Whoever has the digests of all chunks can check the order and number of them."""
    digest = digest_function(name)
    chunks = [digest(b"one"), digest(b"two"), digest(b"three")]
    hasher = tree_hasher(name)
    for chunk in chunks:
        hasher.update(chunk)
    assert hasher.hexdigest() == digest(b"".join(chunks)).hex()
