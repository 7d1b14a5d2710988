"""MLflow tracking: an SQLite database for tests that run in this process, and `mlflow server` for those that do not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.process import Process, answers, free_port

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@contextmanager
def mlflow_at(uri: str) -> Iterator[None]:
    """Send this process's `mlflow.…` calls to a tracking URI; afterwards nothing of it is remembered."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        yield
    finally:
        while mlflow.active_run() is not None:
            mlflow.end_run()
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # the way to unset it
        mlflow.set_registry_uri(None)  # type: ignore[arg-type]
        # `set_experiment` keeps the id, which means another experiment, or none, in the next database.
        mlflow.tracking.fluent._active_experiment_id = None
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
            os.environ.pop(name, None)


class Tracking:
    """An MLflow tracking database, or the server in front of one.

    Attributes:
        uri: MLflow's tracking URI.
        client: A client of it.
    """

    def __init__(self, uri: str) -> None:
        from mlflow.tracking import MlflowClient

        self.uri = uri
        self.client: MlflowClient = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def new_experiment(self, artifact_location: str | None = None) -> str:
        """Create an experiment, with its artifacts at `artifact_location`, and return its id."""
        number = len(self.client.search_experiments())
        return self.client.create_experiment(f"experiment-{number}", artifact_location=artifact_location)

    def new_run(self, artifact_location: str | None = None) -> str:
        """Create a run in an experiment of its own and return its id."""
        return str(self.client.create_run(self.new_experiment(artifact_location)).info.run_id)


class TrackingServer(Tracking):
    """An `mlflow server` that keeps its clients' artifacts (or, as they say, proxies them).

    Args:
        folder: Where its database and its log go.
        database: A fresh tracking database to copy: making one takes seconds.
        artifacts_destination: Where the server keeps artifacts.
        workers: How many server processes there are.
        environment: Variables beside those of the test process.
        arguments: More arguments of `mlflow server`.
    """

    name = "mlflow server"

    def __init__(
        self,
        folder: Path,
        database: Path,
        artifacts_destination: str,
        *,
        workers: int = 4,
        environment: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = (),
    ) -> None:
        port = free_port()
        shutil.copy(database, folder / "tracking.db")
        options = {
            "--backend-store-uri": f"sqlite:///{folder / 'tracking.db'}",
            "--artifacts-destination": artifacts_destination,
            "--host": "127.0.0.1",
            "--port": str(port),
            "--workers": str(workers),
        }
        # Without this the server would also keep a pool of job processes, which no test here needs.
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.process = Process(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                *(word for pair in options.items() for word in pair),
                *arguments,
            ],
            log=folder / "server.log",
            ready=partial(answers, f"http://127.0.0.1:{port}/health"),
            environment=quiet | dict(environment or {}),
        )
        self.process.start()
        super().__init__(f"http://127.0.0.1:{port}")

    def stop(self) -> None:
        """Stop the server and its workers."""
        self.process.stop()
