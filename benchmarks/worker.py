"""One measured process: MLflow's own calls on one run, timed after everything they need has been imported.

The benchmark starts it, writes one JSON order to its standard input and reads one JSON answer from its output.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import multiprocessing
import pkgutil
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import adoption, commands, data, diffs, gateway, reading
from benchmarks.memory import Peak
from benchmarks.order import READY, SECONDS_MAX

STOCK_MODULES: tuple[str, ...] = (
    "boto3",
    "botocore.session",
    "s3transfer.manager",
    "mlflow.store.artifact.s3_artifact_repo",
)
OUR_MODULES = ("boto3", "obstore.store", "blake3", "msgspec.json", "pyfastcdc", "xxhash", "zstandard")
# No upload or download imports these.
NOT_IMPORTED = {"__main__", "api", "catalog", "cli", "diff", "filesystem", "gateway", "policies", "testing"}
PROXY_MODULES: tuple[str, ...] = ("mlflow.store.artifact.mlflow_artifacts_repo",)


def main() -> None:
    """Carries out the order on standard input."""
    order = json.loads(sys.stdin.readline())
    answer = carry_out(order)
    print(json.dumps(answer), flush=True)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Prepares, waits for the word where others start at the same moment, works, and answers with what it took."""
    import mlflow

    mlflow.set_tracking_uri(order["tracking"])
    with mlflow.start_run(run_id=order["run"]):
        if order["warm"]:
            warm(order["scheme"])
        work = OPERATIONS[order["operation"]](order)
        print(json.dumps(READY), flush=True)
        sys.stdin.readline()
        faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)
        watch = Peak()
        start, start_cpu = time.perf_counter(), time.process_time()
        detail = work() or {}
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        return {
            "seconds": detail.pop("seconds", seconds),
            "cpu_seconds": cpu,
            "memory": detail.pop("memory", watch.bytes_over_idle()),
            "detail": detail,
        }


def warm(scheme: str) -> None:
    """Imports what an upload or download imports late, and nothing else: no client, connection or cache is made."""
    modules = {"s3": STOCK_MODULES, "mlflow-artifacts": PROXY_MODULES}.get(scheme)
    for name in modules or (*OUR_MODULES, *_package_modules()):
        importlib.import_module(name)


def _package_modules() -> list[str]:
    package = importlib.import_module("mlflow_versioned_store")
    names = [found.name for found in pkgutil.walk_packages(package.__path__, "mlflow_versioned_store.")]
    return [name for name in names if not NOT_IMPORTED & set(name.split("."))]


Work = Callable[[], "dict[str, Any] | None"]


def log_file(order: dict[str, Any]) -> Work:
    """`mlflow.log_artifact` of one file, under the name the order gives."""
    import mlflow

    folder = Path(tempfile.mkdtemp(dir=order["scratch"]))
    path = folder / order["name"]
    path.symlink_to(order["path"])
    return lambda: mlflow.log_artifact(str(path), "data")


def log_folder(order: dict[str, Any]) -> Work:
    """`mlflow.log_artifacts` of a directory."""
    import mlflow

    return lambda: mlflow.log_artifacts(order["path"], "data")


def download(order: dict[str, Any]) -> Work:
    """`mlflow.artifacts.download_artifacts` of a path of the run, into a fresh folder."""
    import mlflow

    folder = tempfile.mkdtemp(dir=order["scratch"])

    def work() -> dict[str, Any]:
        start = time.perf_counter()
        local = mlflow.artifacts.download_artifacts(run_id=order["run"], artifact_path=order["name"], dst_path=folder)
        seconds = time.perf_counter() - start
        size = data.size_of(Path(local))
        shutil.rmtree(folder)
        if order["size"] and size != order["size"]:
            raise RuntimeError(f"{order['name']}: {size:,} bytes came back, {order['size']:,} were logged")
        return {"seconds": seconds}

    return work


def log_texts(order: dict[str, Any]) -> Work:
    """`mlflow.log_text` of many small texts, one after another, after a first that is not measured."""
    import mlflow

    def work() -> None:
        for number in range(order["count"]):
            mlflow.log_text(f"text {number}", f"notes/{number}.txt")

    mlflow.log_text("first", "notes/first.txt")
    return work


def log_model(_: dict[str, Any]) -> Work:
    """`mlflow.sklearn.log_model` of a small model, its requirements given, so that no inference of them is timed."""
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    importlib.import_module("skops.io")  # MLflow writes the model with it; importing it takes a second
    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]] * 20, [0, 1] * 20)

    def work() -> dict[str, Any]:
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=["scikit-learn"])
        return {"model": info.model_uri}

    return work


def load_model(order: dict[str, Any]) -> Work:
    """`mlflow.sklearn.load_model` of the model the run logged."""
    import mlflow.sklearn

    importlib.import_module("skops.io")  # MLflow reads the model with it; importing it takes a second
    (model,) = mlflow.search_logged_models(experiment_ids=[order["experiment"]], output_format="list", max_results=1)

    def work() -> None:
        mlflow.sklearn.load_model(model.model_uri)

    return work


def list_folder(order: dict[str, Any]) -> Work:
    """`mlflow.artifacts.list_artifacts` of a folder of the run."""
    import mlflow

    def work() -> None:
        found = mlflow.artifacts.list_artifacts(run_id=order["run"], artifact_path=order["name"])
        if len(found) != order["count"]:
            raise RuntimeError(f"{len(found)} entries were listed, {order['count']} were logged")

    return work


def log_by_threads(order: dict[str, Any]) -> Work:
    """Threads that each log one file of their own into the one run, all starting at once."""
    import mlflow

    paths = order.get("paths") or _files_of(order["process"], order["threads"], Path(order["scratch"]))
    client = mlflow.MlflowClient()

    def log(path: str) -> float:
        start = time.perf_counter()
        client.log_artifact(order["run"], path, "data")
        return time.perf_counter() - start

    def work() -> dict[str, Any]:
        with ThreadPoolExecutor(len(paths)) as pool:
            return {"slowest": max(pool.map(log, paths))}

    return work


def _files_of(process: int, count: int, folder: Path) -> list[str]:
    paths = [folder / f"{process:02d}-{number:02d}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"".join(data.random_blocks(1024, seed=1000 * process + number)))
    return list(map(str, paths))


def log_edits(order: dict[str, Any]) -> Work:
    """The same table logged again and again under one name, edited each time; only the logging is timed."""
    import mlflow

    path = Path(tempfile.mkdtemp(dir=order["scratch"])) / order["name"]
    shutil.copyfile(order["path"], path)

    def work() -> dict[str, Any]:
        took = []
        # Another process edits, so that this one's memory is what logging takes.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as editor:
            for number in range(order["count"]):
                editor.submit(data.edit_file, path, number, insertions=50, deletions=50).result()
                start = time.perf_counter()
                mlflow.log_artifact(str(path), "data")
                took.append(time.perf_counter() - start)
        return {"seconds": sum(took), "first": took[0], "last": took[-1]}

    return work


OPERATIONS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "log_file": log_file,
    "log_folder": log_folder,
    "download": download,
    "log_texts": log_texts,
    "log_model": log_model,
    "load_model": load_model,
    "list_folder": list_folder,
    "log_by_threads": log_by_threads,
    "log_edits": log_edits,
    **reading.OPERATIONS,
    **diffs.OPERATIONS,
    **commands.OPERATIONS,
    **adoption.OPERATIONS,
    **gateway.OPERATIONS,
}

if __name__ == "__main__":
    main()
