"""pyarrow: a partitioned dataset that changes as a whole, and is read as it was at any commit.

    pip install mlflow-versioned-store pyarrow
    python examples/with_pyarrow.py

A folder at an address, such as weather@c1, is the dataset as of that commit, whatever came since.
"""

from __future__ import annotations

import tempfile

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

import mlflow_versioned_store as mvs

FOLDER = "weather"
STATIONS = ["Sonnblick", "Patscherkofel", "Schmittenhöhe"]


def main() -> None:
    """Writes a dataset, mends one of its partitions, and reads both states."""
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'3' * 32}/artifacts", create=True)
        filesystem, path = fsspec.url_to_fs(f"{root.uri}/{FOLDER}")

        # In a transaction all files of a dataset are one commit: nobody ever sees half of it.
        with filesystem.transaction:
            write(readings(), path, filesystem)
        broken = readings()
        celsius = pc.if_else(pc.greater(broken["celsius"], 30), pa.scalar(None, pa.float64()), broken["celsius"])
        with filesystem.transaction:
            mended = broken.set_column(2, "celsius", celsius).filter(pc.field("station") == STATIONS[0])
            write(mended, path, filesystem)

        for commit in root.history(FOLDER):
            files = [f"{entry.path}@v{entry.version}" for change in commit.changes for entry in change.entries]
            print(f"c{commit.number} wrote", *files, sep="\n   ")
        for address in (f"{path}@c1", f"{path}@c2"):
            before = root.store.counts
            dataset = ds.dataset(address, filesystem=filesystem, partitioning="hive")
            warm = dataset.to_table(columns=["celsius"], filter=pc.field("station") == STATIONS[0])["celsius"]
            moved = (root.store.counts - before).bytes_down
            print(f"{address[-10:]}: {STATIONS[0]} had at most {pc.max(warm)} °C; {moved / 1e6:.2f} MB moved")


def write(table: pa.Table, path: str, filesystem: fsspec.AbstractFileSystem) -> None:
    """Writes a table as one Parquet file for each station."""
    ds.write_dataset(
        table,
        path,
        format="parquet",
        filesystem=filesystem,
        partitioning=["station"],
        partitioning_flavor="hive",
        existing_data_behavior="overwrite_or_ignore",
    )


def readings(rows: int = 200_000, seed: int = 3) -> pa.Table:
    """What weather stations report, with a thermometer that now and then reads far too much."""
    random = np.random.default_rng(seed)
    celsius = random.normal(-2, 6, rows).round(1)
    celsius[random.random(rows) < 0.001] = 85.0
    return pa.table(
        {
            "station": random.choice(STATIONS, rows),
            "minute": np.arange(rows),
            "celsius": celsius,
            "pascal": random.normal(70_000, 500, rows),
        }
    )


if __name__ == "__main__":
    main()
