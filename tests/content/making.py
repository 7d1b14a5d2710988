"""What the tests of the content are made of: data, domains, uploads read back."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from mlflow_versioned_store.backends.contract import Backend, Fetched
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.content.borrowing import Borrowing
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.content.codecs import Compressor, compress_delta
from mlflow_versioned_store.content.digests import digest_function, tail_fingerprint
from mlflow_versioned_store.content.directories import Directories
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.download import Reader
from mlflow_versioned_store.content.frames import encode_header
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.locations import Content, IndexName, Packed, decode_content, decode_location
from mlflow_versioned_store.content.packs import FramePlace, PackName
from mlflow_versioned_store.content.parts import Parts, filled
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.content.sightings import Sightings
from mlflow_versioned_store.content.sinks import MemorySink, Sink
from mlflow_versioned_store.content.upload import Uploaded, upload
from mlflow_versioned_store.content.wanted import Wanted

KIB = 1 << 10
MIB = 1 << 20
BLAKE3 = digest_function("blake3")
PACK = PackName("all", "ab" * 32, 1 * MIB, 1000)


class Weighing(WrapperBackend):
    """Notes the range that each read asks for, and how many bytes come.

    Attributes:
        reads: (start, stop, bytes) of every read.
    """

    def __init__(self, inner: Backend):
        super().__init__(inner)
        self.reads: list[tuple[int, int | None, int]] = []

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        fetched = super().get(key, start=start, stop=stop, s3_version_id=s3_version_id)
        self.reads.append((start, stop, len(fetched.data)))
        return fetched


def noise(seed: object, size: int) -> bytes:
    """Return `size` bytes that do not compress and are the same on every machine."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def rows(seed: int, count: int) -> list[str]:
    """Return lines of a table, about 50 bytes each."""
    source = random.Random(seed)
    return [_row(source, number) for number in range(count)]


def edited(lines: Sequence[str], seed: int, share: float = 0.01) -> list[str]:
    """Return `lines` with a number changed in a share of them, and a few inserted and deleted."""
    source = random.Random(seed)
    changed = list(lines)
    for _ in range(max(1, int(share * len(changed)))):
        at = source.randrange(len(changed))
        fields = changed[at].split(",")
        changed[at] = ",".join((fields[0], f"{source.gauss(50, 12):.4f}", *fields[2:]))
    for _ in range(3):
        changed.insert(source.randrange(len(changed)), _row(source, 0))
        del changed[source.randrange(len(changed))]
    return changed


def text(lines: Sequence[str]) -> bytes:
    """Return lines as the bytes of a file."""
    return "\n".join(lines).encode()


def domain_of(backend: Backend, digest: str = "blake3", **options: Any) -> Domain:
    """Return a domain as a fresh process sees it."""
    return Domain(backend, "all", Chunking(), digest, Sightings(backend), **options)


def store(domain: Domain, *sources: Source, hints: Sequence[IndexName] = ()) -> Uploaded:
    """Upload sources and wait for index and hooks."""
    uploaded = upload(domain, sources, hints=hints)
    uploaded.settle()
    return uploaded


def lend(domain: Domain, key: str, data: bytes) -> Content:
    """Put an object beside the packs, let it lend its chunks, and return what its commit would say."""
    domain.backend.put(key, data)
    borrowing = Borrowing(domain)
    lender = Lender(key, "", len(data), domain.backend.head(key).e_tag or "")
    assert borrowing.read(lender, io.BytesIO(data)) == hashlib.sha256(data).hexdigest()
    content = borrowing.finish()
    borrowing.settle()
    return content


def indexes_of(uploaded: Uploaded) -> tuple[IndexName, ...]:
    """Return the indexes that know an upload."""
    return content_of(uploaded).indexes


def content_of(uploaded: Uploaded) -> Content:
    """Return an upload's content as a reader of its commit gets it."""
    return decode_content(msgspec.json.decode(msgspec.json.encode(uploaded.content)))


def wanted(uploaded: Uploaded, number: int = 0, sink: Sink | None = None) -> Wanted:
    """Return the `number`th source of an upload, to be read, by way of the JSON of its commit."""
    file = uploaded.files[number]
    location = decode_location(msgspec.json.decode(msgspec.json.encode(file.at)), file.size)
    assert isinstance(location, Packed)
    return Wanted(
        f"file{number}@@v1",
        file.size,
        file.sha256,
        location,
        content_of(uploaded),
        lambda: uploaded.frames,
        sink or MemorySink(file.size),
    )


def reader(backend: Backend, digest: str = "blake3") -> Reader:
    """Return a reader as a fresh process has it."""
    return Reader(backend, digest, Directories(backend))


def read(backend: Backend, uploaded: Uploaded, number: int = 0) -> bytes:
    """Return the bytes of the `number`th source of an upload, read in a fresh process."""
    sink = MemorySink(uploaded.files[number].size)
    reader(backend).read([wanted(uploaded, number, sink)])
    return bytes(sink.data)


def read_range(reader: Reader, file: Wanted, start: int, stop: int) -> bytes:
    """Return the bytes [start, stop) of a file."""
    return filled(stop - start, lambda view: reader.read_parts(file, Parts([(start, view)] if view else [])))


def stored_bytes(backend: Backend) -> int:
    """Return the bytes of all objects."""
    return sum(info.size for info in backend.list(""))


def frame(data: bytes, base: bytes | None = None, chain: int = 1) -> bytes:
    """Return the frame of a chunk, as a delta where there is a base."""
    tail, digest = tail_fingerprint(data), BLAKE3(data)
    if base is not None:
        delta = compress_delta(data, base)
        return encode_header(2, len(data), len(delta), tail, digest, chain=chain, base=BLAKE3(base)) + delta
    codec, encoded = Compressor().compress(data)
    return encode_header(codec, len(data), len(encoded), tail, digest) + bytes(encoded)


def place(offset: int = 24, size: int = 100, pack: PackName = PACK) -> FramePlace:
    """Return the place of a frame."""
    return FramePlace(pack, offset, size)


def _row(source: random.Random, number: int) -> str:
    return f"{number},{source.gauss(50, 12):.4f},{source.choice(('monthly', 'yearly'))},C{source.randrange(10**8):08d}"
