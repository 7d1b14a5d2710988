"""A tracking server that answers requests for some bytes of a versioned artifact with those."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests

from tests.servers.tracking import TrackingServer, mlflow_at

pytest.importorskip("mlflow.server.artifact_router", reason="MLflow's own route for artifacts is there since 3.15")

DATA = random.Random(7).randbytes((3 << 20) + 17)
SIZE = len(DATA)


@pytest.fixture(scope="module")
def server(tracking_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """The server, in front of a store in a folder."""
    folder = tmp_path_factory.mktemp("server")
    server = TrackingServer(
        folder,
        tracking_database,
        f"versioned-file://{tmp_path_factory.mktemp('store')}/mlruns",
        workers=1,
        arguments=("--app-name", "versioned-store"),
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def url(server: TrackingServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the server has the folder of a run, to which two versions of a file, and an empty one, were logged."""
    local = tmp_path_factory.mktemp("local")
    with mlflow_at(server.uri):
        mlflow.set_experiment(experiment_id=server.new_experiment())
        with mlflow.start_run() as run:
            for data in (b"the first version", DATA):
                (local / "d ü.bin").write_bytes(data)
                mlflow.log_artifact(str(local / "d ü.bin"), "data")
            mlflow.log_text("", "data/empty.txt")
            inside = run.info.artifact_uri.removeprefix("mlflow-artifacts:")
    return f"{server.uri}/api/2.0/mlflow-artifacts/artifacts{inside}/data"


def get(url: str, wanted: str, **headers: str) -> requests.Response:
    """Ask for a range."""
    return requests.get(url, headers={"Range": wanted} | headers, timeout=60)


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2500000", 1_000_000, 2_500_001),
        (f"bytes={SIZE - 5}-", SIZE - 5, SIZE),
        (f"bytes=10-{SIZE + 100}", 10, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        (f"bytes=-{SIZE * 2}", 0, SIZE),
    ],
)
@pytest.mark.parametrize("api", ["api", "ajax-api"])
def test_a_range(url: str, wanted: str, start: int, stop: int, api: str) -> None:
    """Exactly the bytes that were asked for come, with where they are."""
    answer = get(f"{url}/d ü.bin".replace("/api/", f"/{api}/"), wanted)
    assert answer.status_code == 206
    assert answer.content == DATA[start:stop]
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "attachment" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("name", "wanted"), [("d ü.bin", f"bytes={SIZE}-"), ("d ü.bin", "bytes=-0"), ("empty.txt", "bytes=0-")]
)
def test_bytes_that_are_not_there(url: str, name: str, wanted: str) -> None:
    """A range behind the end is refused, with how long the file is."""
    answer = get(f"{url}/{name}", wanted)
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{SIZE if name != 'empty.txt' else 0}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "bytes=5-x", "lines=1-2"])
def test_other_ranges_are_no_business_of_ours(url: str, wanted: str) -> None:
    """What is no single range of bytes is answered by MLflow, with all of the file."""
    answer = get(f"{url}/d ü.bin", wanted)
    assert (answer.status_code, answer.content) == (200, DATA)


def test_an_older_version(url: str) -> None:
    """An address names the version that the range is of."""
    assert get(f"{url}/d ü.bin@v1", "bytes=4-8").content == b"first"


def test_a_download_that_is_resumed(url: str) -> None:
    """With the entity tag of the part at hand the rest comes; with another one all of it, from the beginning."""
    file = f"{url}/d ü.bin"
    tag = get(file, "bytes=0-9").headers["ETag"]
    rest = get(file, "bytes=10-", **{"If-Range": tag})
    assert (rest.status_code, rest.content) == (206, DATA[10:])
    other = get(f"{file}@v1", "bytes=10-", **{"If-Range": tag})
    assert (other.status_code, other.content) == (200, b"the first version")


@pytest.mark.parametrize("name", ["missing.bin", "d ü.bin@v9", "../../secret"])
def test_what_is_not_there(url: str, name: str) -> None:
    """A path without a file is an error of MLflow's kind, not an empty answer."""
    answer = get(f"{url}/{name}".replace("..", "%2e%2e"), "bytes=0-1")
    assert answer.status_code in (400, 404)
    assert answer.json()["error_code"] in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def test_other_hosts_are_refused(url: str) -> None:
    """The server's own protection against rebound names holds for ranges too."""
    assert get(f"{url}/d ü.bin", "bytes=0-1", Host="evil.example").status_code == 403


def test_all_else_is_as_ever(url: str, server: TrackingServer, tmp_path: Path) -> None:
    """Without a range MLflow answers, and its client works."""
    assert requests.get(f"{url}/d ü.bin", timeout=60).content == DATA
    with mlflow_at(server.uri):
        run_id = url.split("/artifacts/")[1].split("/")[1]
        path = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="data", dst_path=str(tmp_path))
    assert (Path(path) / "d ü.bin").read_bytes() == DATA
