"""Runs scenarios, stock and ours in turn, and collects what every step took."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import Data
from benchmarks.lines import Scenario, Step
from benchmarks.memory import Peak, descendants, warm
from benchmarks.order import Worker
from benchmarks.traffic import Traffic, fresh_bucket, stored, traffic
from tests.servers.minio import Minio
from tests.servers.process import Process, free_port, listens
from tests.servers.tracking import Tracking, TrackingServer

# More than any timed step makes anew, in the store and beside it.
_WARM_BYTES = 3 << 30
SCHEMES = {"stock": "s3", "ours": "versioned-s3"}


@dataclass(frozen=True)
class Measurement:
    """What one step took in one round.

    Attributes:
        line: which line of the table.
        side: "stock" or "ours".
        round: counted from 1.
        seconds: wall clock of MLflow's call; of the slowest where several processes worked at once.
        cpu_seconds: processor time of the clients, all threads together.
        stored: bytes added to the bucket.
        traffic: requests and bytes the object store counted, until the process had ended.
        memory: peak bytes over idle of the heaviest process; of the server's, where artifacts are proxied.
        load: the machine's load average beforehand, to judge the figures by.
        detail: what the operation says besides.
    """

    line: str
    side: str
    round: int
    seconds: float
    cpu_seconds: float
    stored: int
    traffic: Traffic
    memory: int
    load: float
    detail: dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """One MinIO, the link clients reach it by, and the data.

    Attributes:
        minio: the object store.
        endpoint: where clients find it: the server itself, or the near end of a link.
        folder: logs, databases and downloads go here.
        data: the inputs.
    """

    minio: Minio
    endpoint: str
    folder: Path
    data: Data

    def run(self, scenario: Scenario, side: str, number: int) -> Iterator[Measurement]:
        """One round of one scenario for one side, in a fresh bucket that is removed afterwards."""
        with (
            fresh_bucket(self.minio) as bucket,
            tempfile.TemporaryDirectory(dir=self.folder) as scratch,
            self._place(scenario, f"{SCHEMES[side]}://{bucket}/mlflow", Path(scratch)) as place,
        ):
            for step in scenario.steps(self.data):
                measured = self._step(step, place, bucket)
                if step.line is not None:
                    yield Measurement(step.line, side, number, **measured)

    @contextmanager
    def _place(self, scenario: Scenario, location: str, scratch: Path) -> Iterator[_Place]:
        environment = self.minio.environment() | {"MLFLOW_S3_ENDPOINT_URL": self.endpoint} | dict(scenario.environment)
        scheme = location.partition(":")[0]
        if scenario.native and scheme == SCHEMES["ours"]:
            _keep_natively(location, environment)
        tracking = Tracking(f"sqlite:///{scratch / 'direct.db'}")
        experiment = tracking.new_experiment(location)
        if not scenario.server_workers:
            yield _Place(tracking, experiment, scratch, environment, scheme)
            return
        workers = scenario.server_workers
        environment["MVS_CACHE_DIR"] = str(scratch / "server-cache")
        server = TrackingServer(scratch, scratch / "direct.db", location, workers=workers, environment=environment)
        try:
            yield _Place(server, server.new_experiment(), scratch, environment, "mlflow-artifacts")
        finally:
            server.stop()

    def _step(self, step: Step, place: _Place, bucket: str) -> dict[str, Any]:
        before, load = stored(self.minio, bucket), os.getloadavg()[0]
        with ExitStack() as stack:
            cache = place.scratch / step.cache if step.cache else tempfile.mkdtemp(dir=place.scratch)
            environment = place.environment | {"MVS_CACHE_DIR": str(cache)}
            workers = [stack.enter_context(Worker.started(place.scratch, environment)) for _ in step.each]
            for worker, own in zip(workers, step.each, strict=True):
                worker.prepare(place.order(step) | own)
            warm(_WARM_BYTES)
            already = traffic(self.minio)
            peaks = place.server_peaks()
            for worker in workers:
                worker.go()
            answers = [worker.answer() for worker in workers]
        # The workers have ended: what they did last is counted too.
        seen = traffic(self.minio) - already
        peaked = [peak.bytes_over_idle() for peak in peaks] or [answer["memory"] for answer in answers]
        return {
            "seconds": max(answer["seconds"] for answer in answers),
            "cpu_seconds": sum(answer["cpu_seconds"] for answer in answers),
            "stored": stored(self.minio, bucket) - before,
            "traffic": seen,
            "memory": max(peaked),
            "load": load,
            "detail": {name: max(answer["detail"][name] for answer in answers) for name in answers[0]["detail"]},
        }


@dataclass(frozen=True)
class _Place:
    """Where the runs of one round of a scenario are tracked, and how their artifacts are reached."""

    tracking: Tracking
    experiment: str
    scratch: Path
    environment: dict[str, str]
    scheme: str
    runs: dict[str, str] = field(default_factory=dict)

    def order(self, step: Step) -> dict[str, Any]:
        """The order of a step for its workers; a run is created when it is first named."""
        if step.run not in self.runs:
            self.runs[step.run] = self.tracking.client.create_run(self.experiment).info.run_id
        return {
            "operation": step.operation,
            "tracking": self.tracking.uri,
            "experiment": self.experiment,
            "run": self.runs[step.run],
            "scheme": self.scheme,
            "scratch": str(self.scratch),
            "warm": step.warm,
            **step.order,
        }

    def server_peaks(self) -> list[Peak]:
        """Watches on the processes of the tracking server; none without one."""
        if not isinstance(self.tracking, TrackingServer):
            return []
        return [Peak(pid) for pid in descendants(self.tracking.process.pid)]


def _keep_natively(location: str, environment: Mapping[str, str]) -> None:
    """Make a store that keeps everything as plain objects."""
    command = [sys.executable, "-m", "mlflow_versioned_store", "init", "--native", "**", location]
    subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def link(minio: Minio, folder: Path, *, mbit: float, latency_ms: float) -> Iterator[str]:
    """The near end of a link to MinIO with this rate and latency."""
    near, far = free_port(), minio.endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.link", "--listen", str(near), "--target", far]
    command += ["--mbit", str(mbit), "--latency-ms", str(latency_ms)]
    process = Process(command, log=folder / "link.log", ready=lambda: listens(near), folder=Path.cwd())
    process.start()
    try:
        yield f"http://127.0.0.1:{near}"
    finally:
        process.stop()
