"""DuckDB: queries over versions, also over several of one table at once.

    pip install mlflow-versioned-store duckdb
    python examples/with_duckdb.py

The tables are Parquet: a query moves the columns that it names, of the versions that it names.
"""

from __future__ import annotations

import tempfile

import duckdb
import fsspec

import mlflow_versioned_store as mvs

TABLE = "data/trips.parquet"


def main() -> None:
    """Makes two versions of a table with DuckDB, and asks what changed between them."""
    duckdb.register_filesystem(fsspec.filesystem("versioned-file"))
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'2' * 32}/artifacts", create=True)
        trips = f"{root.uri}/{TABLE}"

        duckdb.table_function("range", [300_000]).project("""
            range as id, 'zone ' || hash(range) % 20 as zone, hash(range * 7) % 4000 / 100 as fare,
            md5(range::varchar) as driver
        """).write_parquet(trips)
        first = duckdb.read_parquet(f"{trips}@v1")
        first.project("* replace (if(zone = 'zone 7', round(fare * 1.1, 2), fare) as fare)").write_parquet(trips)
        second = duckdb.read_parquet(f"{trips}@v2")

        before = root.store.counts
        print(
            first.set_alias("old")
            .join(second.set_alias("new"), "old.id = new.id")
            .filter("old.fare != new.fare")
            .aggregate("new.zone, count(*) as changed, round(sum(new.fare - old.fare), 2) as more")
        )
        moved = (root.store.counts - before).bytes_down
        size = sum(version.size for version in root.versions(TABLE))
        print(f"That moved {moved / 1e6:.1f} MB of {size / 1e6:.1f} MB: the drivers were not asked for.")


if __name__ == "__main__":
    main()
