"""The contract suite against every backend that this package has."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mlflow_versioned_store.backends import forks
from mlflow_versioned_store.backends.azure import open_azure
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3 import open_s3
from mlflow_versioned_store.backends.s3_config import resolve
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.testing.backend_contract import BackendContract, Subject
from tests.servers.azurite import Azurite
from tests.servers.fake_gcs import FakeGcs
from tests.servers.s3 import S3Server


class TestMemory(BackendContract):
    """obstore's memory store."""

    @pytest.fixture
    def subject(self) -> Subject:
        """A fresh store, which is its own side door."""
        backend = open_memory("contract")
        return Subject(backend, lambda key, data: put(backend, key, data), lambda key: get(backend, key))


class TestFiles(BackendContract):
    """Files below a directory."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        """A backend on an empty directory, and the directory itself."""

        def side_put(key: str, data: bytes) -> None:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(data)

        def side_get(key: str) -> bytes | None:
            return (tmp_path / key).read_bytes() if (tmp_path / key).is_file() else None

        return Subject(FilesBackend(str(tmp_path)), side_put, side_get)


class TestScoped(BackendContract):
    """A folder of another backend."""

    @pytest.fixture
    def subject(self) -> Subject:
        """A folder of a memory store, whose whole is the side door."""
        inner = open_memory("scoped")
        backend = ScopedBackend(inner, "some/folder")
        return Subject(
            backend,
            lambda key, data: put(inner, f"some/folder/{key}", data),
            lambda key: get(inner, f"some/folder/{key}"),
        )


class S3Contract(BackendContract):
    """What the S3 servers have in common."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> S3Server:
        """Return the server."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def bucket(cls, server: S3Server) -> str:
        """An empty bucket."""
        return server.new_bucket()

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: S3Server, bucket: str) -> Subject:
        """A bucket, with boto3 as the side door."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment().items():
                patch.setenv(name, value)
            backend, _ = open_container(f"versioned-s3://{bucket}")
        client: Any = server.client()

        def side_get(key: str) -> bytes:
            data: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            return data

        return Subject(backend, lambda key, data: client.put_object(Bucket=bucket, Key=key, Body=data), side_get)


class TestMinio(S3Contract):
    """MinIO."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, minio: S3Server) -> S3Server:
        """Return the server."""
        return minio


class TestMinioVersioned(TestMinio):
    """MinIO with a bucket that keeps versions."""

    @pytest.fixture(scope="class")
    @classmethod
    def bucket(cls, server: S3Server) -> str:
        """An empty bucket that keeps versions."""
        return server.new_bucket(versioned=True)

    def test_a_version_stays_readable(self, backend: Backend, folder: str) -> None:
        """What a put returned as its version is read under it, also when it is no longer the current one."""
        first = backend.put(f"{folder}/a", b"first")
        second = backend.put(f"{folder}/a", b"second")
        assert first.s3_version_id
        assert bytes(backend.get(f"{folder}/a", s3_version_id=first.s3_version_id).data) == b"first"
        assert backend.head(f"{folder}/a").s3_version_id == second.s3_version_id
        assert backend.get(f"{folder}/a").info.s3_version_id == second.s3_version_id


class TestVersitygw(S3Contract):
    """versitygw."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, versitygw: S3Server) -> S3Server:
        """Return the server."""
        return versitygw


class TestMoto(S3Contract):
    """moto."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, moto_server: S3Server) -> S3Server:
        """Return the server."""
        return moto_server


class TestMinioThroughBoto3(S3Contract):
    """MinIO as a forked child reaches it."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, minio: S3Server) -> S3Server:
        """Return the server."""
        return minio

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: S3Server, bucket: str) -> Subject:
        """A bucket through boto3, with the parent's backend as the side door."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment().items():
                patch.setenv(name, value)
            side, _ = open_container(f"versioned-s3://{bucket}")
            patch.setattr(forks, "_lost", True)
            backend = open_s3(bucket, resolve())
        return Subject(backend, lambda key, data: put(side, key, data), lambda key: get(side, key))


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
class TestGcsThroughGcsfs(BackendContract):
    """Google Cloud Storage's JSON interface, on fake-gcs-server."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, fake_gcs: FakeGcs) -> Subject:
        """A bucket, with plain HTTP as the side door."""
        bucket = fake_gcs.new_bucket()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in fake_gcs.environment().items():
                patch.setenv(name, value)
            backend, _ = open_container(f"versioned-gs://{bucket}")

        def side_put(key: str, data: bytes) -> None:
            url = f"{fake_gcs.endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
            urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10).close()

        def side_get(key: str) -> bytes:
            url = f"{fake_gcs.endpoint}/storage/v1/b/{bucket}/o/{quote(key, safe='')}?alt=media"
            with urllib.request.urlopen(url, timeout=10) as answer:
                data: bytes = answer.read()
            return data

        return Subject(backend, side_put, side_get)


class TestAzurite(BackendContract):
    """Azure Blob Storage, on Azurite."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, azurite: Azurite) -> Subject:
        """A container, with adlfs as the side door."""
        container = azurite.new_bucket()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
            backend, _ = open_container(f"versioned-az://{container}")
            patch.setattr(forks, "_lost", True)
            side = open_azure(container)
        return Subject(backend, lambda key, data: put(side, key, data), lambda key: get(side, key))


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
class TestAzuriteThroughAdlfs(BackendContract):
    """Azure Blob Storage as a forked child reaches it."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, azurite: Azurite) -> Subject:
        """A container through adlfs, with obstore as the side door."""
        container = azurite.new_bucket()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
            side, _ = open_container(f"versioned-az://{container}")
            patch.setattr(forks, "_lost", True)
            backend = open_azure(container)
        return Subject(backend, lambda key, data: put(side, key, data), lambda key: get(side, key))


def put(backend: Backend, key: str, data: bytes) -> None:
    """Write an object."""
    backend.put(key, data)


def get(backend: Backend, key: str) -> bytes:
    """Read an object."""
    return bytes(backend.get(key).data)
