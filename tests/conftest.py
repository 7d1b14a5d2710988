"""Fixtures of the whole suite: an isolated environment, real servers, MLflow tracking.

A server is started when a test first asks for it and lives as long as the test process; under pytest-xdist every
worker has its own. A server whose binary is absent is a failure in CI. Elsewhere its tests are skipped, or run on
moto in MinIO's place, and the end of the run says so.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar

import boto3
import pytest

import mlflow_versioned_store
from tests.servers.azure_double import AzureDouble
from tests.servers.azurite import Azurite
from tests.servers.binaries import ALL, MINIO, Binary
from tests.servers.certificates import Authority
from tests.servers.fake_gcs import FakeGcs
from tests.servers.minio import Minio
from tests.servers.moto import Moto
from tests.servers.rclone import RcloneS3
from tests.servers.s3 import S3Server
from tests.servers.toxiproxy import Toxiproxy
from tests.servers.tracking import Tracking, TrackingServer, mlflow_at
from tests.servers.versitygw import Versitygw

REPOSITORY = Path(__file__).resolve().parent.parent
FOREIGN_VARIABLES = ("AWS_", "AZURE_", "BOTO_", "GCSFS_", "GIT_", "GOOGLE_", "MLFLOW_", "MVS_", "STORAGE_EMULATOR_")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Server = TypeVar("Server", bound="Stoppable")


class StorageServer(Protocol):
    """A server that keeps objects."""

    def environment(self) -> dict[str, str]:
        """Return the variables that send clients there."""


class Stoppable(Protocol):
    """A server that a fixture stops."""

    def stop(self) -> None:
        """Stop the server."""


def in_ci() -> bool:
    """Tell whether this is a CI run, where everything must be there."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def pytest_configure() -> None:
    """Let child processes find the tests, and refuse to test the source tree where the wheel was asked for."""
    # A process that multiprocessing spawns gets this path and imports its work by name. The folder comes last, so
    # the package is the installed one all the same.
    if str(REPOSITORY) not in sys.path:
        sys.path.append(str(REPOSITORY))
    package = Path(mlflow_versioned_store.__file__).resolve()
    if os.environ.get("MVS_TEST_INSTALLED") and package.is_relative_to(REPOSITORY / "mlflow_versioned_store"):
        raise pytest.UsageError(f"MVS_TEST_INSTALLED is set, but the package comes from the source tree: {package}")


def pytest_report_header() -> list[str]:
    """Say which copy of the package is tested."""
    return [f"package: {Path(mlflow_versioned_store.__file__).parent}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which servers were not there."""
    absent = [binary for binary in ALL.values() if binary.find() is None]
    if not absent:
        return
    terminalreporter.section("SERVERS THAT WERE NOT TESTED AGAINST", sep="!", red=True, bold=True)
    for binary in absent:
        if in_ci():
            instead = "its tests failed"
        else:
            instead = "moto took its place" if binary is MINIO else "its tests were skipped"
        terminalreporter.line(f"{binary.name}: not installed, {instead} (needs {binary.installer})", red=True)
    terminalreporter.line("Install them with: python -m tests.servers install", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the logs of the servers that a failed test used."""
    report = yield
    if report.failed:
        for server in getattr(item, "funcargs", {}).values():
            process = getattr(server, "process", None)
            if process is not None:
                report.sections.append((f"end of {process.log}", process.tail()))
    return report


@pytest.fixture(scope="session", autouse=True)
def isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide this machine's credentials, profiles, proxies and MLflow settings from every test."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(FOREIGN_VARIABLES) and not name.startswith("MVS_TEST_"):
                patch.delenv(name)
            if name.lower() in PROXY_VARIABLES:
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("USERPROFILE", str(home))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "no-credentials"))
        patch.setenv("AWS_CONFIG_FILE", str(home / "no-config"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        # What a test before has read would hide what this one reads; tests of the cache have one of their own.
        patch.setenv("MVS_CACHE", "off")
        yield


@pytest.fixture(autouse=True)
def forgotten_clients() -> None:
    """Forget the clients that boto3 and MLflow keep: they hold the keys of the test before, for the same endpoint."""
    boto3.DEFAULT_SESSION = None
    if repository := sys.modules.get("mlflow.store.artifact.s3_artifact_repo"):
        repository._cached_get_s3_client.cache_clear()


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    """A moto server: it checks no secret, no checksum and no expiry."""
    yield from _until_stopped(Moto(tmp_path_factory.mktemp("moto")))


@pytest.fixture(scope="session")
def minio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A MinIO server, or moto where MinIO is absent; for what moto cannot do, ask for `real_minio`."""
    if MINIO.find() is None and not in_ci():
        moto: S3Server = request.getfixturevalue("moto_server")
        yield moto
    else:
        yield request.getfixturevalue("real_minio")


@pytest.fixture(scope="session")
def real_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO server, with users, policies, temporary keys and restarts."""
    need(MINIO)
    yield from _until_stopped(Minio(tmp_path_factory.mktemp("minio")))


@pytest.fixture(scope="module")
def lone_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO server in which only the tests of one module make buckets, whoever else runs in the process."""
    need(MINIO)
    yield from _until_stopped(Minio(tmp_path_factory.mktemp("lone-minio")))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private certificate authority with a certificate for 127.0.0.1."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def minio_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO server behind TLS with a private authority (`minio_tls.ca_bundle`); it gives `short_lived_keys`."""
    need(MINIO)
    yield from _until_stopped(Minio(tmp_path_factory.mktemp("minio-tls"), authority=authority))


@pytest.fixture(scope="session")
def minio_kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A MinIO server that encrypts where it is asked to, under the key `tests.servers.minio.KMS_KEY`."""
    need(MINIO)
    yield from _until_stopped(Minio(tmp_path_factory.mktemp("minio-kms"), kms=True))


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    """A versitygw server."""
    need(ALL["versitygw"])
    yield from _until_stopped(Versitygw(tmp_path_factory.mktemp("versitygw")))


@pytest.fixture(scope="session")
def rclone_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneS3]:
    """An `rclone serve s3`, which ignores conditional writes."""
    need(ALL["rclone"])
    yield from _until_stopped(RcloneS3(tmp_path_factory.mktemp("rclone")))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An Azurite server."""
    need(ALL["azurite"])
    yield from _until_stopped(Azurite(tmp_path_factory.mktemp("azurite")))


@pytest.fixture(scope="session")
def fake_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    """A fake-gcs-server."""
    need(ALL["fake-gcs"])
    yield from _until_stopped(FakeGcs(tmp_path_factory.mktemp("fake-gcs")))


@pytest.fixture(scope="session")
def versioned_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeGcs]:
    """A fake-gcs-server whose buckets can keep generations."""
    need(ALL["fake-gcs"])
    yield from _until_stopped(FakeGcs(tmp_path_factory.mktemp("versioned-gcs"), versioned=True))


@pytest.fixture(scope="session")
def azure_double() -> Iterator[AzureDouble]:
    """A stand-in for an Azure account that keeps blob versions."""
    yield from _until_stopped(AzureDouble())


@pytest.fixture(scope="session")
def toxiproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toxiproxy]:
    """A toxiproxy server: `toxiproxy.proxy(server.endpoint)` opens a port that can be disturbed."""
    need(ALL["toxiproxy"])
    yield from _until_stopped(Toxiproxy(tmp_path_factory.mktemp("toxiproxy")))


@pytest.fixture
def use_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[StorageServer], None]:
    """Send this test's clients and MLflow to a server: `use_server(azurite)`."""

    def use(server: StorageServer) -> None:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)

    return use


@pytest.fixture
def s3_env(use_server: Callable[[StorageServer], None]) -> Callable[[S3Server], None]:
    """Send this test's boto3 and MLflow to a server of S3: `s3_env(minio)`."""
    return use_server


@pytest.fixture(scope="session")
def tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow tracking database, to be copied: making one takes seconds."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # MLflow makes a folder for artifacts where it stands
        Tracking(f"sqlite:///{folder}/template.db").client.search_experiments()
    return folder / "template.db"


@pytest.fixture
def tracking(tracking_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    """MLflow in this process, tracking into an empty database of this test; `mlflow.…` calls go there."""
    shutil.copy(tracking_database, tmp_path / "tracking.db")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'tracking.db'}"
    with mlflow_at(uri):
        yield Tracking(uri)


@pytest.fixture
def mlflow_server(tracking_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start `mlflow server`s: `mlflow_server(destination, workers=4, environment=None)` returns a `TrackingServer`.

    `mlflow.…` calls go to the last one that was started.
    """
    with ExitStack() as servers:

        def start(artifacts_destination: str, **options: Any) -> TrackingServer:
            folder = tmp_path_factory.mktemp("mlflow-server")
            server = TrackingServer(folder, tracking_database, artifacts_destination, **options)
            servers.callback(server.stop)
            servers.enter_context(mlflow_at(server.uri))
            return server

        yield start


def need(binary: Binary) -> None:
    """Skip where a server's binary is absent; in CI that is a failure."""
    if binary.find() is not None:
        return
    if in_ci():
        pytest.fail(f"{binary.name} is absent; in CI every server must be there", pytrace=False)
    pytest.skip(f"{binary.name} is not installed")


def _until_stopped(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def forked() -> Callable[[Callable[[], bytes]], bytes]:
    """Run a function in a forked child and return the bytes it returned, within 30 seconds."""

    def run(work: Callable[[], bytes]) -> bytes:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, work())
            except BaseException as error:  # noqa: BLE001 - a child must never return into pytest
                os.write(writer, repr(error).encode())
            os._exit(0)
        os.close(writer)
        deadline = time.monotonic() + 30
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the forked child hangs")
            time.sleep(0.02)
        with os.fdopen(reader, "rb") as answer:
            return answer.read()

    return run
