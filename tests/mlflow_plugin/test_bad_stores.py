"""What a store that is wrong, closed, dead or damaged looks like from MLflow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow.exceptions import MlflowException

from mlflow_versioned_store._entry import artifact_repository
from tests.mlflow_plugin.conftest import RUN
from tests.servers.process import free_port

if TYPE_CHECKING:
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
    from tests.servers.s3 import S3Server

UseServer = Callable[["S3Server"], None]


def _calls(repository: VersionedArtifactRepository, folder: Path) -> dict[str, Callable[[], object]]:
    (folder / "a.txt").write_bytes(b"1")
    (folder / "out").mkdir()
    return {
        "list": repository.list_artifacts,
        "download": lambda: repository.download_artifacts("a.txt", folder / "out"),
        "download all": lambda: repository.download_artifacts("", folder / "out"),
        "log": lambda: repository.log_artifact(folder / "a.txt"),
        "delete": repository.delete_artifacts,
    }


def _codes(repository: VersionedArtifactRepository, folder: Path) -> dict[str, str]:
    codes = {}
    for name, call in _calls(repository, folder).items():
        with pytest.raises(MlflowException) as raised:
            call()
        codes[name] = raised.value.error_code
        assert repository.artifact_uri.split("/")[2] in raised.value.message or "127.0.0.1" in raised.value.message
    return codes


def test_a_bucket_that_does_not_exist_is_never_an_empty_one(minio: S3Server, s3_env: UseServer, tmp_path: Path) -> None:
    """Every call names the bucket."""
    s3_env(minio)
    repository = artifact_repository(f"versioned-s3://no-such-bucket/1/{RUN}/artifacts")
    assert set(_codes(repository, tmp_path).values()) == {"RESOURCE_DOES_NOT_EXIST"}


def test_a_wrong_key_is_a_question_of_permission(
    real_minio: S3Server, s3_env: UseServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A 403 says nothing about what is there."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-wrong-wrong")
    repository = artifact_repository(f"versioned-s3://{bucket}/1/{RUN}/artifacts")
    assert set(_codes(repository, tmp_path).values()) == {"PERMISSION_DENIED"}


def test_a_dead_endpoint_is_unavailable(
    minio: S3Server, s3_env: UseServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is taken for missing because nobody answers."""
    s3_env(minio)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    repository = artifact_repository(f"versioned-s3://bucket/1/{RUN}/artifacts")
    with pytest.raises(MlflowException) as raised:
        repository.list_artifacts()
    assert raised.value.error_code == "TEMPORARILY_UNAVAILABLE"


def test_damaged_bytes_never_become_a_file(tmp_path: Path) -> None:
    """A flipped bit in what is stored is reported as damage; the destination stays empty."""
    store = tmp_path / "store"
    repository = artifact_repository(f"versioned-file://{store}/1/{RUN}/artifacts")
    (tmp_path / "a.bin").write_bytes(os.urandom(1_000_000))
    (tmp_path / "out").mkdir()
    repository.log_artifact(tmp_path / "a.bin")
    packs = [file for file in store.rglob("*") if file.is_file() and "packs" in file.parts]
    assert packs
    for pack in packs:
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.chmod(0o644)
        pack.write_bytes(data)
    with pytest.raises(MlflowException, match=r"a\.bin") as raised:
        repository.download_artifacts("a.bin", tmp_path / "out")
    assert raised.value.error_code == "DATA_LOSS"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_directory_where_the_file_should_go_is_named(tmp_path: Path) -> None:
    """The local disk is at fault, and the path says where."""
    repository = artifact_repository(f"versioned-file://{tmp_path}/store/1/{RUN}/artifacts")
    (tmp_path / "a.txt").write_bytes(b"1")
    repository.log_artifact(tmp_path / "a.txt")
    (tmp_path / "out" / "a.txt" / "in the way").mkdir(parents=True)
    with pytest.raises(MlflowException, match=r"a\.txt") as raised:
        repository.download_artifacts("a.txt", tmp_path / "out")
    assert raised.value.error_code == "IO_ERROR"
