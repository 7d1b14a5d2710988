"""How the bytes of a frame are encoded: as they are, by zstd, or by zstd with another chunk as its dictionary.

A borrowed chunk is a range of another object. Its frame only says where it begins there; the object is its base.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import zstandard

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.errors import Damaged

RAW: Final = 0
ZSTD: Final = 1
DELTA: Final = 2
BORROWED: Final = 3

PLACE_BYTES: Final = 8

RAW_BYTES_MAX: Final = 4 << 20
WINDOW_BYTES_MAX: Final = 8 << 20
LEVEL: Final = 3

_SAMPLE_BYTES = 4096
_SAMPLED_FROM = 16 << 10
# Below this gain, decoding takes every reader longer than the bytes take to come, at some 100 MB/s and more.
_WORTH = 0.95
_of_thread = threading.local()


class Compressor:
    """Encodes chunks plainly, one by one, for one thread.

    What zstd works in is made once, which would cost more than encoding a small chunk does.
    """

    def __init__(self) -> None:
        self._zstd = zstandard.ZstdCompressor(level=LEVEL)
        self._fast = zstandard.ZstdCompressor(level=1)

    def compress(self, data: Buffer) -> tuple[int, Buffer]:
        """Return (codec, bytes) for a chunk: zstd where it pays, else the chunk itself.

        Long chunks are judged by two samples first: random bytes, media and archives cost next to nothing.
        """
        if self._looks_random(data):
            return RAW, data
        encoded = self._zstd.compress(data)
        return (ZSTD, _in_its_own_memory(encoded)) if len(encoded) < _WORTH * len(data) else (RAW, data)

    def _looks_random(self, data: Buffer) -> bool:
        size = len(data)
        if size < _SAMPLED_FROM:
            return False
        view = memoryview(data)
        return all(
            len(self._fast.compress(view[at : at + _SAMPLE_BYTES])) >= _WORTH * _SAMPLE_BYTES
            for at in (size // 4, size // 2)
        )


def compress_delta(data: Buffer, base: Buffer) -> bytes:
    """Return `data` as zstd level 3 with `base` as a raw-content dictionary (level 1 finds far less)."""
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return _in_its_own_memory(zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary).compress(data))


def decompress(codec: int, data: Buffer, raw_bytes: int, base: Buffer | None = None) -> Buffer:
    """Return the `raw_bytes` bytes of a chunk. Nothing is allocated before the stated lengths agree.

    Raises:
        Damaged: The bytes are not what their header says, or a limit of the format is exceeded.
    """
    if raw_bytes > RAW_BYTES_MAX:
        raise Damaged(f"A frame claims {raw_bytes} bytes; the format allows {RAW_BYTES_MAX}.")
    if codec == RAW:
        if len(data) != raw_bytes:
            raise Damaged(f"A frame holds {len(data)} bytes where its header says {raw_bytes}.")
        return data
    if codec == BORROWED:
        if base is None or len(base) != raw_bytes or len(data) != PLACE_BYTES:
            raise Damaged(f"A frame borrows {raw_bytes} bytes, and not from an object that has them.")
        return base
    if codec not in (ZSTD, DELTA):
        raise Damaged(f"A frame has the unknown codec {codec}.")
    return _decompress_zstd(data, raw_bytes, base if codec == DELTA else None)


def decompress_chain(frames: Sequence[Buffer], raw_bytes: Sequence[int]) -> bytes:
    """Return what the last of some zstd frames holds, each of which has as its dictionary what the one before it holds.

    Args:
        frames: The frames.
        raw_bytes: How many bytes each holds, which is within the format's limit.

    Raises:
        Damaged: The bytes are not what their header says, or a limit of the format is exceeded.
    """
    try:
        for frame, size in zip(frames, raw_bytes, strict=True):
            _check_parameters(frame, size)
        return _plain_decompressor().decompress_content_dict_chain([bytes(frame) for frame in frames])
    except zstandard.ZstdError as error:
        raise Damaged(f"Frames cannot be decompressed: {error}.") from error


def decompress_table(data: Buffer, largest: int) -> bytes:
    """Return what a zstd frame holds that states its own length, such as a directory or an index.

    Raises:
        ValueError: It states more than `largest` bytes, or no length. Nothing was allocated.
        zstandard.ZstdError: It cannot be decompressed.
    """
    parameters = zstandard.get_frame_parameters(data)
    if not 0 <= parameters.content_size <= largest:
        raise ValueError(f"it claims {parameters.content_size} bytes")
    return zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompress(
        data, max_output_size=parameters.content_size, allow_extra_data=False
    )


def _decompress_zstd(data: Buffer, raw_bytes: int, base: Buffer | None) -> bytes:
    try:
        _check_parameters(data, raw_bytes)
        decompressor = _plain_decompressor() if base is None else _decompressor_with(base)
        return decompressor.decompress(data, max_output_size=raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Damaged(f"A frame cannot be decompressed: {error}.") from error


def _check_parameters(data: Buffer, raw_bytes: int) -> None:
    parameters = zstandard.get_frame_parameters(data)
    if parameters.content_size != raw_bytes or parameters.window_size > WINDOW_BYTES_MAX:
        raise Damaged(f"A frame claims {parameters.content_size} bytes where its header says {raw_bytes}.")


def _plain_decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's own: what zstd works in is larger than most chunks, and one serves for all of them."""
    decompressor: zstandard.ZstdDecompressor | None = getattr(_of_thread, "decompressor", None)
    if decompressor is None:
        decompressor = _of_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    return decompressor


def _decompressor_with(base: Buffer) -> zstandard.ZstdDecompressor:
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=WINDOW_BYTES_MAX)


def _in_its_own_memory(encoded: bytes) -> bytes:
    # It was made in a buffer as long as the chunk. Kept there until its pack is full, a delta of a few hundred bytes
    # leaves a hole behind it that the next buffer does not fit into: memory of the size of all chunks.
    return bytes(memoryview(encoded))
