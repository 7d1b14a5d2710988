"""A satellite scene in three versions, and a window of the first one read without downloading it.

    pip install mlflow-versioned-store rasterio
    python examples/geospatial.py

The scene is a tiled GeoTIFF. Whoever masks a cloud rewrites the file, and the store keeps the tiles that changed.
"""

from __future__ import annotations

import tempfile

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

import mlflow_versioned_store as mvs

SCENE = "scenes/33N.tif"
PIXELS = 2048
CLOUD = Window(700, 300, 220, 180)
# A profile says how rasterio writes a file: here in compressed tiles, so that a window needs few of them.
PROFILE = {
    "driver": "GTiff",
    "width": PIXELS,
    "height": PIXELS,
    "count": 3,
    "dtype": "uint16",
    "nodata": 0,
    "crs": "EPSG:32633",
    "transform": from_origin(500_000, 5_000_000, 10, 10),
    "tiled": True,
    "blockxsize": 256,
    "blockysize": 256,
    "interleave": "band",
    "compress": "deflate",
}


def main() -> None:
    """Writes three versions of a scene, then looks at one place in each."""
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'5' * 32}/artifacts", create=True)
        pixels = scene()
        print(f"{'version':<28}{'MB':>8}{'stored MB':>12}")
        log(root, pixels, "as it was taken")
        pixels[:, CLOUD.row_off : CLOUD.row_off + CLOUD.height, CLOUD.col_off : CLOUD.col_off + CLOUD.width] = 0
        log(root, pixels, "a cloud masked")
        pixels[2] = np.where(pixels[2], pixels[2] + 25, 0)
        log(root, pixels, "the third band calibrated")
        print()
        for version in root.versions(SCENE):
            look(root, f"{SCENE}@v{version.number}")


def log(root: mvs.ArtifactRoot, pixels: npt.NDArray[np.uint16], what: str) -> None:
    """Writes the scene into the store; the file is a version as soon as it is closed."""
    before = root.store.counts
    with root.open(SCENE, "wb") as file, rasterio.open(file, "w", **PROFILE) as dataset:
        dataset.write(pixels)
    stored = (root.store.counts - before).bytes_up
    print(f"{what:<28}{root.get(SCENE).size / 1e6:>8.2f}{stored / 1e6:>12.2f}")


def look(root: mvs.ArtifactRoot, address: str) -> None:
    """Reads one window of one band of a version, and says what that moved."""
    before = root.store.counts
    # With an opener, rasterio seeks in the file; of a file object it would read everything.
    with rasterio.open(address, opener=root.open) as dataset:
        window = dataset.read(3, window=CLOUD, masked=True)
    moved = (root.store.counts - before).bytes_down
    seen = "masked" if window.mask.all() else f"mean {window.mean():.1f}"
    print(f"{address}: {CLOUD.width} × {CLOUD.height} pixels, {seen}; {moved / 1e6:.2f} MB moved")


def scene(seed: int = 33) -> npt.NDArray[np.uint16]:
    """Three bands of hills and fields, with the noise of a sensor."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[0:PIXELS, 0:PIXELS] / PIXELS
    hills = 900 + 400 * np.sin(9 * row) * np.cos(7 * column)
    bands = [hills * share + random.normal(0, 12, hills.shape) for share in (0.8, 1.0, 1.3)]
    return np.stack(bands).astype(np.uint16)


if __name__ == "__main__":
    main()
