"""Tools that know fsspec, and nothing of this package, read and write versions on MinIO."""

from __future__ import annotations

import io

import dask.dataframe as dd
import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from mlflow_versioned_store.filesystem import VersionedFileSystem
from tests.filesystem.conftest import ROOT, counted

ROWS = 200_000


@pytest.fixture
def root(minio_store: str) -> str:
    """An artifact root on MinIO."""
    return f"{minio_store}/{ROOT}"


@pytest.fixture
def filesystem() -> VersionedFileSystem:
    """The file system."""
    found: VersionedFileSystem = fsspec.filesystem("versioned-s3")
    return found


def frame(seed: int, rows: int = ROWS) -> pd.DataFrame:
    """Return a table of numbers and words."""
    source = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "amount": source.normal(size=rows),
            "other": source.normal(size=rows),
            "word": source.choice(["gold", "silver", "tin"], rows),
        }
    )


def test_pandas_reads_and_writes_versions(root: str) -> None:
    """CSV, compressed CSV and Parquet by URI; each write is a version, an error makes none."""
    first, second = frame(1, 1000), frame(2, 1000)
    for table in (first, second):
        table.to_csv(f"{root}/data/train.csv", index=False)
        table.to_csv(f"{root}/data/train.csv.gz", index=False)
        table.to_parquet(f"{root}/data/train.parquet")
    pd.testing.assert_frame_equal(pd.read_csv(f"{root}/data/train.csv@v1"), first)
    pd.testing.assert_frame_equal(pd.read_csv(f"{root}/data/train.csv"), second)
    pd.testing.assert_frame_equal(pd.read_csv(f"{root}/data/train.csv.gz@v1/train.csv.gz"), first)
    pd.testing.assert_frame_equal(pd.read_parquet(f"{root}/data/train.parquet@@v1"), first)
    with pytest.raises(IndexError):
        first.to_csv(f"{root}/data/train.csv", float_format=lambda _: ""[1])
    assert fsspec.filesystem("versioned-s3").info(f"{root}/data/train.csv")["version"] == 2


def test_pyarrow_reads_a_dataset_of_a_commit(filesystem: VersionedFileSystem, root: str) -> None:
    """A partitioned dataset as it was, though it has changed since, with a filter and some columns only."""
    table = pa.Table.from_pandas(frame(1, 5000))
    folder = filesystem._strip_protocol(f"{root}/data")
    with filesystem.transaction:
        pq.write_to_dataset(table, folder, partition_cols=["word"], filesystem=filesystem)
    filesystem.rm(f"{root}/data/word=gold", recursive=True)
    then = ds.dataset(f"{folder}@c1", filesystem=filesystem, partitioning="hive")
    gold = then.to_table(columns=["amount"], filter=ds.field("word") == "gold")
    assert gold.num_rows == int((table["word"].to_pandas() == "gold").sum())
    assert ds.dataset(folder, filesystem=filesystem, partitioning="hive").count_rows() == 5000 - gold.num_rows


def test_one_column_moves_about_its_own_bytes(filesystem: VersionedFileSystem, root: str) -> None:
    """A column of a Parquet file takes few requests and not many more bytes than the column has."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(frame(1)), buffer, row_group_size=ROWS // 4)
    filesystem.pipe(f"{root}/wide.parquet", buffer.getvalue())
    layout = pq.ParquetFile(buffer).metadata
    place = layout.schema.names.index("amount")
    column = sum(layout.row_group(group).column(place).total_compressed_size for group in range(layout.num_row_groups))
    before = counted(root)
    found = pq.read_table(f"{filesystem._strip_protocol(root)}/wide.parquet", columns=["amount"], filesystem=filesystem)
    moved = counted(root) - before
    assert found["amount"].to_numpy().tolist() == frame(1)["amount"].tolist()
    assert moved.bytes_down < column + 4 * 3 * 256 * 1024
    assert moved.requests <= 12


def test_duckdb_queries_versions(filesystem: VersionedFileSystem, root: str) -> None:
    """Two versions of a file in one query, by a registered file system; patterns too."""
    for seed in (1, 2):
        frame(seed, 1000).to_csv(f"{root}/data/train.csv", index=False)
        frame(seed, 1000).to_parquet(f"{root}/data/train.parquet")
    with duckdb.connect() as database:
        database.register_filesystem(filesystem)
        for reader, name in (("read_csv", "train.csv"), ("read_parquet", "train.parquet")):
            changed = database.execute(
                f"select count(*) from {reader}('{root}/data/{name}@@v1') a join {reader}('{root}/data/{name}') b"
                " using (id) where a.amount != b.amount"
            ).fetchall()
            assert changed == [(1000,)]
        (count,) = database.execute(f"select count(*) from read_parquet('{root}/data/*.parquet')").fetchone() or (0,)
        assert count == 1000
        database.execute(f"copy (select 42 as answer) to '{root}/data/answer.csv' (header true)")
    assert filesystem.cat(f"{root}/data/answer.csv") == b"answer\n42\n"


def test_polars_reads_versions_through_fsspec(root: str) -> None:
    """CSV and Parquet of any version, and writing."""
    for seed in (1, 2):
        with fsspec.open(f"{root}/train.parquet", "wb") as file:
            pl.from_pandas(frame(seed, 1000)).write_parquet(file)
    with fsspec.open(f"{root}/train.parquet@v1") as file:
        found = pl.read_parquet(file, columns=["amount"])
    assert found["amount"].to_list() == frame(1, 1000)["amount"].to_list()


def test_dask_reads_in_other_processes(root: str) -> None:
    """A large CSV in blocks and Parquet by row groups, by worker processes that get the file system pickled."""
    table = frame(1, 50_000)
    table.to_csv(f"{root}/train.csv", index=False)
    table.to_parquet(f"{root}/train.parquet", row_group_size=10_000)
    blocks = dd.read_csv(f"{root}/train.csv@@v1", blocksize=500_000)
    assert blocks.npartitions > 3
    assert blocks["id"].sum().compute(scheduler="threads") == table["id"].sum()
    assert blocks["amount"].count().compute(scheduler="processes", num_workers=2) == len(table)
    assert dd.read_parquet(f"{root}/train.parquet@@v1", columns=["id"]).compute(scheduler="threads")["id"].sum() == (
        table["id"].sum()
    )
