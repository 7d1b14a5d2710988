"""pandas: tables that are read and written by the URIs of their versions.

    pip install mlflow-versioned-store pandas
    python examples/with_pandas.py

Nothing is registered or imported for it: pandas finds the file system by the scheme of the URI.
"""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd

import mlflow_versioned_store as mvs

TABLE = "data/orders.csv"


def main() -> None:
    """Writes a table twice, and compares what it says now with what it said before."""
    with tempfile.TemporaryDirectory() as folder:
        root = mvs.open_root(f"versioned-file://{folder}/store/1/{'1' * 32}/artifacts", create=True)
        uri = f"{root.uri}/{TABLE}"

        orders(50_000).to_csv(uri, index=False)
        root.alias(TABLE, "as-billed", "v1")
        corrected = pd.read_csv(uri)
        wrong = corrected["amount"] > 195
        corrected.loc[wrong, "amount"] = (corrected.loc[wrong, "amount"] / 10).round(2)
        before = root.store.counts
        corrected.to_csv(uri, index=False)
        stored = (root.store.counts - before).bytes_up

        for version in root.versions(TABLE):
            print(f"{TABLE}@v{version.number}  {version.size:,} bytes  {version.sha256[:12]}…")
        print(f"The second one took {stored:,} bytes more; {wrong.sum():,} of {len(wrong):,} rows were corrected.\n")

        billed = pd.read_csv(f"{uri}@as-billed")
        now = pd.read_csv(uri)
        assert now.equals(corrected)
        sums = {"billed": billed.groupby("city")["amount"].sum(), "now": now.groupby("city")["amount"].sum()}
        print(pd.DataFrame({**sums, "change": sums["now"] - sums["billed"]}).round(2))


def orders(rows: int, seed: int = 1) -> pd.DataFrame:
    """Orders as a shop exports them."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "city": random.choice(["Graz", "Linz", "Wels"], rows),
            "amount": random.uniform(1, 200, rows).round(2),
        }
    )


if __name__ == "__main__":
    main()
