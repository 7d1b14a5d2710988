"""Pictures."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlflow_versioned_store.diff.images import ImageDiff
from tests.diff.making import compared

RED = (214, 40, 57)


def png(array: Any, form: str = "PNG") -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, form)
    return file.getvalue()


def image_of(folder: Path, a: bytes, b: bytes, name: str = "p.png") -> ImageDiff:
    """Compare two pictures."""
    diff = compared(folder, name, a, b)
    assert diff.warnings == ()
    assert isinstance(diff.detail, ImageDiff)
    return diff.detail


def pixels(data: bytes | None) -> np.ndarray[Any, Any]:
    """Return the pixels of a PNG."""
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.mark.parametrize("shape", [(30, 40, 3), (30, 40, 4), (30, 40)], ids=["RGB", "RGBA", "L"])
def test_pixels_that_differ_are_counted_and_drawn(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """How many pixels differ, and by how much at most, is exact; the drawing is red there and nowhere else."""
    a = np.full(shape, 100, np.uint8)
    b = a.copy()
    b[3, 4] += 51
    b[20, 30] += 5
    diff = image_of(tmp_path, png(a), png(b))
    assert diff.changed == 2
    assert diff.largest == pytest.approx(0.2)
    assert diff.mean == pytest.approx(56 / 255 / 1200, rel=1e-4)
    red = (pixels(diff.picture) == RED).all(axis=2)
    assert sorted(zip(*np.nonzero(red), strict=True)) == [(3, 4), (20, 30)]


def test_one_pixel_of_a_large_picture_is_seen(tmp_path: Path) -> None:
    """However much smaller the drawing is, what differs is drawn."""
    a = np.zeros((1999, 3001), np.uint8)
    b = a.copy()
    b[1998, 3000] = 1
    diff = image_of(tmp_path, png(a), png(b))
    drawn = pixels(diff.picture)
    assert max(drawn.shape[:2]) <= 480
    assert (drawn == RED).all(axis=2).sum() == 1
    assert diff.changed == 1


def test_deep_pixels_are_compared_as_they_are(tmp_path: Path) -> None:
    """A change below what eight bits can tell is a change."""
    a = np.full((4, 4), 40_000, np.uint16)
    b = a.copy()
    b[0, 0] += 1
    diff = image_of(tmp_path, png(a), png(b))
    assert (diff.a.mode, diff.changed) == ("I;16", 1)
    assert diff.largest == pytest.approx(1 / 40_001)


def test_other_sizes_are_not_compared(tmp_path: Path) -> None:
    """Pictures of other sizes are shown side by side."""
    diff = image_of(tmp_path, png(np.zeros((4, 5), np.uint8)), png(np.zeros((5, 4), np.uint8)))
    assert (diff.a.width, diff.a.height, diff.changed, diff.picture) == (5, 4, None, None)


def test_formats_may_differ(tmp_path: Path) -> None:
    """What matters is what is seen, not how it is written."""
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    diff = image_of(tmp_path, png(array), png(array, "BMP"))
    assert (diff.a.format, diff.b.format, diff.changed) == ("PNG", "BMP", 0)


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that says that it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


GOOD = png(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize(
    "damaged",
    [
        bomb(8_000, 8_000),
        bomb(60_000, 60_000),
        bomb(1 << 30, 1 << 30),
        bomb(10, 10),
        GOOD[:30],
        b"\x89PNG\0\xff",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n\0\xff",
    ],
    ids=["large", "larger", "largest", "cut short", "head", "none", "postscript"],
)
def test_what_is_no_picture_is_bytes(tmp_path: Path, damaged: bytes) -> None:
    """A picture that is damaged, huge or needs another program is not decoded, and the reader is told why."""
    diff = compared(tmp_path, "p.png", damaged, GOOD)
    assert (diff.kind, diff.detail) == ("data", None)
    assert diff.warnings
