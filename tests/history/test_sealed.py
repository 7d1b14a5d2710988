"""Sealed JSON: round trips, and nothing else gets through."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import Damaged, InvalidInput, Unsupported
from mlflow_versioned_store.history import sealed

DIGEST = sealed.digest_named("blake3")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from('ab"\\[{')), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(st.sampled_from('xy"\\]}'), min_size=1), JSON, min_size=1, max_size=4)


def _sealed(document: Any) -> bytes:
    return sealed.seal(sealed.encode(document), DIGEST)


def _opened(data: bytes) -> tuple[Any, bytes]:
    with sealed.reading("object"):
        text, end = sealed.unseal(data, DIGEST)
    document = json.loads(text)
    document.pop("check")
    return document, data[end:]


@given(OBJECTS, st.binary(max_size=20), st.booleans())
def test_round_trip(document: dict[str, Any], behind: bytes, large: bool) -> None:
    """What was sealed comes back, with whatever follows it."""
    document.pop("check", None)
    document["fill"] = "x" * (sealed.PLAIN_BYTES_MAX * large)
    assert _opened(_sealed(document) + behind) == (document, behind)


@pytest.mark.parametrize("fill", [1, sealed.PLAIN_BYTES_MAX])
def test_every_flipped_bit_and_every_truncation_is_an_error(fill: int) -> None:
    """No bit of a sealed document can change, and none can be missing, without an error."""
    document = {"mvs": 1, "fill": "x" * fill}
    data = _sealed(document)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found, rest = _opened(bytes(flipped))
        except Damaged:
            continue
        # Bits that the compressed form does not use may change; then the content is what it was.
        assert (found, rest) == (document, b"")
    for length in range(len(data)):
        with pytest.raises(Damaged):
            _opened(data[:length])


def test_small_ones_are_lines_and_large_ones_are_one_frame() -> None:
    """A small document is a line that any tool reads, a large one a zstd frame with a checksum."""
    assert json.loads(_sealed({"a": [1]}).decode().splitlines()[0])["a"] == [1]
    data = _sealed({"a": "x" * 5000})
    assert json.loads(zstandard.ZstdDecompressor().decompress(data))["a"] == "x" * 5000
    assert zstandard.get_frame_parameters(data).has_checksum


@pytest.mark.parametrize("depth", [sealed.DEPTH_MAX, sealed.DEPTH_MAX + 1])
@pytest.mark.parametrize("alternate", [True, False])
def test_depth_is_limited(depth: int, alternate: bool) -> None:
    """64 levels are read, 65 are not; brackets in texts do not count."""
    pairs = [("[", "]"), ('{"[\\"{":', "}")] if alternate else [("[", "]")]
    inner = "".join(pairs[level % len(pairs)][0] for level in range(depth - 1))
    outer = "".join(pairs[level % len(pairs)][1] for level in reversed(range(depth - 1)))
    text = f'{{"a":{inner}"[[[{{"{outer}}}'.encode()
    unchecked = text[:-1] + b',"check":"' + DIGEST(text[:-1]).encode() + b'"}\n'
    if depth <= sealed.DEPTH_MAX:
        assert sealed.seal(text, DIGEST) == unchecked
        sealed.unseal(unchecked, DIGEST)
    else:
        with pytest.raises(InvalidInput, match="levels"):
            sealed.seal(text, DIGEST)
        with pytest.raises(ValueError, match="levels"):
            sealed.unseal(unchecked, DIGEST)


def test_a_hundred_thousand_brackets_are_an_error() -> None:
    """Deep nesting is refused before it is parsed."""
    text = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    data = zstandard.ZstdCompressor(write_checksum=True).compress(
        text[:-1] + b',"check":"' + DIGEST(text[:-1]).encode() + b'"}'
    )
    with pytest.raises(ValueError, match="levels"):
        sealed.unseal(data, DIGEST)


def _frame(data: bytes, **parameters: Any) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, **parameters).compress(data)


def _bomb(claimed: int) -> bytes:
    """Return a frame of run-length blocks, 128 KiB each out of 4 bytes, that claims to hold `claimed` bytes."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10100100]) + claimed.to_bytes(4, "little")
    block = (0 << 0 | 1 << 1 | (128 << 10) << 3).to_bytes(3, "little") + b"x"
    return header + block * 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]\n",
        b"not json\n",
        b'{"mvs":1}\n',
        b"{" * 10_000,
        _frame(bytes(sealed.DECODED_BYTES_MAX + 1)),
        _frame(b"x" * 100, write_content_size=False),
        zstandard.ZstdCompressor().compress(b'{"a":1}' * 1000),
        _bomb(1 << 20),
        _bomb(sealed.DECODED_BYTES_MAX),
        _bomb((1 << 32) - 1),
    ],
    ids=range(12),
)
def test_hostile_bytes_are_refused_within_bounds(data: bytes) -> None:
    """Lying lengths and exploding frames are errors, and cost no more memory than an honest record could."""
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            _opened(data)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * sealed.DECODED_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_what_is_newer_or_needs_more_is_refused_by_name() -> None:
    """Another format or an unknown feature is named, whatever else the document looks like."""
    with pytest.raises(Unsupported, match="format 2"):
        sealed.decode(b'{"mvs":2,"changes":7}', dict, "the object")
    with pytest.raises(Unsupported, match="teleport"):
        sealed.decode(b'{"mvs":1,"needs":["teleport"]}', dict, "the object")


def test_unknown_digests_are_refused_by_name() -> None:
    """A store with a digest that this release lacks is not guessed at."""
    assert sealed.digest_named("sha256")(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    with pytest.raises(Unsupported, match="md5"):
        sealed.digest_named("md5")
