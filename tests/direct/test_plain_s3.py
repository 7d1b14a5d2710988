"""Plain s3:// locations lead to the store that they lie in, and to MLflow's own repository everywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_versioned_store.store import create_store
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    import pytest

RUN = f"1/{'a' * 32}/artifacts"
SHOW = """
import sys
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
for uri in sys.argv[1:]:
    repository = get_artifact_repository(uri)
    print(type(repository).__module__.partition(".")[0], repository.artifact_uri)
"""


def run(site: Path, script: str, *arguments: str, ok: bool = True) -> str:
    """Run Python with the distribution installed, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stderr
    return done.stdout if ok else done.stderr


def test_only_what_lies_in_a_store_is_taken(
    minio: S3Server, s3_env: Callable[[S3Server], None], plain_s3: Path
) -> None:
    """A root in a store is the store's; one without a marker at or above it is MLflow's own, as it would be anyway."""
    s3_env(minio)
    bucket = minio.new_bucket()
    create_store(f"versioned-s3://{bucket}/mlruns")
    inside, outside = f"s3://{bucket}/mlruns/{RUN}", f"s3://{bucket}/elsewhere/{RUN}"
    assert run(plain_s3, SHOW, inside, f"{inside}/data", outside).splitlines() == [
        f"mlflow_versioned_store versioned-{inside}",
        f"mlflow_versioned_store versioned-{inside}/data",
        f"mlflow {outside}",
    ]


def test_it_is_light(plain_s3: Path) -> None:
    """MLflow loads it while it is half imported itself, so loading imports neither MLflow nor the store."""
    script = (
        "import sys, mlflow_versioned_store_plain_s3;"
        "print([name for name in ('mlflow', 'mlflow_versioned_store', 'boto3') if name in sys.modules])"
    )
    assert run(plain_s3, script).strip() == "[]"


def test_where_nobody_may_look_it_fails(
    real_minio: Minio, monkeypatch: pytest.MonkeyPatch, s3_env: Callable[[S3Server], None], plain_s3: Path
) -> None:
    """Where it cannot be told whether there is a store, nothing is guessed."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    told = run(plain_s3, SHOW, f"s3://{bucket}/mlruns/{RUN}", ok=False)
    assert "MlflowException" in told.splitlines()[-1]


def test_it_is_one_module_and_one_entry_point(plain_s3: Path) -> None:
    """What is installed overrides `s3`, and nothing else."""
    script = (
        "from importlib.metadata import distribution as d; one = d('mlflow-versioned-store-plain-s3');"
        "print([(point.group, point.name) for point in one.entry_points], one.requires)"
    )
    assert run(plain_s3, script).strip() == "[('mlflow.artifact_repository', 's3')] ['mlflow-versioned-store']"
