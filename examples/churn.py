"""The churn guide: three versions of a table, a model for each, and every version back again.

    python examples/churn.py                                    an embedded store in a fresh folder below demo/
    python examples/churn.py --tracking-uri http://server:5000  a tracking server, wherever it keeps its artifacts
    python examples/churn.py --artifact-location versioned-s3://bucket/churn

Every call is plain MLflow; only the artifact location says that versions are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
import numpy as np
import pandas as pd
from mlflow.artifacts import download_artifacts
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDER = "data"
SERVICES = ["OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport", "StreamingTV", "StreamingMovies"]
MONTHS = {"Month-to-month": 1, "One year": 12, "Two year": 24}
YES_NO = np.array(["Yes", "No"])


@dataclass
class Gains:
    """What was logged, one row an upload, and what the store keeps of it.

    Attributes:
        stored: tells the bytes of the store; None where only the server can see them.
        rows: (what, bytes, seconds, bytes added to the store).
    """

    stored: Callable[[], int] | None
    rows: list[tuple[str, int, float, int | None]] = field(default_factory=list)

    def log_artifact(self, path: Path, what: str) -> None:
        """`mlflow.log_artifact` into the active run's data folder, timed."""
        before, start = self.stored() if self.stored else 0, time.perf_counter()
        mlflow.log_artifact(str(path), FOLDER)
        seconds = time.perf_counter() - start
        self.rows.append((what, path.stat().st_size, seconds, self.stored() - before if self.stored else None))

    def print(self) -> None:
        """Prints the rows and their sum."""
        seconds, logged = sum(row[2] for row in self.rows), sum(row[1] for row in self.rows)
        kept = sum(row[3] or 0 for row in self.rows) if self.stored else None
        print(f"\n{'logged':<44}{'MB':>8}{'stored MB':>12}{'seconds':>10}")
        for what, size, took, added in [*self.rows, (f"{len(self.rows)} versions", logged, seconds, kept)]:
            print(f"{what:<44}{size / 1e6:>8.1f}{'' if added is None else f'{added / 1e6:.2f}':>12}{took:>10.2f}")
        if kept:
            print(f"Every version is kept, in 1/{logged / kept:.1f} of the bytes that were logged.")


def main() -> None:
    """Runs the guide and prints what was gained."""
    tracking_uri, location, rows = _options()
    mlflow.set_tracking_uri(tracking_uri)
    name = f"churn-{time.strftime('%Y%m%d-%H%M%S')}"
    experiment = mlflow.create_experiment(name, artifact_location=location)
    mlflow.set_experiment(name)
    gains = Gains(_stored_at(location))
    print(f"tracking: {tracking_uri}\nartifacts: {mlflow.get_experiment(experiment).artifact_location}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        runs = log_three_versions(work, rows, gains)
        compare(runs)
        fetch_by_run(runs["raw_version"], work)
        log_twice(runs["v2"], work, gains)
    gains.print()
    if tracking_uri.startswith("sqlite:"):
        look_around(tracking_uri, runs["v2"])


def log_three_versions(work: Path, rows: int, gains: Gains) -> dict[str, str]:
    """Logs raw, cleansed and enriched data, each in a run of its own that reads the one before; returns the runs."""
    runs = {}
    with mlflow.start_run(run_name="raw_version") as run:
        table = raw_table(rows)
        gains.log_artifact(write(table, work / "raw_data.csv"), "raw_version  raw_data.csv")
        train(table)
        runs["raw_version"] = run.info.run_id
    with mlflow.start_run(run_name="v1") as run:
        raw = download_artifacts(run_id=runs["raw_version"], artifact_path=f"{FOLDER}/raw_data.csv")
        table = cleanse(read(raw))
        gains.log_artifact(write(table, work / "cleansed_data.csv"), "v1           cleansed_data.csv")
        train(table)
        runs["v1"] = run.info.run_id
    with mlflow.start_run(run_name="v2") as run:
        cleansed = download_artifacts(run_id=runs["v1"], artifact_path=f"{FOLDER}/cleansed_data.csv")
        table = enrich(read(cleansed))
        gains.log_artifact(write(table, work / "enriched_data.csv"), "v2           enriched_data.csv")
        train(table)
        runs["v2"] = run.info.run_id
    return runs


def compare(runs: dict[str, str]) -> None:
    """Prints the score of the model of each version."""
    print("\nmodel trained on            AUC")
    for name, run_id in runs.items():
        print(f"{name:<24}{mlflow.get_run(run_id).data.metrics['auc']:>7.4f}")


def fetch_by_run(run_id: str, work: Path) -> None:
    """Downloads what a run logged and checks that it is the same file."""
    local = Path(download_artifacts(run_id=run_id, artifact_path=f"{FOLDER}/raw_data.csv"))
    same(local, work / "raw_data.csv")
    print(f"\nraw_data.csv of run {run_id} came back byte for byte ({sha256(local)[:12]}…)")


def log_twice(run_id: str, work: Path, gains: Gains) -> None:
    """Logs a file again under the name it has, and gets both versions back."""
    path = work / "enriched_data.csv"
    first = path.rename(work / "first.csv")
    with mlflow.start_run(run_id=run_id):
        gains.log_artifact(write(correct(read(first)), path), "v2           enriched_data.csv, 1 % corrected")
    for address, original in ((f"{path.name}@v1", first), (f"{path.name}@v2", path), (path.name, path)):
        same(Path(download_artifacts(run_id=run_id, artifact_path=f"{FOLDER}/{address}")), original)
        print(f"{address:<21} came back: {original.stat().st_size:,} bytes ({sha256(original)[:12]}…)")


def look_around(tracking_uri: str, run_id: str) -> None:
    """Prints commands that show the versions of the file that was logged twice, the older of them, and the runs."""
    programs = shlex.quote(str(Path(sys.executable).parent))
    file = f"runs:/{run_id}/{FOLDER}/enriched_data.csv"
    print("\nLook around:")
    print(f"export MLFLOW_TRACKING_URI={shlex.quote(tracking_uri)}")
    print(f"{programs}/mvs versions {file}")
    print(f"{programs}/mvs cat {file}@v1 | head -3")
    print(f'{programs}/mlflow ui --backend-store-uri "$MLFLOW_TRACKING_URI"')


def raw_table(rows: int, seed: int = 5) -> pd.DataFrame:
    """A telecom churn table as an export gives it: ids, categories, charges, and a few per cent of dirt."""
    random = np.random.default_rng(seed)
    letters = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", dtype="S1")[random.integers(0, 26, (rows, 5))]
    tenure = random.integers(1, 73, rows)
    monthly = np.round(random.uniform(18.25, 118.75, rows), 2)
    contract = random.choice(list(MONTHS), rows, p=[0.55, 0.21, 0.24])
    services = {name: random.choice(YES_NO, rows) for name in SERVICES}
    used = sum((column == "Yes").astype(int) for column in services.values())
    months = pd.Series(contract).map(MONTHS).to_numpy()
    risk = 0.03 * monthly - 0.03 * tenure - 0.12 * months - 0.45 * used + random.normal(0, 1, rows) + 0.6
    total = pd.Series(np.round(monthly * tenure, 2)).map("{:.2f}".format)
    # Exports leave blanks where there is no number, and the same customer twice.
    total[random.random(rows) < 0.01] = " "
    table = pd.DataFrame(
        {
            "customerID": [
                f"{n}-{code.tobytes().decode()}"
                for n, code in zip(random.integers(1000, 9999, rows), letters, strict=True)
            ],
            "gender": random.choice(["Female", "Male"], rows),
            "SeniorCitizen": random.choice([0, 1], rows, p=[0.84, 0.16]),
            "Partner": random.choice(YES_NO, rows),
            "Dependents": random.choice(YES_NO, rows, p=[0.3, 0.7]),
            "tenure": tenure,
            "InternetService": random.choice(["DSL", "Fiber optic", "No"], rows, p=[0.34, 0.44, 0.22]),
            **services,
            "Contract": contract,
            "PaperlessBilling": random.choice(YES_NO, rows),
            "PaymentMethod": random.choice(["Electronic check", "Mailed check", "Bank transfer", "Credit card"], rows),
            "MonthlyCharges": monthly,
            "TotalCharges": total,
            "Churn": np.where(random.random(rows) < 1 / (1 + np.exp(-risk)), "Yes", "No"),
        }
    )
    twice = random.choice(rows, rows // 200, replace=False)
    return table.iloc[np.sort(np.concatenate([np.arange(rows), twice]))].reset_index(drop=True)


def cleanse(table: pd.DataFrame) -> pd.DataFrame:
    """Drops customers that appear twice and fills in the totals that are blank."""
    table = table.drop_duplicates("customerID").reset_index(drop=True)
    blank = table["TotalCharges"].str.strip() == ""
    table.loc[blank, "TotalCharges"] = (table["MonthlyCharges"] * table["tenure"])[blank].map("{:.2f}".format)
    return table


def enrich(table: pd.DataFrame) -> pd.DataFrame:
    """Adds what a model can use: the length of the contract and the number of services."""
    return table.assign(
        ContractMonths=table["Contract"].map(MONTHS),
        ServiceCount=(table[SERVICES] == "Yes").sum(axis=1),
    )


def correct(table: pd.DataFrame, seed: int = 6) -> pd.DataFrame:
    """Corrects the monthly charges of 1 % of the customers."""
    table = table.copy()
    chosen = np.random.default_rng(seed).choice(len(table), len(table) // 100, replace=False)
    table.loc[chosen, "MonthlyCharges"] = (table.loc[chosen, "MonthlyCharges"] * 1.05).round(2)
    return table


def train(table: pd.DataFrame) -> None:
    """Trains a model on the numbers of a table, and logs it and its score to the active run."""
    numbers = table.drop(columns="Churn").apply(pd.to_numeric, errors="coerce").dropna(axis="columns")
    features, held_out, churn, truth = train_test_split(numbers, table["Churn"] == "Yes", random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, churn)
    mlflow.log_param("features", ", ".join(numbers.columns))
    mlflow.log_metric("auc", float(roc_auc_score(truth, model.predict_proba(held_out)[:, 1])))
    mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])


def write(table: pd.DataFrame, path: Path) -> Path:
    """Writes a table as CSV and returns the path."""
    table.to_csv(path, index=False)
    return path


def read(path: str | Path) -> pd.DataFrame:
    """Reads a table back with its charges as they were written."""
    return pd.read_csv(path, dtype={"TotalCharges": str}, keep_default_na=False)


def same(local: Path, original: Path) -> None:
    """Stops the guide where a download is not the file that was logged."""
    if sha256(local) != sha256(original):
        raise SystemExit(f"{local} is not what was logged as {original.name}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options() -> tuple[str, str | None, int]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracking-uri", help="MLflow's tracking store or server (default: SQLite in a fresh folder)")
    parser.add_argument("--artifact-location", help="where artifacts go (default: a store in the same folder)")
    parser.add_argument("--rows", type=int, default=300_000, help="rows of the table (default %(default)s)")
    options = parser.parse_args()
    tracking_uri, location = options.tracking_uri, options.artifact_location
    if tracking_uri is None:
        folder = Path("demo", time.strftime("%Y%m%d-%H%M%S")).resolve()
        folder.mkdir(parents=True)
        tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
        location = location or f"versioned-file://{folder / 'store'}"
    return tracking_uri, location, options.rows


def _stored_at(location: str | None) -> Callable[[], int] | None:
    parts = urlsplit(location or "")
    if parts.scheme == "versioned-file":
        folder = Path(parts.path)
        return lambda: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if parts.scheme == "versioned-s3":
        return lambda: _bucket_bytes(parts.netloc, parts.path.strip("/"))
    return None


def _bucket_bytes(bucket: str, prefix: str) -> int:
    import os

    import boto3

    client = boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"))
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return sum(found["Size"] for page in pages for found in page.get("Contents", ()))


if __name__ == "__main__":
    main()
