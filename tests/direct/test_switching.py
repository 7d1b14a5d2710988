"""Old runs are read by the same MLflow calls after a server or an experiment was switched over, and after a return."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking._tracking_service import utils
from sklearn.linear_model import LinearRegression

from tests.cli.conftest import Mvs
from tests.servers.s3 import S3Server
from tests.servers.tracking import TrackingServer, mlflow_at

pytestmark = pytest.mark.slow

mvs = Mvs()
FEATURES = [[0.0], [1.0], [2.0]]
OLD = {"notes.txt": b"old notes", "data/a.csv": b"id\n1\n", "data/deep/b.bin": b"\0\1\2"}


class Site:
    """A bucket, and a tracking server that starts anew with other options and the same database."""

    def __init__(self, server: S3Server, database: Path, folder: Path):
        self.plain = f"s3://{server.new_bucket(versioned=True)}/mlruns"
        self.versioned = f"versioned-{self.plain}"
        self._database = database
        self._folder = folder

    @contextmanager
    def tracking(self, destination: str) -> Iterator[TrackingServer]:
        """Run the server, and be its client."""
        folder = self._folder / f"server-{len(list(self._folder.iterdir()))}"
        folder.mkdir()
        server = TrackingServer(folder, self._database, destination, workers=1)
        start_anew()
        try:
            with mlflow_at(server.uri):
                yield server
        finally:
            server.stop()
            self._database = folder / "tracking.db"


@pytest.fixture
def site(minio: S3Server, s3_env: Callable[[S3Server], None], tracking_database: Path, tmp_path: Path) -> Site:
    """The bucket and the server."""
    s3_env(minio)
    return Site(minio, tracking_database, tmp_path)


def start_anew() -> None:
    """Forget, as a new program would, where the artifacts of a run were."""
    utils._artifact_repos_cache.clear()


class Run:
    """A run with files and a model, as any release of MLflow without this package logged it."""

    def __init__(self, experiment: str):
        with mlflow.start_run(experiment_id=experiment) as run:
            for path, data in OLD.items():
                self.id = run.info.run_id
                self.log(path, data)
            named = mlflow.sklearn.log_model(
                LinearRegression().fit(FEATURES, [0.0, 2.0, 4.0]), name="model", pip_requirements=["scikit-learn"]
            )
        self.model = named.model_uri

    def log(self, path: str, data: bytes) -> None:
        """Log a file."""
        mlflow.MlflowClient().log_text(self.id, data.decode("latin-1"), path)

    def read(self, folder: str = "") -> dict[str, bytes]:
        """Return all its files, listed and downloaded one by one, and as a whole."""
        found: dict[str, bytes] = {}
        for entry in mlflow.artifacts.list_artifacts(run_id=self.id, artifact_path=folder):
            if entry.is_dir:
                found |= self.read(entry.path)
            else:
                local = mlflow.artifacts.download_artifacts(f"runs:/{self.id}/{entry.path}")
                found[entry.path] = Path(local).read_bytes()
        if not folder:
            whole = Path(mlflow.artifacts.download_artifacts(run_id=self.id))
            files = (path for path in whole.rglob("*") if path.is_file())
            assert {path.relative_to(whole).as_posix(): path.read_bytes() for path in files} == found
        return found

    def check_model(self) -> None:
        """Load its model, and let it predict."""
        assert mlflow.sklearn.load_model(self.model).predict([[3.0]])[0] == pytest.approx(6.0)


def test_a_server_is_switched_over_and_back(site: Site) -> None:
    """Behind another --artifacts-destination the same calls give the same bytes; going back they give the newest."""
    with site.tracking(site.plain) as server:
        run = Run(server.new_experiment())
        assert run.read() == OLD
    mvs("adopt", site.plain, "--yes")
    with site.tracking(site.versioned) as server:
        assert run.read() == OLD
        run.check_model()
        run.log("data/a.csv", b"id\n1\n2\n")
        assert mlflow.artifacts.load_text(f"runs:/{run.id}/data/a.csv@v1") == "id\n1\n"
        later = Run(server.new_experiment())
    mvs("export", "--plain", site.versioned, "--yes")
    with site.tracking(site.plain):
        assert run.read() == OLD | {"data/a.csv": b"id\n1\n2\n"}
        assert later.read() == OLD
        run.check_model()
        later.check_model()


def test_an_experiment_is_relocated_and_back(site: Site) -> None:
    """With its locations written anew in the database, an experiment of fixed s3:// URIs is versioned; and back."""
    with site.tracking(f"{site.plain}/unused") as server:
        experiment = server.client.create_experiment("old", artifact_location=f"{site.plain}/1")
        run = Run(experiment)
        assert run.read() == OLD
        database = ("--tracking-uri", f"sqlite:///{server.process.log.parent / 'tracking.db'}", "--yes")
        mvs("adopt", site.plain, "--yes")
        mvs("relocate", site.plain, site.versioned, *database)
        start_anew()
        assert mlflow.get_run(run.id).info.artifact_uri.startswith(f"{site.versioned}/1/")
        assert run.read() == OLD
        run.check_model()
        run.log("notes.txt", b"new notes")
        assert mlflow.artifacts.load_text(f"runs:/{run.id}/notes.txt@v1") == "old notes"
        later = Run(experiment)
        mvs("export", "--plain", site.versioned, "--yes")
        mvs("relocate", site.versioned, site.plain, *database)
        start_anew()
        assert mlflow.get_run(run.id).info.artifact_uri.startswith(f"{site.plain}/1/")
        assert run.read() == OLD | {"notes.txt": b"new notes"}
        assert later.read() == OLD
        run.check_model()


def test_an_experiment_keeps_its_plain_locations(site: Site, plain_s3: Path) -> None:
    """With the distribution for plain s3 installed nothing changes in the database; without it, it is as before."""
    script = (
        "import sys, mlflow; run_id = sys.argv[1];"
        "text = lambda path: mlflow.artifacts.load_text(f'runs:/{run_id}/{path}');"
        "assert text('notes.txt') == 'old notes';"
        "mlflow.MlflowClient().log_text(run_id, 'new notes', 'notes.txt');"
        "assert (text('notes.txt'), text('notes.txt@v1')) == ('new notes', 'old notes')"
    )
    with site.tracking(f"{site.plain}/unused") as server:
        run = Run(server.client.create_experiment("old", artifact_location=f"{site.plain}/1"))
        mvs("adopt", site.plain, "--yes")
        environment = {**os.environ, "PYTHONPATH": str(plain_s3), "MLFLOW_TRACKING_URI": server.uri}
        subprocess.run([sys.executable, "-W", "ignore", "-c", script, run.id], env=environment, check=True)
        assert run.read() == OLD
        mvs("export", "--plain", site.versioned, "--yes")
        assert run.read() == OLD | {"notes.txt": b"new notes"}
