"""An immutable object that lists the chunks of an upload in the order of its files. Pure encoding, no I/O.

It is only ever a help: a later upload finds in it chunks that are stored already (by digest) and chunks that sat where
a new one sits now (by tail fingerprint and by neighbourhood). Each row says where the chunk's frame is and which frames
that one leans on. Encoded as one zstd frame of MessagePack columns, about 48 bytes a row.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, islice
from typing import Any, NamedTuple

import msgspec
import zstandard

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.codecs import decompress_table
from mlflow_versioned_store.content.digests import DIGEST_BYTES
from mlflow_versioned_store.content.frames import CHAIN_STEPS_MAX
from mlflow_versioned_store.content.packs import FramePlace, Holder, PackName, PackRef, checked_holder
from mlflow_versioned_store.content.sha256 import State
from mlflow_versioned_store.errors import Damaged

INDEX_BYTES_MAX = 64 << 20
_VERSION = 1
CHUNK_FOLLOWS = 0
FILE_ENDS = 1
ROWS_MISSING = 2
# Of chunks that end alike, one this near to its place is taken for the one that sat there.
_NEAR_BYTES = 256 << 10
_UINT32 = 1 << 32
_STATE = struct.Struct("<Q32s")
_UNREADABLE = (
    msgspec.MsgspecError,
    zstandard.ZstdError,
    struct.error,
    RecursionError,
    ValueError,
    TypeError,
    LookupError,
)


class Placed(msgspec.Struct, eq=False, gc=False):
    """A chunk and where its frame is.

    Args:
        digest: The chunk's digest.
        tail: Its tail fingerprint.
        raw: Its bytes.
        pack: The pack that holds the frame; None until it is written.
        offset: Where the frame starts in the pack.
        size: Bytes of the frame with its header.
        chain: The frame's number in its skip chain.
        ancestors: The frames it leans on, nearest first, down to one that stands alone.
    """

    digest: bytes
    tail: int
    raw: int
    pack: PackRef | None = None
    offset: int = 0
    size: int = 0
    chain: int = 0
    ancestors: tuple[FramePlace, ...] = ()

    def place(self) -> FramePlace:
        """Return where the frame is; only for frames in sealed packs."""
        assert self.pack is not None, "the chunk is not stored yet"
        return FramePlace(self.pack.sealed(), self.offset, self.size)


class FileRows(NamedTuple):
    """The rows of one whole file.

    Args:
        first: Position of its first row.
        length: How many rows it has.
        size: Its bytes.
        sha256: Its SHA-256, hex.
        states: What that was on the way, in the order of their positions.
    """

    first: int
    length: int
    size: int
    sha256: str
    states: Sequence[State] = ()


class Index:
    """The decoded rows of one index, found by digest or by tail fingerprint.

    Args:
        rows: Chunks in the order of their files; not all chunks of a file need be there.
        follows: One byte a row, what comes after the chunk: CHUNK_FOLLOWS (the next row), FILE_ENDS or ROWS_MISSING.
        files: Large files all of whose chunks are there.
    """

    def __init__(self, rows: Sequence[Placed], follows: bytes, files: Sequence[FileRows] = ()):
        self.rows = rows
        self.follows = follows
        self.files = files

    @cached_property
    def _by_digest(self) -> dict[bytes, int]:
        # Made when first asked: most indexes are written and never looked into by the process that wrote them.
        return {row.digest: at for at, row in enumerate(self.rows)}

    @cached_property
    def _by_tail(self) -> dict[int, list[int]]:
        positions: dict[int, list[int]] = {}
        for at, row in enumerate(self.rows):
            positions.setdefault(row.tail, []).append(at)
        return positions

    @cached_property
    def _by_start(self) -> dict[bytes, list[FileRows]]:
        files: dict[bytes, list[FileRows]] = {}
        for file in self.files:
            files.setdefault(self.rows[file.first].digest, []).append(file)
        return files

    def by_digest(self, digest: bytes) -> int | None:
        """Return the position of the chunk with this digest."""
        return self._by_digest.get(digest)

    def has(self, digest: bytes, tail: int) -> bool:
        """Tell whether a chunk has this digest, or ends with the same 64 bytes."""
        return digest in self._by_digest or self.has_tail(tail)

    def has_tail(self, tail: int) -> bool:
        """Tell whether a chunk ends with the same 64 bytes."""
        return tail in self._by_tail

    def by_tail(self, tail: int) -> int | None:
        """Return the position of the only chunk that ends with the same 64 bytes; None where there are several."""
        positions = self._by_tail.get(tail, ())
        return positions[0] if len(positions) == 1 else None

    def by_tail_near(self, tail: int, behind: int, distance: int) -> int | None:
        """Return the position of a chunk that ends with the same 64 bytes, near to where it is expected.

        Where bytes repeat, as in tables with few values, many chunks end alike.

        Args:
            tail: The tail fingerprint.
            behind: The position of the last chunk that is matched already; −1 for none.
            distance: How many bytes behind the end of that one it is expected to end.
        """
        positions = self._by_tail.get(tail)
        if positions is None:
            return None
        expected = (self._ends[behind] if behind >= 0 else 0) + distance
        at = bisect_left(positions, expected, key=self._ends.__getitem__)
        nearest = min(positions[max(0, at - 1) : at + 1], key=lambda position: abs(self._ends[position] - expected))
        return nearest if abs(self._ends[nearest] - expected) <= _NEAR_BYTES else None

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(row.raw for row in self.rows))

    def by_start(self, digest: bytes) -> Sequence[FileRows]:
        """Return the large files that start with the chunk with this digest."""
        return self._by_start.get(digest, ())


def encode(index: Index) -> bytes:
    """Return the bytes of an index over chunks whose packs are sealed."""
    rows = index.rows
    packs: dict[tuple[Holder, int], int] = {}
    numbers, offsets, sizes = array("I"), array("I"), array("I")
    depths, base_numbers, base_offsets, base_sizes = array("I"), array("I"), array("I"), array("I")
    expected: dict[int, int] = {}
    for row in rows:
        place = row.place()
        number = packs.setdefault((place.pack, 0), len(packs))
        numbers.append(number)
        offsets.append((place.offset - expected.get(number, 0)) % _UINT32)
        sizes.append(place.size)
        expected[number] = place.offset + place.size
        depths.append(len(row.ancestors))
        for base in row.ancestors:
            # A lender may be longer than an offset can say, so each stretch of it is named.
            stretch, offset = divmod(base.offset, _UINT32)
            base_number = packs.setdefault((base.pack, stretch), len(packs))
            base_numbers.append(base_number)
            base_offsets.append((offset - expected.get(base_number, 0)) % _UINT32)
            base_sizes.append(base.size)
            expected[base_number] = offset + base.size
    columns = (
        _VERSION,
        [[*name, stretch] if stretch else list(name) for name, stretch in packs],
        b"".join(row.digest for row in rows),
        _to_bytes(array("Q", (row.tail for row in rows))),
        _to_bytes(array("I", (row.raw for row in rows))),
        _to_bytes(array("I", (row.chain for row in rows))),
        *map(_to_bytes, (numbers, offsets, sizes, depths, base_numbers, base_offsets, base_sizes)),
        index.follows,
        [_encode_file(file) for file in index.files],
    )
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(columns))


def decode(data: Buffer) -> Index:
    """Return the index in `data`.

    Raises:
        Damaged: The bytes are broken or exceed a limit of the format.
    """
    try:
        return _decode_columns(msgspec.msgpack.decode(decompress_table(data, INDEX_BYTES_MAX)))
    except _UNREADABLE as error:
        raise Damaged(f"An index cannot be read: {error}.") from error


def _decode_columns(columns: Any) -> Index:
    version, pack_list, digests, *encoded, follows, files = columns
    if version != _VERSION or len(encoded) != 10:
        raise ValueError("its version is not known")
    rows = _decode_rows(pack_list, digests, encoded)
    file_rows = [_decode_file(*file) for file in files]
    if len(follows) != len(rows) or any(
        len(file.sha256) != 64 or not 0 <= file.first < file.first + file.length <= len(rows) for file in file_rows
    ):
        raise ValueError("its files are not made of its rows")
    return Index(rows, follows, file_rows)


def _encode_file(file: FileRows) -> tuple[object, ...]:
    states = b"".join(_STATE.pack(*state) for state in file.states)
    return (file.first, file.length, file.size, bytes.fromhex(file.sha256), states)


def _decode_file(first: int, length: int, size: int, sha256: bytes, states: bytes = b"") -> FileRows:
    known = tuple(State(*state) for state in _STATE.iter_unpack(states))
    return FileRows(first, length, size, memoryview(sha256).hex(), known)


def _decode_rows(pack_list: Any, digests: bytes, encoded: Sequence[bytes]) -> list[Placed]:
    holders = [checked_holder(named[:4]) for named in pack_list]
    refs = {at: PackRef(holder) for at, holder in enumerate(holders) if isinstance(holder, PackName)}
    starts = [_start(*named[4:]) for named in pack_list]
    tails = _from_bytes("Q", encoded[0])
    raws, chains, numbers, offsets, sizes, depths, *base_columns = (_from_bytes("I", item) for item in encoded[1:])
    count = len(tails)
    columns_of_rows = (raws, chains, numbers, offsets, sizes, depths)
    if len(digests) != count * DIGEST_BYTES or any(len(column) != count for column in columns_of_rows):
        raise ValueError("its columns differ in length")
    if {len(column) for column in base_columns} != {sum(depths)} or max(depths, default=0) > CHAIN_STEPS_MAX:
        raise ValueError("its columns of bases differ in length")
    bases = zip(*base_columns, strict=True)
    expected = [0] * len(holders)
    rows = []
    for at in range(count):
        row = Placed(bytes(digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]), tails[at], raws[at])
        number = numbers[at]
        row.pack, row.size, row.chain = refs[number], sizes[at], chains[at]
        row.offset = _next(expected, number, offsets[at], sizes[at])
        if depths[at]:
            row.ancestors = tuple(
                FramePlace(holders[base], starts[base] + _next(expected, base, step, size), size)
                for base, step, size in islice(bases, depths[at])
            )
        rows.append(row)
    return rows


def _start(stretch: int = 0) -> int:
    if not isinstance(stretch, int):
        raise TypeError("it counts stretches of an object by something else than a number")
    return stretch * _UINT32


def _next(expected: list[int], number: int, step: int, size: int) -> int:
    offset = (expected[number] + step) % _UINT32
    expected[number] = offset + size
    return offset


def _to_bytes(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _from_bytes(code: str, data: bytes) -> array[int]:
    column = array(code)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
