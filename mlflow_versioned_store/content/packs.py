"""An immutable object of frames. Pure encoding, no I/O.

    "MVSPACK" 1 · nonce 16 · frame … frame · directory · its bytes u32 · its SHA-256, first 8 · "MVSPEND" 1

The name of a pack is the digest of all its bytes; the nonce keeps any two uploads from sharing a name. The directory
is a zstd frame of MessagePack columns: per frame its stored bytes with header, raw bytes, codec and chain number, and
for deltas where their base is, for borrowed chunks their bytes. With it a range of a file is found, and all that its
frames lean on, without an index.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import msgspec
import zstandard

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.codecs import BORROWED, DELTA, RAW_BYTES_MAX, decompress_table
from mlflow_versioned_store.content.digests import Digest
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.errors import Damaged

RESTORE = "Restore it from a backup or an older object version."
PACK_BYTES_MAX = 256 << 20
NONCE_BYTES = 16
_MAGIC = b"MVSPACK\x01"
_END = b"MVSPEND\x01"
HEAD_BYTES = len(_MAGIC) + NONCE_BYTES
_FOOTER = struct.Struct("<I8s8s")
_DIRECTORY_BYTES_MAX = 16 << 20


class PackName(NamedTuple):
    """What a commit records of a pack: enough to read a range of it.

    Args:
        domain: The deduplication domain it was written in.
        digest: Its digest, hex.
        size: Bytes of the whole object.
        tail: Bytes of directory and footer at its end.
    """

    domain: str
    digest: str
    size: int
    tail: int

    def __str__(self) -> str:
        return f"pack {self.key}"

    @property
    def key(self) -> str:
        """The key of the pack."""
        return keys.pack(self.domain, self.digest)

    @property
    def identity(self) -> str:
        """What tells its bytes from all others of the store."""
        return self.key

    @classmethod
    def checked(cls, value: object) -> PackName:
        """Return the pack name in a decoded record.

        Raises:
            Damaged: It is none, or breaks a limit of the format.
        """
        match value:
            case [str() as domain, str() as digest, int() as size, int() as tail] if (
                domain and keys.is_digest(digest) and _FOOTER.size < tail < size <= PACK_BYTES_MAX
            ):
                return cls(domain, digest, size, tail)
        raise Damaged(f"A record names a pack in a way the format does not allow: {value!r:.200}.")


class PackRef(msgspec.Struct, eq=False):
    """A pack that may still be in the making: name and object version, where it has one, are set once it is sent."""

    name: PackName | None = None
    s3_version_id: str | None = None

    def sealed(self) -> PackName:
        """Return the name of a pack that is known to be sealed."""
        assert self.name is not None, "the pack is still open"
        return self.name


Holder: TypeAlias = PackName | Lender


def checked_holder(value: object) -> Holder:
    """Return the pack or the lender in a decoded record, which differ in their last item.

    Raises:
        Damaged: It is neither.
    """
    match value:
        case [_, _, _, str()]:
            return Lender.checked(value)
    return PackName.checked(value)


class FramePlace(NamedTuple):
    """Where a frame is: in which pack, from which byte, how long with its header; or where a lender has its bytes."""

    pack: Holder
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """What a pack says of its frames, in their order.

    Args:
        offsets: Where each frame starts; one more entry marks the end of the last.
        raws: Bytes of each chunk.
        codecs: One byte each.
        bases: For the position of each delta, where its base is; of each borrowed chunk, where its bytes are.
    """

    offsets: list[int]
    raws: list[int]
    codecs: bytes
    bases: Mapping[int, FramePlace]


class _Bases(Mapping[int, FramePlace]):
    """Where bases are, by the position of what leans on them; put together when asked for, as most never are."""

    def __init__(self, leaning: Sequence[int], holders: Sequence[Holder], columns: Sequence[Sequence[int]]):
        self._rows = dict(zip(leaning, range(len(leaning)), strict=True))
        self._holders = holders
        self._numbers, self._offsets, self._sizes = columns

    def __getitem__(self, at: int) -> FramePlace:
        row = self._rows[at]
        return FramePlace(self._holders[self._numbers[row]], self._offsets[row], self._sizes[row])

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class DirectoryBuilder:
    """Collects what the directory of one pack will say."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.raws: list[int] = []
        self.codecs = bytearray()
        self._base_packs: dict[Holder, int] = {}
        self._bases: list[tuple[int, int, int]] = []

    def add(self, size: int, raw: int, codec: int, base: FramePlace | None = None) -> None:
        """Note the next frame: bytes with header, bytes of the chunk, codec, and what it leans on."""
        self.sizes.append(size)
        self.raws.append(raw)
        self.codecs.append(codec)
        if base is not None:
            number = self._base_packs.setdefault(base.pack, len(self._base_packs))
            self._bases.append((number, base.offset, base.size))

    def encode(self) -> bytes:
        """Return directory and footer."""
        packs = [list(name) for name in self._base_packs]
        columns = [
            self.sizes,
            self.raws,
            bytes(self.codecs),
            packs,
            [list(column) for column in zip(*self._bases, strict=True)],
        ]
        directory = zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(columns))
        return directory + _FOOTER.pack(len(directory), _check(directory), _END)


def new_head() -> bytes:
    """Return the first bytes of a new pack, with a fresh nonce."""
    return _MAGIC + os.urandom(NONCE_BYTES)


def tail_range(name: PackName) -> tuple[int, int]:
    """Return the byte range [start, stop) of directory and footer."""
    return name.size - name.tail, name.size


def decode_tail(name: PackName, tail: Buffer) -> Directory:
    """Return the directory in the last `name.tail` bytes of a pack.

    Raises:
        Damaged: The bytes are cut short, broken, or lie about a length.
    """
    view = memoryview(tail)
    if len(view) != name.tail:
        raise Damaged(
            f"The pack {name.key} ends early: of its directory there are {len(view)} bytes. {RESTORE}", key=name.key
        )
    length, check, end = _FOOTER.unpack_from(view, len(view) - _FOOTER.size)
    directory = view[: len(view) - _FOOTER.size]
    if end != _END or length != len(directory) or check != _check(directory):
        raise Damaged(f"The directory of the pack {name.key} is damaged. {RESTORE}", key=name.key)
    try:
        return _decode_columns(name, decompress_table(directory, _DIRECTORY_BYTES_MAX))
    except (msgspec.MsgspecError, zstandard.ZstdError, RecursionError, TypeError, ValueError) as error:
        raise Damaged(
            f"The directory of the pack {name.key} cannot be read: {error}. {RESTORE}", key=name.key
        ) from error


def decode_pack(name: PackName, data: Buffer, digest: Digest) -> Directory:
    """Check a whole pack against its name and return its directory.

    Raises:
        Damaged: The bytes are not the ones that the name stands for.
    """
    view = memoryview(data)
    if len(view) != name.size or digest(view).hex() != name.digest or bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise Damaged(f"The pack {name.key} does not hold what was written.", key=name.key)
    return decode_tail(name, view[name.size - name.tail :])


def _decode_columns(name: PackName, encoded: bytes) -> Directory:
    columns: Any = msgspec.msgpack.decode(encoded, type=tuple[list[int], list[int], bytes, list[Any], list[list[int]]])
    sizes, raws, codecs, packs, bases = columns
    offsets = list(accumulate(sizes, initial=HEAD_BYTES))
    leaning = [at for at, codec in enumerate(codecs) if codec >= DELTA]
    frames = len(sizes)
    if len(raws) != frames or len(codecs) != frames:
        raise ValueError("its columns differ in length")
    if min(sizes, default=1) <= 0 or min(raws, default=0) < 0 or max(raws, default=0) > RAW_BYTES_MAX:
        raise ValueError("it lists frames that no pack can hold")
    if max(codecs, default=0) > BORROWED:
        raise ValueError("it lists a codec that is not known")
    if offsets[-1] != name.size - name.tail or any(len(column) != len(leaning) for column in bases):
        raise ValueError("its frames do not fill the pack")
    names = [checked_holder(pack) for pack in packs]
    if not leaning:
        return Directory(offsets, raws, codecs, {})
    if len(bases) != 3 or min(bases[0]) < 0 or max(bases[0]) >= len(names):
        raise ValueError("a delta has no base")
    lenders = [holder if isinstance(holder, Lender) else None for holder in names]
    # Few packs have any, and a version may lean on hundreds of packs.
    if BORROWED in codecs or any(lenders):
        for at, number, offset, size in zip(leaning, *bases, strict=True):
            lender = lenders[number]
            if (lender is not None) != (codecs[at] == BORROWED):
                raise ValueError("a delta leans on no frame, or a chunk is borrowed from one")
            if lender is not None and not (size == raws[at] and 0 <= offset <= lender.size - size):
                raise ValueError("a chunk is borrowed from where no such bytes are")
    return Directory(offsets, raws, codecs, _Bases(leaning, names, bases))


def _check(directory: Buffer) -> bytes:
    return hashlib.sha256(directory).digest()[:8]
