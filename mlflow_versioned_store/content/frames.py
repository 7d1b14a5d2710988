"""A chunk as stored: a fixed header and the encoded bytes. Pure encoding, no I/O.

    codec u8 · chain u32 · raw bytes u32 · stored bytes u32 · tail fingerprint u64 · digest 32    little-endian
    base digest 32                                                                               deltas only

The bytes of a borrowed chunk are a range of another object; encoded is where it begins there (u64).

`chain` is a frame's number in its skip chain: 0 for a frame that begins one, which stands alone or is a poor delta on
top of another chain; frame n is encoded against the one numbered n & (n − 1), so that few frames are read for any.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.codecs import BORROWED, DELTA, RAW_BYTES_MAX, ZSTD, decompress, decompress_chain
from mlflow_versioned_store.content.digests import DIGEST_BYTES, Digest
from mlflow_versioned_store.errors import Damaged

_HEADER = struct.Struct("<BIIIQ32s")
HEADER_BYTES = _HEADER.size
CHAIN_STEPS_MAX = 64
STORED_BYTES_MAX = RAW_BYTES_MAX + (64 << 10)


class Header(NamedTuple):
    """What a frame says of itself.

    Args:
        codec: One of `codecs`.
        chain: Its number in its skip chain; 0 unless it is a delta.
        raw: Bytes of the chunk.
        stored: Bytes of the encoded chunk, without the header.
        tail: The chunk's tail fingerprint.
        digest: The chunk's digest.
        base: The digest of the chunk that a delta needs.
        size: Bytes of this header.
    """

    codec: int
    chain: int
    raw: int
    stored: int
    tail: int
    digest: bytes
    base: bytes | None
    size: int


def encode_header(
    codec: int, raw: int, stored: int, tail: int, digest: bytes, *, chain: int = 0, base: bytes | None = None
) -> bytes:
    """Return the header bytes of a frame; sizes in bytes."""
    header = _HEADER.pack(codec, chain, raw, stored, tail, digest)
    return header if base is None else header + base


def header_bytes(codec: int) -> int:
    """Return how long the header of a frame with this codec is."""
    return HEADER_BYTES + (DIGEST_BYTES if codec == DELTA else 0)


def decode_header(data: Buffer, at: int = 0) -> Header:
    """Read the header at `at`.

    Raises:
        Damaged: It is cut short, or a limit of the format is exceeded.
    """
    try:
        codec, chain, raw, stored, tail, digest = _HEADER.unpack_from(data, at)
    except struct.error:
        raise Damaged("A frame's header is cut short.") from None
    size = header_bytes(codec)
    if codec > BORROWED or raw > RAW_BYTES_MAX or stored > STORED_BYTES_MAX or (codec != DELTA and chain > 0):
        raise Damaged("A frame's header is not one that this format allows.")
    base = None
    if codec == DELTA:
        base = bytes(memoryview(data)[at + HEADER_BYTES : at + size])
        if len(base) != DIGEST_BYTES:
            raise Damaged("A frame's header is cut short.")
    return Header(codec, chain, raw, stored, tail, digest, base, size)


def decode(data: Buffer, at: int, digest: Digest | None, base: Buffer | None = None) -> tuple[Header, Buffer, int]:
    """Return (header, checked chunk, offset after the frame) of the frame at `at`.

    Args:
        data: Bytes that hold the whole frame.
        at: Where in `data` it starts.
        digest: The store's digest function; None leaves the chunk unchecked, for a base whose deltas are checked.
        base: The chunk that a delta needs, or the bytes that are borrowed.

    Raises:
        Damaged: The frame is cut short or its chunk does not have the digest it states.
    """
    header = decode_header(data, at)
    end = at + header.size + header.stored
    payload = memoryview(data)[at + header.size : end]
    if len(payload) != header.stored:
        raise Damaged(f"A frame holds {len(payload)} bytes where its header says {header.stored}.")
    if header.codec == DELTA and base is None:
        raise Damaged("A delta's base is not known.")
    chunk = decompress(header.codec, payload, header.raw, base)
    if digest is not None and digest(chunk) != header.digest:
        raise Damaged(f"A chunk does not have its digest {header.digest.hex()}.")
    return header, chunk, end


def decode_chain(chain: Sequence[Buffer], digest: Digest) -> tuple[Header, Buffer] | None:
    """Return header and checked chunk of the last of some frames, each of which is the base of the next.

    They are decompressed in one go, which takes a fraction of the time. None where that cannot be, or where something
    does not fit: decoded one by one they say what.

    Raises:
        Damaged: A frame is cut short or cannot be decompressed.
    """
    headers = [decode_header(frame) for frame in chain]
    leans = all(after.codec == DELTA and after.base == before.digest for before, after in pairwise(headers))
    if headers[0].codec != ZSTD or not leans:
        return None
    payloads = [memoryview(frame)[header.size :][: header.stored] for frame, header in zip(chain, headers, strict=True)]
    chunk = decompress_chain(payloads, [header.raw for header in headers])
    return (headers[-1], chunk) if digest(chunk) == headers[-1].digest else None


__all__ = [
    "CHAIN_STEPS_MAX",
    "DELTA",
    "HEADER_BYTES",
    "STORED_BYTES_MAX",
    "ZSTD",
    "Header",
    "decode",
    "decode_chain",
    "decode_header",
    "encode_header",
    "header_bytes",
]
