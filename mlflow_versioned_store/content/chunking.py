"""Cutting bytes where their content says so, so that an insertion moves no cut but those around it.

FastCDC as of Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems"
(IEEE TPDS, 2020), with normalised chunking of level 1. The parameters are part of a store's format: the tests pin
cut points, so that no release of the library can shift them unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyfastcdc import FastCDC

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.errors import Unsupported

ALGORITHM = "fastcdc2020-nc1"
SMALLEST_MIN = 1 << 10
# Files are read in blocks of 4 MiB; a chunk as long as a block would never show its end.
LARGEST_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunking:
    """How a store cuts files: sizes in bytes.

    Args:
        average: The size that cuts aim at.
        smallest: No chunk but a file's last is shorter.
        largest: No chunk is longer.
        algorithm: The one this release knows is `ALGORITHM`.
    """

    average: int = 64 << 10
    smallest: int = 16 << 10
    largest: int = 256 << 10
    algorithm: str = ALGORITHM

    def cutter(self) -> Cutter:
        """Return a cutter for one thread.

        Raises:
            Unsupported: The store names an algorithm or sizes that this release does not know.
        """
        if self.algorithm != ALGORITHM:
            raise Unsupported(f"The store cuts files by {self.algorithm!r}; this release knows {ALGORITHM!r} only.")
        if not SMALLEST_MIN <= self.smallest < self.average < self.largest <= LARGEST_MAX:
            raise Unsupported(
                f"The store cuts files into {self.smallest} to {self.largest} bytes, on average {self.average}; "
                f"this release knows {SMALLEST_MIN} ≤ smallest < average < largest ≤ {LARGEST_MAX} only."
            )
        return Cutter(self)


class Cutter:
    """Finds cut points; not to be shared by threads."""

    def __init__(self, chunking: Chunking):
        self._cdc = FastCDC(
            chunking.average, min_size=chunking.smallest, max_size=chunking.largest, normalized_chunking=1, seed=0
        )

    def cut(self, data: Buffer, *, final: bool) -> int | None:
        """Return the end of the first chunk in `data`, which starts at a cut; None where that takes more bytes."""
        chunk = next(self._cdc.cut_buf(data), None)
        return None if chunk is None or (chunk.length == len(data) and not final) else chunk.length
