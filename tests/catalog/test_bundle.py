"""The archive for support: all that helps, and no secret."""

from __future__ import annotations

import json
import logging
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store import __version__
from mlflow_versioned_store.catalog.bundle import versions, warnings_recorded, write_bundle
from mlflow_versioned_store.catalog.checkup import Check, Checkup, examine
from mlflow_versioned_store.errors import AccessDenied, Conflict, LocalStorageFailed
from mlflow_versioned_store.store import create_store
from tests.servers.s3 import S3Server


def contents(file: Path) -> dict[str, Any]:
    """Return what is in the archive, by the names of its files."""
    with zipfile.ZipFile(file) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_all_of_a_checkup_is_in_it(tmp_path: Path) -> None:
    """Versions, checks, configuration, the store's marker, requests and warnings are there."""
    store = create_store(f"versioned-file://{tmp_path}/store")
    with warnings_recorded() as warnings:
        found = examine(f"versioned-file://{tmp_path}/store")
        logging.getLogger("mlflow_versioned_store.history").warning("look at this")
    write_bundle(tmp_path / "bundle.zip", found, warnings)
    told = contents(tmp_path / "bundle.zip")
    assert told["versions.json"]["mlflow-versioned-store"] == __version__
    assert [check["name"] for check in told["checks.json"]] == [check.name for check in found.checks]
    assert {value["name"] for value in told["configuration.json"]} >= {"MVS_MEMORY", "dedup_scope"}
    assert told["store.json"]["id"] == store.id
    assert told["requests.json"]["put"] > 0
    assert "look at this" in told["warnings.json"][0]


def test_versions_of_all_packages_are_known() -> None:
    """What is installed is told with its version, what could be used and is absent as absent."""
    found = versions()
    assert found["click"]
    assert found["obstore"]
    assert set(found) >= {"python", "system", "mlflow", "boto3", "hdfs-native"}


def test_an_error_is_told_with_its_request() -> None:
    """What a server answered can be looked up at the provider."""
    error = AccessDenied("no", key="_mvs/x", request_id="R-1", attempts=3)
    checkup = Checkup("uri", [Check("list", "failed", "no", "Grant it.", error)])
    file = Path(f"bundle-{uuid.uuid4().hex}.zip")
    try:
        write_bundle(file, checkup, [])
        (told,) = contents(file)["checks.json"]
    finally:
        file.unlink()
    assert told["error"] == {"kind": "access-denied", "key": "_mvs/x", "request_id": "R-1", "attempts": 3}


def test_no_secret_is_in_it(
    minio: S3Server, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No secret of the environment occurs in any file of the archive, wherever a message may have repeated it."""
    s3_env(minio)
    uri = f"versioned-s3://{minio.new_bucket()}/store"
    create_store(uri)
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfi",
        "AWS_SESSION_TOKEN": "session-token-1234",
        "MLFLOW_TRACKING_PASSWORD": "tracking-password-1234",
        "AZURE_STORAGE_CONNECTION_STRING": "AccountKey=azure-key-1234",
        "MVS_UNHEARD_OF": "unheard-of-1234",
        "https_proxy": "http://ann:proxy-password-1234@127.0.0.1:9/?token=proxy-token-1234",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    found = examine(uri)
    assert found.status == "failed"
    found.checks.append(Check("echo", "failed", f"the server said {secrets}"))
    echoed = [value for name, value in secrets.items() if name != "MVS_UNHEARD_OF"]
    write_bundle(tmp_path / "bundle.zip", found, [f"warned of {value}" for value in echoed])
    with zipfile.ZipFile(tmp_path / "bundle.zip") as archive:
        text = "\n".join(archive.read(name).decode() for name in archive.namelist() if name != "checks.json")
        checks = archive.read("checks.json").decode()
    for secret in ("wJalr", "token-1234", "password-1234", "azure-key"):
        assert secret not in text + checks
    assert "unheard-of-1234" not in text


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    """The archive never takes the place of something else."""
    (tmp_path / "bundle.zip").write_text("mine")
    with pytest.raises(Conflict, match=r"bundle\.zip"):
        write_bundle(tmp_path / "bundle.zip", Checkup("uri"), [])
    assert (tmp_path / "bundle.zip").read_text() == "mine"
    with pytest.raises(LocalStorageFailed, match="no-folder"):
        write_bundle(tmp_path / "no-folder" / "bundle.zip", Checkup("uri"), [])
