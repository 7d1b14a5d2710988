"""Sealed JSON: how every object of the history is kept, so that no damage can pass for content.

A sealed document is a JSON object whose last field, `check`, is the digest of the text before that field. Small ones
are stored as one line of text, readable with any tool; larger ones as one zstd frame of that text. Bytes may follow:

    {"mvs":1,"root":"…",…,"check":"<64 hex>"}⏎<inline frames>
    <zstd frame of {"mvs":1,…,"check":"<64 hex>"}><inline frames>

Whoever wrote it may be hostile, so the limits below hold before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import msgspec
import zstandard

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.digests import hasher_named
from mlflow_versioned_store.errors import Damaged, InvalidInput, Unsupported

FORMAT = 1
FEATURES: frozenset[str] = frozenset()
DECODED_BYTES_MAX = 64 << 20
DEPTH_MAX = 64
WINDOW_BYTES_MAX = 8 << 20
PLAIN_BYTES_MAX = 4096

Digest: TypeAlias = Callable[[Buffer], str]
T = TypeVar("T")

_LEVEL = 3
_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
_FRAME_HEADER_BYTES = 18
# A zstd block of four bytes can stand for 128 KiB: small bites bound what one of them can blow up to.
_BITE = 1024
_CHECK = b',"check":"'
_CHECK_BYTES = len(_CHECK) + 64 + 2
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_SQUARE = bytes.maketrans(b"{}", b"[]")


class _Header(msgspec.Struct):
    mvs: int
    needs: list[str] = []


def digest_named(name: str) -> Digest:
    """Return the function that names the objects of a history by the digest algorithm `name`, in hex.

    Raises:
        Unsupported: The algorithm is unknown to this release.
    """
    hasher = hasher_named(name)
    return lambda data: hasher(data).hexdigest()


def seal(text: bytes, digest: Digest) -> bytes:
    """Return the sealed form of `text`, a JSON object with at least one field.

    Raises:
        InvalidInput: The text is beyond what a reader would accept.
    """
    sealed = text[:-1] + _CHECK + digest(text[:-1]).encode() + b'"}'
    if len(sealed) > DECODED_BYTES_MAX:
        raise InvalidInput(f"A record of {len(sealed)} bytes is beyond {DECODED_BYTES_MAX}; log it in several calls.")
    if not is_shallow(sealed):
        raise InvalidInput(f"A record may not nest deeper than {DEPTH_MAX} levels; flatten its values.")
    if len(sealed) <= PLAIN_BYTES_MAX:
        return sealed + b"\n"
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(sealed)


def unseal(data: Buffer, digest: Digest) -> tuple[bytes, int]:
    """Return the checked JSON text at the start of `data`, and where the bytes behind it begin.

    Raises:
        ValueError: What is there is not what `seal` wrote, or is beyond the limits.
    """
    view = memoryview(data)
    if bytes(view[:4]) == _FRAME_MAGIC:
        text, end = _decompress(view)
    else:
        text, end = _line(view)
    seal_at = len(text) - _CHECK_BYTES
    if seal_at < 1 or text[seal_at : seal_at + len(_CHECK)] != _CHECK or text[-2:] != b'"}':
        raise ValueError("it carries no check")
    if text[-66:-2].decode("ascii", "replace") != digest(text[:seal_at]):
        raise ValueError("its check does not match its text")
    if not is_shallow(text):
        raise ValueError(f"it nests deeper than {DEPTH_MAX} levels")
    return text, end


def decode(text: bytes, into: type[T], name: str) -> T:
    """Return the document `text` as an `into`; fields that `into` does not have are ignored.

    Raises:
        Unsupported: The document is of a newer format or needs a feature that this release lacks; `name` says which.
        msgspec.DecodeError: It has no such form.
    """
    header = msgspec.json.decode(text, type=_Header)
    if header.mvs != FORMAT:
        raise Unsupported(f"{name} has format {header.mvs}; this release reads format {FORMAT}. Use a newer release.")
    missing = sorted(set(header.needs) - FEATURES)
    if missing:
        raise Unsupported(f"{name} needs {', '.join(missing)}, which this release lacks; use a newer release.")
    return msgspec.json.decode(text, type=into)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a decoder finds wrong with the object `name` into `Damaged`."""
    try:
        yield
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError, msgspec.MsgspecError) as wrong:
        raise _damaged(name, wrong) from wrong
    except zstandard.ZstdError as wrong:
        raise _damaged(name, wrong) from wrong


def encode(document: Any) -> bytes:
    """Return `document` as JSON text, ready for `seal`.

    Raises:
        InvalidInput: A value in it has no JSON form.
    """
    try:
        return msgspec.json.encode(document)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as wrong:
        raise InvalidInput(f"A record holds plain JSON values only: {wrong}") from wrong


def _damaged(name: str, wrong: Exception) -> Damaged:
    return Damaged(f"{name} is damaged: {str(wrong).rstrip('.')}. Restore it from a copy of the bucket.", key=name)


def _line(view: memoryview) -> tuple[bytes, int]:
    head = bytes(view[: PLAIN_BYTES_MAX + 1])
    end = head.find(b"\n")
    if not head.startswith(b"{") or end < 0:
        raise ValueError("it is neither a line of JSON nor a zstd frame")
    return head[:end], end + 1


def _decompress(view: memoryview) -> tuple[bytes, int]:
    parameters = zstandard.get_frame_parameters(bytes(view[:_FRAME_HEADER_BYTES]))
    size = parameters.content_size
    if not 0 < size <= DECODED_BYTES_MAX:
        raise ValueError(f"its zstd frame claims {size} bytes, beyond {DECODED_BYTES_MAX}")
    if parameters.window_size > WINDOW_BYTES_MAX:
        raise ValueError(f"its zstd frame wants a window of {parameters.window_size} bytes")
    if not parameters.has_checksum:
        raise ValueError("its zstd frame has no checksum")
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
    pieces: list[bytes] = []
    at = decoded = 0
    while not decompressor.eof:
        bite = view[at : at + _BITE]
        if not bite:
            raise ValueError("its zstd frame is cut short")
        pieces.append(decompressor.decompress(bite))
        at += len(bite)
        decoded += len(pieces[-1])
        if decoded > size:
            raise ValueError("its zstd frame holds more than it claims")
    return b"".join(pieces), at - len(decompressor.unused_data)


def is_shallow(text: bytes, depth_max: int = DEPTH_MAX) -> bool:
    """Tell whether the JSON `text` nests at most `depth_max` levels; cheap whatever it is."""
    # All in C: drop escapes, then all but quotes and brackets, then strings, then matched pairs, level by level.
    if text.count(b"[") + text.count(b"{") <= depth_max:
        return True
    structure = text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_SQUARE, _NOT_STRUCTURE)
    brackets = b"".join(structure.split(b'"')[::2])
    for _ in range(depth_max):
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return True
        if len(brackets) == before:
            return False
    return False
