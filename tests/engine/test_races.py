"""Many threads of many processes write to one artifact root: every change is there exactly once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client
from tests.engine.processes import run_at_once
from tests.servers.s3 import S3Server

ROOT = f"7/{'a' * 32}/artifacts"
PROCESSES, THREADS = 6, 8


def race_on_one_path(uri: str, rounds: int) -> None:
    """Let all write distinct contents to one path, and check that each is exactly one version."""
    create_store(uri)
    calls = [("race", uri, ROOT, label, THREADS, rounds, "shared") for label in range(PROCESSES)]
    written = [tuple(one) for result in run_at_once(calls) for one in result["written"]]
    container, prefix = open_container(uri)
    store = client(container, prefix)
    root = store.root(ROOT)
    versions = root.versions("shared")
    assert [version.number for version in versions] == list(range(1, PROCESSES * THREADS * rounds + 1))
    found = {root.read(version).decode(): version.number for version in versions}
    assert len(found) == len(versions), "a content has two versions"
    assert sorted(found.items()) == sorted(written), "a writer was told another number than its version has"
    check_changes(store, PROCESSES * THREADS * rounds)
    invariants.check_all(store, ROOT)


def check_changes(store: Store, count: int) -> None:
    """Check that the log holds so many changes, each once."""
    ids = [change.id for commit in store.root(ROOT).history() for change in commit.changes]
    assert len(ids) == len(set(ids)) == count


def test_threads_and_processes_on_one_path_of_files(tmp_path: Path) -> None:
    """8 threads × 6 processes on the files backend: every version is there exactly once."""
    race_on_one_path(f"versioned-file://{tmp_path}/store", rounds=3)


def test_threads_and_processes_on_one_path_of_s3(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """8 threads × 6 processes on MinIO: every version is there exactly once."""
    s3_env(minio)
    race_on_one_path(f"versioned-s3://{minio.new_bucket()}/store", rounds=3)


@pytest.mark.slow
def test_256_writers_cost_few_requests(real_minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """16 processes of 16 threads, one file each: all are there, for at most 8 requests each."""
    s3_env(real_minio)
    uri = f"versioned-s3://{real_minio.new_bucket()}"
    create_store(uri)
    results = run_at_once([("race", uri, ROOT, label, 16, 1) for label in range(16)])
    store = client(open_container(uri)[0])
    assert {version.path for version in store.root(ROOT).walk()} == {
        f"{label}-{number}-0.txt" for label in range(16) for number in range(16)
    }
    assert sum(result["requests"] for result in results) <= 8 * 256
    check_changes(store, 256)
    invariants.commits_are_chained(store, ROOT)


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_processes_that_write_first_make_one_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """However many processes write first, they make one store, and what each wrote is in it."""
    if kind == "s3":
        minio: S3Server = request.getfixturevalue("minio")
        request.getfixturevalue("s3_env")(minio)
        container = f"versioned-s3://{minio.new_bucket()}"
    else:
        container = f"versioned-file://{tmp_path}"
    results = run_at_once([("create", f"{container}/team/{ROOT}", label) for label in range(6)])
    assert len({result["id"] for result in results}) == 1
    backend, folder = open_container(container)
    keys = [info.key.removeprefix(f"{folder}/") for info in backend.list(folder)]
    assert [key for key in keys if key.endswith("store.json")] == ["team/_mvs/store.json"]
    store = client(*open_container(f"{container}/team"))
    assert {child.name: child.version for child in store.root(ROOT).children()} == {f"file-{n}": 1 for n in range(6)}
    invariants.check_all(store, ROOT)
