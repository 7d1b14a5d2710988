"""Clients of a tracking server send native versions to the bucket and read them there; packed ones pass the server."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException

from mlflow_versioned_store._entry import artifact_repository
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.mlflow_plugin.presigned import PresignedArtifactRepository, repository_class
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
from mlflow_versioned_store.store import create_store
from tests.mlflow_plugin.conftest import RUN
from tests.servers.s3 import S3Server
from tests.servers.tracking import TrackingServer, mlflow_at

pytest.importorskip("mlflow.entities.presigned_download", reason="MLflow gives links to read since 3.11")

PART_BYTES = 5 << 20
LARGE = random.Random(1).randbytes(2 * PART_BYTES + 1000)
PROXY = "/api/2.0/mlflow-artifacts"


@pytest.fixture(scope="module")
def destination(real_minio: S3Server) -> Iterator[str]:
    """A store that keeps all but text natively."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in real_minio.environment().items():
            patch.setenv(name, value)
        uri = f"versioned-s3://{real_minio.new_bucket(versioned=True)}/mlruns"
        create_store(uri).keep_natively(["**/*.bin"], Context())
        yield uri


@pytest.fixture(scope="module")
def server(
    destination: str, tracking_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServer]:
    """A tracking server in front of it."""
    # From 3.18 on a server offers links only where it is told to.
    offered = {f"MLFLOW_ENABLE_PROXY_MULTIPART_{way}": "true" for way in ("UPLOAD", "DOWNLOAD")}
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(folder, tracking_database, destination, workers=1, environment=offered)
    try:
        # A client that waits for this in vain for a few seconds does without links.
        requests.get(f"{server.uri}/api/3.0/mlflow/server-info", timeout=60).raise_for_status()
        yield server
    finally:
        server.stop()


@pytest.fixture
def run_id(server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An active run of a client that sends files of 5 MiB and more in parts."""
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(PART_BYTES))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(PART_BYTES))
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(PART_BYTES))
    with mlflow_at(server.uri):
        mlflow.set_experiment(experiment_id=server.new_experiment())
        yield str(mlflow.start_run().info.run_id)


@pytest.fixture
def inside(run_id: str) -> str:
    """The path of the run's artifacts in the server's destination."""
    return str(mlflow.get_run(run_id).info.artifact_uri).removeprefix("mlflow-artifacts:/")


@pytest.fixture
def transfers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the client sends and fetches, as "PUT server" or "GET bucket"; questions are left out."""
    seen: list[str] = []
    send = requests.Session.send

    def noting(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        for mark, target in ((f"{PROXY}/artifacts/", "server"), ("X-Amz-Signature=", "bucket")):
            if mark in str(request.url):
                seen.append(f"{request.method} {target}")
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", noting)
    return seen


def log(folder: Path, name: str, data: bytes) -> None:
    """Log a file into "data"."""
    (folder / name).write_bytes(data)
    mlflow.log_artifact(str(folder / name), "data")


def fetched(run_id: str, path: str) -> bytes:
    """Download a file as a client does."""
    return Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=path)).read_bytes()


def test_large_native_files_pass_the_server_by(run_id: str, transfers: list[str], tmp_path: Path) -> None:
    """Up in parts and down in ranges; versions are made and read by their addresses as always."""
    log(tmp_path, "model.bin", LARGE)
    log(tmp_path, "model.bin", LARGE[::-1])
    assert set(transfers) == {"PUT bucket"}
    transfers.clear()
    assert fetched(run_id, "data/model.bin") == LARGE[::-1]
    assert fetched(run_id, "data/model.bin@v1") == LARGE
    assert set(transfers) == {"GET bucket"}
    listed = mlflow.MlflowClient().list_artifacts(run_id, "data")
    assert [(info.path, info.file_size) for info in listed] == [("data/model.bin", len(LARGE))]


def test_the_same_file_again_makes_no_version(
    run_id: str, destination: str, inside: str, transfers: list[str], tmp_path: Path
) -> None:
    """What is current already stays version 1."""
    for _ in range(2):
        log(tmp_path, "model.bin", LARGE)
    assert set(transfers) == {"PUT bucket"}
    with pytest.raises(MlflowException, match="v1"):
        artifact_repository(f"{destination}/{inside}").download_artifacts("data/model.bin@v2")


def test_packed_files_pass_the_server(run_id: str, transfers: list[str], tmp_path: Path) -> None:
    """However large, they go through it both ways, without a word."""
    log(tmp_path, "table.csv", LARGE)
    assert fetched(run_id, "data/table.csv") == LARGE
    assert set(transfers) == {"PUT server", "GET server"}


def test_small_files_go_up_through_the_server(run_id: str, transfers: list[str], tmp_path: Path) -> None:
    """Where a client does not ask for parts the server sends to the bucket; the way down is the bucket's."""
    log(tmp_path, "small.bin", b"small")
    log(tmp_path, "empty.bin", b"")
    assert set(transfers) == {"PUT server"}
    transfers.clear()
    assert (fetched(run_id, "data/small.bin"), fetched(run_id, "data/empty.bin")) == (b"small", b"")
    assert set(transfers) == {"GET bucket"}


def test_a_folder_of_both_kinds_comes_down_whole(run_id: str, tmp_path: Path) -> None:
    """Each file by its own way."""
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    files = {"a.bin": b"a", "deep/b.bin": LARGE, "deep/c.txt": b"c" * 2_000_000}
    for name, data in files.items():
        (source / name).write_bytes(data)
    mlflow.log_artifacts(str(source), "tree")
    target = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="tree"))
    assert {name: (target / name).read_bytes() for name in files} == files


def test_who_sent_it_is_recorded(run_id: str, destination: str, inside: str, tmp_path: Path) -> None:
    """A version that was sent by link came through the server all the same."""
    log(tmp_path, "model.bin", LARGE)
    store = create_store(destination)
    (commit,) = store.root(inside).history()
    assert commit.changes[0].context["run_id"] == run_id
    assert commit.changes[0].context["through"] == "tracking server"


@pytest.mark.parametrize(
    ("agent", "status"), [("mlflow-python-client/3.17.2", 200), ("mlflow-python-client/3.18.0", 501), ("curl/8", 501)]
)
def test_clients_are_told_in_their_way_that_a_file_is_packed(
    server: TrackingServer, inside: str, run_id: str, agent: str, status: int
) -> None:
    """Before 3.18 a link without a size sends clients to the server; from then on a refusal does."""
    mlflow.log_text("packed", "note.txt")
    link = f"{server.uri}{PROXY}/presigned/{inside}/note.txt"
    answer = requests.get(link, headers={"User-Agent": agent}, timeout=60)
    assert answer.status_code == status
    if status == 200:
        assert "file_size" not in answer.json()
    else:
        assert "packed" in answer.json()["message"]


def test_a_link_reads_one_version_for_ever(server: TrackingServer, inside: str, run_id: str, tmp_path: Path) -> None:
    """It leads to the version that was current, whatever is logged afterwards, and to nothing else."""
    log(tmp_path, "model.bin", b"one")
    given = requests.get(f"{server.uri}{PROXY}/presigned/{inside}/data/model.bin", timeout=60).json()
    log(tmp_path, "model.bin", b"two!")
    answer = requests.get(given["url"], timeout=60)
    assert (answer.content, given["file_size"]) == (b"one", 3)
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''model.bin"
    assert requests.get(given["url"].replace("model.bin", "other.bin"), timeout=60).status_code == 403


def test_what_does_not_exist_has_no_link(server: TrackingServer, inside: str, run_id: str) -> None:
    """It is a 404, as without links; so is an upload that never was."""
    missing = requests.get(f"{server.uri}{PROXY}/presigned/{inside}/missing.bin", timeout=60)
    assert missing.status_code == 404
    parts = [{"part_number": 1, "etag": '"0"', "url": ""}]
    body: dict[str, Any] = {"path": "x.bin", "upload_id": f"{'a' * 32}.none", "parts": parts}
    never = requests.post(f"{server.uri}{PROXY}/mpu/complete/{inside}", json=body, timeout=60)
    assert never.status_code == 404


def test_only_a_destination_gives_links(destination: str) -> None:
    """What lies above all runs may be one, and costs a look at the store's settings; a run's artifacts cost nothing."""
    assert type(artifact_repository(destination)) is PresignedArtifactRepository
    assert type(artifact_repository(f"{destination}/1/{RUN}/artifacts")) is VersionedArtifactRepository
    assert type(artifact_repository(f"versioned-s3://no-bucket/1/{RUN}/artifacts/d")) is VersionedArtifactRepository


def test_a_store_of_packed_paths_gives_no_links(
    real_minio: S3Server, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is native there are none; nor where clients would have to say who pays, or no store is yet."""
    s3_env(real_minio)
    uri = f"versioned-s3://{real_minio.new_bucket(versioned=True)}/mlruns"
    assert repository_class(uri) is VersionedArtifactRepository
    store = create_store(uri)
    assert repository_class(uri) is VersionedArtifactRepository
    store.keep_natively(["**"], Context())
    assert repository_class(uri) is PresignedArtifactRepository
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"RequestPayer": "requester"}')
    assert repository_class(uri) is VersionedArtifactRepository


def test_a_server_of_links_alone_says_what_it_needs(destination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no bytes may pass the server, what is packed is refused with a word on how to keep it natively."""
    monkeypatch.setenv("MLFLOW_ARTIFACTS_PRESIGNED_ONLY", "true")
    with pytest.raises(MlflowException, match="--native") as caught:
        PresignedArtifactRepository(destination).create_multipart_upload("note.txt", 1, f"1/{RUN}/artifacts")
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.skipif(not hasattr(mlflow.environment_variables, "MLFLOW_ARTIFACTS_PRESIGNED_ONLY"), reason="MLflow 3.18")
def test_a_server_of_links_alone_serves_a_native_store(
    real_minio: S3Server,
    s3_env: Callable[[S3Server], None],
    mlflow_server: Callable[..., TrackingServer],
    transfers: list[str],
    tmp_path: Path,
) -> None:
    """With everything native, files of any size go up and down by link."""
    s3_env(real_minio)
    uri = f"versioned-s3://{real_minio.new_bucket(versioned=True)}/mlruns"
    create_store(uri).keep_natively(["**"], Context())
    server = mlflow_server(uri, workers=1, arguments=("--artifacts-presigned-only",))
    mlflow.set_experiment(experiment_id=server.new_experiment())
    with mlflow.start_run() as run:
        for name, data in (("empty", b""), ("small", b"small")):
            log(tmp_path, name, data)
            assert fetched(run.info.run_id, f"data/{name}") == data
    assert set(transfers) == {"PUT bucket", "GET bucket"}


@pytest.mark.parametrize("told", [r"C:\Users\ada\model.bin", "/home/ada/model.bin", "model.bin", r"\\host\d\model.bin"])
def test_only_the_name_of_a_clients_file_counts(destination: str, told: str) -> None:
    """Whatever path a client tells, on whatever system, the artifact has the file's name."""
    repository = PresignedArtifactRepository(destination)
    folder = f"1/{os.urandom(16).hex()}/artifacts"
    begun = repository.create_multipart_upload(told, 1, folder)
    assert begun.upload_id is not None
    assert f"{folder}/model.bin?" in begun.credentials[0].url
    repository.abort_multipart_upload(told, begun.upload_id, folder)
