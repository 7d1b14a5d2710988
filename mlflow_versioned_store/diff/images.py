"""What differs between two pictures: size, mode, and a picture of the difference."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.errors import Unsupported

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

# Formats whose decoders are part of Pillow: none starts another program.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
_PIXELS_MAX = 50_000_000
_STRIP_PIXELS = 4_000_000
_SHOWN_PIXELS_MAX = 480
_FAINT = 96


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture is.

    Args:
        format: How it is written: PNG, JPEG …
        mode: What a pixel is made of: RGB, L, RGBA …
        width: Pixels.
        height: Pixels.
        frames: How many pictures the file holds; the first is compared.
        preview: The picture at most 480 pixels wide and high, as PNG.
    """

    format: str
    mode: str
    width: int
    height: int
    frames: int
    preview: bytes


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """Two pictures.

    Args:
        a: The old one.
        b: The new one.
        changed: How many pixels differ; None where the sizes do.
        largest: The largest change of a pixel, as a share of the largest there could be.
        mean: The mean change of all pixels, likewise.
        picture: The old picture, faint, and on it in red where pixels differ; PNG, at most 480 pixels wide and high.
    """

    a: Picture
    b: Picture
    changed: int | None
    largest: float | None
    mean: float | None
    picture: bytes | None


def compare_images(a: Side, b: Side) -> ImageDiff:
    """Compare two pictures.

    Raises:
        Unsupported: One is damaged, larger than 50 million pixels or of no known format, or Pillow is not installed.
    """
    with _opened(a) as old, _opened(b) as new:
        pictures = _picture(old), _picture(new)
        if old.size != new.size:
            return ImageDiff(*pictures, None, None, None, None)
        sizes = _sizes_of_changes(old, new)
        mask = sizes > 0
        return ImageDiff(
            *pictures, int(mask.sum()), float(sizes.max()) / 255, float(sizes.mean()) / 255, _drawn(old, mask)
        )


@contextmanager
def _opened(side: Side) -> Iterator[Image]:
    try:
        import numpy as np  # noqa: F401 - all that follows needs it
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise Unsupported("Pictures need Pillow and NumPy: pip install 'mlflow-versioned-store[diff]'.") from error
    # All that a file nobody vouches for makes the decoders raise.
    damage = (
        OSError, ValueError, SyntaxError, LookupError, TypeError, EOFError, ArithmeticError, struct.error, zlib.error,
        Image.DecompressionBombError, Image.DecompressionBombWarning,
    )  # fmt: skip
    try:
        with side.open() as file:
            image = Image.open(file, formats=_FORMATS)
            if image.width * image.height > _PIXELS_MAX:
                raise Unsupported(
                    f"{side.label} has {image.width} × {image.height} pixels: more than are compared as a picture."
                )
            image.load()
    except UnidentifiedImageError as error:
        raise Unsupported(f"{side.label} is no picture of a known format, or is damaged.") from error
    except damage as error:
        raise Unsupported(f"{side.label} cannot be read as a picture: {error}") from error
    with image:
        yield image


def _picture(image: Image) -> Picture:
    preview = image.convert("RGBA")
    preview.thumbnail((_SHOWN_PIXELS_MAX, _SHOWN_PIXELS_MAX))
    frames = getattr(image, "n_frames", 1)
    return Picture(image.format or "", image.mode, image.width, image.height, frames, _png(preview))


def _sizes_of_changes(a: Image, b: Image) -> np.ndarray[Any, Any]:
    """Return by how much each pixel differs at most in any of its bands, from 0 to 255."""
    import numpy as np

    # Deeper pixels are compared as they are, and only the sizes of their changes are brought to 255 steps.
    deep = a.mode == b.mode and a.mode in ("I", "F", "I;16", "I;16B", "I;16L")
    scale = 255 / max(1.0, *(float(np.nanmax(np.abs(np.asarray(image)))) for image in (a, b))) if deep else 1.0
    sizes = np.empty((a.height, a.width), np.float32)
    rows = max(1, _STRIP_PIXELS // a.width)
    for top in range(0, a.height, rows):
        box = (0, top, a.width, min(top + rows, a.height))
        strips = [image.crop(box) if deep else image.crop(box).convert("RGBA") for image in (a, b)]
        old, new = (np.asarray(strip).astype(np.float64) for strip in strips)
        change = np.nan_to_num(np.abs(new - old) * scale, nan=0, posinf=255)
        sizes[top : top + rows] = change if deep else change.max(axis=2)
    return sizes


def _drawn(image: Image, mask: np.ndarray[Any, Any]) -> bytes:
    """Draw where pixels differ: each one is seen, however small the drawing is."""
    import numpy as np
    from PIL import Image

    step = -(-max(image.size) // _SHOWN_PIXELS_MAX)
    height, width = -(-image.height // step), -(-image.width // step)
    padded = np.zeros((height * step, width * step), bool)
    padded[: image.height, : image.width] = mask
    seen = padded.reshape(height, step, width, step).any(axis=(1, 3))
    gray = np.asarray(image.convert("RGB").resize((width, height)).convert("L"), np.uint16)
    faint = (255 - _FAINT + gray * _FAINT // 255).astype(np.uint8)
    drawn = np.stack([faint, faint, faint], axis=2)
    drawn[seen] = (214, 40, 57)
    return _png(Image.fromarray(drawn))


def _png(image: Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
