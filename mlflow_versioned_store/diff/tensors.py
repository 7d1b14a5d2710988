"""The arrays in a file, found by its header alone and read in blocks."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from typing import IO, TYPE_CHECKING, Any

from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.errors import Unsupported

if TYPE_CHECKING:
    import numpy as np

_BLOCK_ELEMENTS = 1 << 20
_HEADER_BYTES_MAX = 100 << 20
_ARRAYS_MAX = 100_000
# Of a .npz, which may be small and hold very much.
_UNPACKED_BYTES_MAX = 16 << 30
# All that a file nobody vouches for makes the parsers raise.
_DAMAGE = (
    OSError, ValueError, LookupError, TypeError, EOFError, OverflowError, RuntimeError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip

# safetensors' types by NumPy's; BF16 becomes a number when it is read, those of 8 bits stay bytes.
_SAFETENSORS = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One array in a file.

    Args:
        file: What the reader calls the file.
        type: What the file calls the type of its elements.
        shape: Its shape.
        dtype: How its elements are read.
        fortran_order: Whether they are stored column by column.
        open: Opens the file where they begin.
    """

    file: str
    type: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def has_objects(self) -> bool:
        """Whether its elements are pickled Python objects."""
        return bool(self.dtype.hasobject)

    @property
    def is_number(self) -> bool:
        """Whether its elements are numbers."""
        return self.dtype.kind in "biufc"

    def blocks(self) -> Iterator[np.ndarray[Any, Any]]:
        """Yield its elements as stored, about a million at a time; elements that are no numbers as rows of bytes.

        Raises:
            Unsupported: The file is damaged.
        """
        import numpy as np

        left = math.prod(self.shape)
        with _readable(self.file), self.open() as file:
            while left and self.dtype.itemsize:
                size = min(left, _BLOCK_ELEMENTS) * self.dtype.itemsize
                data = file.read(size)
                if len(data) < size:
                    raise EOFError("its elements are cut short")
                left -= size // self.dtype.itemsize
                if not self.is_number:
                    yield np.frombuffer(data, np.uint8).reshape(-1, self.dtype.itemsize)
                elif self.type == "BF16":
                    yield (np.frombuffer(data, self.dtype).astype(np.uint32) << 16).view(np.float32)
                else:
                    block = np.frombuffer(data, self.dtype)
                    yield block.view(np.uint8) if self.dtype.kind == "b" else block


@contextmanager
def open_tensors(side: Side) -> Iterator[dict[str, Tensor]]:
    """Lend the arrays of a .npy, .npz or .safetensors by name.

    Raises:
        Unsupported: The file is damaged or no such file, or NumPy is not installed.
    """
    try:
        import numpy as np  # noqa: F401 - all that follows needs it
    except ImportError as error:
        raise Unsupported("Arrays need NumPy: pip install 'mlflow-versioned-store[diff]'.") from error
    path, name = side.local(), side.path.lower()
    with ExitStack() as opened:
        with _readable(side.label):
            if name.endswith(".npz"):
                found = _npz(side.label, opened.enter_context(zipfile.ZipFile(path)))
            elif name.endswith(".npy"):
                found = {"": _npy(side.label, partial(FileIO, path), side.size)}
            else:
                found = _safetensors(side.label, path, side.size)
        yield found


@contextmanager
def _readable(file: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise Unsupported(f"{file} cannot be read as arrays: {error}") from error


def _npz(file: str, archive: zipfile.ZipFile) -> dict[str, Tensor]:
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if len(members) > _ARRAYS_MAX or sum(member.file_size for member in members) > _UNPACKED_BYTES_MAX:
        raise ValueError("it holds more than is compared")
    return {
        member.filename.removesuffix(".npy"): _npy(file, partial(archive.open, member), member.file_size)
        for member in members
    }


def _npy(file: str, open_file: Callable[[], IO[bytes]], size: int) -> Tensor:
    from numpy.lib import format as npy

    with open_file() as content:
        version = npy.read_magic(content)
        readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"its version is {version}")
        shape, fortran_order, dtype = readers[version](content)
        start = content.tell()
    if not dtype.hasobject and start + math.prod(shape) * dtype.itemsize != size:
        raise ValueError("its size is not the one its header tells")

    @contextmanager
    def at_elements() -> Iterator[IO[bytes]]:
        with open_file() as content:
            content.seek(start)
            yield content

    return Tensor(file, dtype.str if dtype.names is None else str(dtype), shape, dtype, fortran_order, at_elements)


def _safetensors(label: str, path: str, size: int) -> dict[str, Tensor]:
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > min(_HEADER_BYTES_MAX, size - 8):
            raise ValueError("its header is longer than it may be")
        header = json.loads(file.read(length))
    if not isinstance(header, dict) or len(header) > _ARRAYS_MAX:
        raise ValueError("its header is none")
    return {
        str(name): _safetensor(label, path, entry, 8 + length, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _safetensor(label: str, path: str, entry: dict[str, Any], base: int, size: int) -> Tensor:
    import numpy as np

    type_, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if not all(isinstance(one, int) and one >= 0 for one in (*shape, start, stop)) or not start <= stop <= size - base:
        raise ValueError("a tensor lies outside of it")
    elements = math.prod(shape)
    known = _SAFETENSORS.get(type_)
    # A type that is not known is compared element by element where each is made of whole bytes.
    dtype = np.dtype(known) if known else np.dtype(f"V{(stop - start) // elements if elements else 1}")
    if elements * dtype.itemsize != stop - start:
        raise ValueError("a tensor is not as long as its shape tells")

    @contextmanager
    def at_elements() -> Iterator[IO[bytes]]:
        with open(path, "rb") as content:
            content.seek(base + start)
            yield content

    return Tensor(label, str(type_), shape, dtype, fortran_order=False, open=at_elements)
