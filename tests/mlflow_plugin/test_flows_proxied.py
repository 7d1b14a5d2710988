"""Clients with nothing installed, through a tracking server of four processes whose destination is a versioned store.

Like the direct flows, these run on every supported release of MLflow.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from sklearn.linear_model import LinearRegression

from mlflow_versioned_store._entry import artifact_repository
from tests.servers.tracking import TrackingServer

if TYPE_CHECKING:
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
    from tests.servers.s3 import S3Server

PROXY = "api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module", params=["versioned-file", "versioned-s3"])
def destination(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server keeps artifacts, which this process can read as well."""
    if request.param == "versioned-file":
        yield f"versioned-file://{tmp_path_factory.mktemp('store')}"
        return
    minio: S3Server = request.getfixturevalue("minio")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in minio.environment().items():
            patch.setenv(name, value)
        yield f"versioned-s3://{minio.new_bucket()}/mlruns"


@pytest.fixture(scope="module")
def folder(destination: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server of this destination keeps its database."""
    return tmp_path_factory.mktemp(f"server-{destination.partition(':')[0]}")


@pytest.fixture(scope="module")
def server(folder: Path, destination: str, tracking_database: Path) -> Iterator[TrackingServer]:
    """The tracking server."""
    server = TrackingServer(folder, tracking_database, destination, workers=4)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _client_of(server: TrackingServer) -> Iterator[None]:
    """Make this process a client that knows only the server's address, in an experiment of its own."""
    previous = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(server.uri)
    mlflow.set_registry_uri(server.uri)
    mlflow.set_experiment(experiment_id=server.new_experiment())
    try:
        yield
    finally:
        while mlflow.active_run() is not None:
            mlflow.end_run()
        mlflow.set_tracking_uri(previous[0])
        mlflow.set_registry_uri(previous[1])


@pytest.fixture
def run_id(server: TrackingServer) -> Iterator[str]:
    """An active run of a client."""
    with _client_of(server):
        yield str(mlflow.start_run().info.run_id)


@pytest.fixture
def inside(run_id: str) -> str:
    """The path of the run's artifacts in the server's destination."""
    uri = mlflow.get_run(run_id).info.artifact_uri
    assert uri.startswith("mlflow-artifacts:/")
    return str(uri.removeprefix("mlflow-artifacts:/"))


@pytest.fixture
def direct(destination: str, inside: str) -> VersionedArtifactRepository:
    """The same artifacts, read without the server."""
    return artifact_repository(f"{destination}/{inside}")


def _versions(repository: VersionedArtifactRepository, path: str) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            found.append(Path(repository.download_artifacts(f"{path}@v{len(found) + 1}")).read_bytes())
        except MlflowException:
            return found


def test_a_tree_goes_up_and_comes_down(run_id: str, tmp_path: Path) -> None:
    """Through one PUT and one GET a file."""
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    for number in range(20):
        (source / "sub" / f"{number}.bin").write_bytes(os.urandom(number * 1000))
    mlflow.log_artifacts(str(source), "tree")
    target = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="tree"))
    for number in range(20):
        name = f"sub/{number}.bin"
        assert (target / name).read_bytes() == (source / name).read_bytes()
    names = [info.path for info in mlflow.MlflowClient().list_artifacts(run_id, "tree")]
    assert names == ["tree/sub"]


def test_an_empty_folder_comes_down_with_the_one_above(
    server: TrackingServer, run_id: str, inside: str, direct: VersionedArtifactRepository, tmp_path: Path
) -> None:
    """By its own path it cannot: MLflow's client takes it for a file, and gets an error, never an empty file."""
    (tmp_path / "in" / "hollow").mkdir(parents=True)
    direct.log_artifacts(tmp_path / "in", "d")
    assert (Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="d")) / "hollow").is_dir()
    answer = requests.get(f"{server.uri}/{PROXY}/{inside}/d/hollow", timeout=60)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    with pytest.raises(MlflowException):
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="d/hollow", dst_path=str(tmp_path / "out"))


def test_versions_have_the_same_local_names_as_without_a_server(
    run_id: str, direct: VersionedArtifactRepository, tmp_path: Path
) -> None:
    """The name is what was asked for, on both ways, and the versions lie side by side."""
    mlflow.log_text("old", "data/t.csv")
    mlflow.log_text("new", "data/t.csv")
    for way in ("proxied", "direct"):
        (tmp_path / way).mkdir()
    repository = get_artifact_repository(mlflow.get_artifact_uri())
    for path in ("data/t.csv", "data/t.csv@v1", "data@c1"):
        repository.download_artifacts(path, str(tmp_path / "proxied"))  # type: ignore[no-untyped-call]
        direct.download_artifacts(path, tmp_path / "direct")
    expected = {"data/t.csv": b"new", "data/t.csv@v1": b"old", "data@c1/t.csv": b"old"}
    for way in ("proxied", "direct"):
        folder = tmp_path / way
        files = [file for file in folder.rglob("*") if file.is_file()]
        assert {file.relative_to(folder).as_posix(): file.read_bytes() for file in files} == expected


def test_a_replayed_put_makes_no_new_version(
    server: TrackingServer, inside: str, direct: VersionedArtifactRepository
) -> None:
    """A client repeats a PUT whose answer was lost, perhaps to another process of the server."""
    for _ in range(5):
        answer = requests.put(f"{server.uri}/{PROXY}/{inside}/replayed.txt", data=b"same", timeout=60)
        answer.raise_for_status()
    assert _versions(direct, "replayed.txt") == [b"same"]


def test_a_large_upload_arrives_whole(server: TrackingServer, inside: str, run_id: str, tmp_path: Path) -> None:
    """60 MB, far more than a server process keeps in memory of one upload, and back."""
    data = os.urandom(60_000_000)
    (tmp_path / "large.bin").write_bytes(data)
    mlflow.log_artifact(str(tmp_path / "large.bin"))
    digest = hashlib.sha256()
    with requests.get(f"{server.uri}/{PROXY}/{inside}/large.bin", stream=True, timeout=120) as answer:
        answer.raise_for_status()
        for piece in answer.iter_content(1024 * 1024):
            digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()


def test_clients_at_once_lose_nothing(run_id: str, direct: VersionedArtifactRepository) -> None:
    """Eight clients write one path and paths of their own, through four processes."""
    client = mlflow.MlflowClient()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for round_ in range(3):
                client.log_text(run_id, f"{number} {round_}", "shared.txt")
            client.log_text(run_id, str(number), f"own/{number}.txt")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(_versions(direct, "shared.txt")) == sorted(b"%d %d" % (n, r) for n in range(8) for r in range(3))
    assert [info.path for info in client.list_artifacts(run_id, "own")] == [f"own/{n}.txt" for n in range(8)]


def test_a_model_is_logged_registered_and_loaded(run_id: str) -> None:
    """Through the server, by run and by registry."""
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    mlflow.sklearn.log_model(model, "model", registered_model_name=f"proxied-{run_id}")
    for uri in (f"runs:/{run_id}/model", f"models:/proxied-{run_id}/1"):
        assert mlflow.sklearn.load_model(uri).predict([[1.0]])[0] == pytest.approx(2.0)


def test_the_user_interface_lists_and_shows_versions(server: TrackingServer, run_id: str) -> None:
    """Its own endpoints understand addresses, and a missing artifact is a 404."""
    mlflow.log_text("old", "data/note.txt")
    mlflow.log_text("new", "data/note.txt")
    listing = f"{server.uri}/ajax-api/2.0/mlflow/artifacts/list"
    shown = requests.get(listing, params={"run_uuid": run_id, "path": "data@c1"}, timeout=60).json()
    assert [file["path"] for file in shown["files"]] == ["data@c1/note.txt"]
    for path, status, body in (
        ("data/note.txt", 200, "new"),
        ("data/note.txt@v1", 200, "old"),
        ("data@c1/note.txt", 200, "old"),
        ("data/missing.txt", 404, ""),
    ):
        answer = requests.get(f"{server.uri}/get-artifact", params={"run_uuid": run_id, "path": path}, timeout=60)
        assert (path, answer.status_code) == (path, status)
        assert status == 404 or answer.text == body


def test_gc_deletes_through_the_server(
    server: TrackingServer, folder: Path, run_id: str, direct: VersionedArtifactRepository
) -> None:
    """`mlflow gc` ends well; nothing is listed any more, and the version still reads."""
    mlflow.log_text("1", "a.txt")
    mlflow.end_run()
    mlflow.delete_run(run_id)
    database = f"sqlite:///{folder / 'tracking.db'}"
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", database, "--run-ids", run_id]
    environment = dict(os.environ) | {"MLFLOW_TRACKING_URI": server.uri}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert direct.list_artifacts() == []
    assert _versions(direct, "a.txt") == [b"1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs fork")
def test_gunicorn_may_load_the_application_before_it_forks(tracking_database: Path, tmp_path: Path) -> None:
    """The workers go on with what their parent prepared."""
    arguments = ("--gunicorn-opts", "--preload --timeout 60")
    server = TrackingServer(
        tmp_path, tracking_database, f"versioned-file://{tmp_path / 'store'}", workers=2, arguments=arguments
    )
    try:
        with _client_of(server), mlflow.start_run() as run:
            for text in ("old", "new"):
                mlflow.log_text(text, "note.txt")
            path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="note.txt@v1")
    finally:
        server.stop()
    assert Path(path).read_text() == "old"
