"""mvs serve-s3, run as a process."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store.gateway.access_keys import ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE
from tests.cli.conftest import RUN, Mvs
from tests.servers.certificates import Authority
from tests.servers.s3 import S3Server

MVS = [sys.executable, "-m", "mlflow_versioned_store"]
KEY, SECRET = "reader", "secret-of-the-reader"


@pytest.fixture
def store(mvs: Mvs, tmp_path: Path) -> str:
    """The URI of a store on disk, which another process can read."""
    uri = f"versioned-file://{tmp_path}/store"
    mvs("init", uri)
    return uri


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command at a free port; it ends as an interrupt ends it."""
    process = subprocess.Popen(
        [*MVS, "serve-s3", *arguments, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130


def announced(process: subprocess.Popen[str]) -> Any:
    """Return what the command says once it listens."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def client(endpoint: str, **options: Any) -> Any:
    """Return a boto3 client of it."""
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="x", **options
    )


def keys_at(path: Path, *places: str) -> str:
    """Write a file of access keys, and return its path."""
    path.write_text(f"# who may read what\n{KEY} {SECRET} {' '.join(places)}\n")
    path.chmod(0o600)
    return str(path)


def test_stores_are_buckets(tmp_path: Path, store: str, root: str, put: Callable[[str, bytes], None]) -> None:
    """A store, and a part of one under a name of its own, each limited as its key is; reads are recorded."""
    put("data/a.txt", b"first")
    put("data/a.txt", b"second")
    records = tmp_path / "reads.jsonl"
    keys = keys_at(tmp_path / "keys", "run")
    with serving(store, f"run={root}/data", "--keys", keys, "--access-log", str(records)) as process:
        said = announced(process)
        assert said["buckets"] == [{"name": "store", "uri": store}, {"name": "run", "uri": f"{root}/data"}]
        s3 = client(said["endpoint"])
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["run"]
        assert [found["Key"] for found in s3.list_objects_v2(Bucket="run")["Contents"]] == ["a.txt"]
        assert s3.get_object(Bucket="run", Key="a.txt", VersionId="v1")["Body"].read() == b"first"
        with pytest.raises(s3.exceptions.NoSuchBucket):
            s3.get_object(Bucket="store", Key=f"1/{RUN}/artifacts/data/a.txt")
        s3.close()
    (record,) = map(json.loads, records.read_text().splitlines())
    assert (record["root"], record["path"], record["version"]) == (f"1/{RUN}/artifacts", "data/a.txt", 1)


def test_it_speaks_tls(
    tmp_path: Path, store: str, put: Callable[[str, bytes], None], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a certificate, and the access key of the environment; reads are then recorded on stderr."""
    monkeypatch.setenv(ACCESS_KEY_VARIABLE, KEY)
    monkeypatch.setenv(SECRET_KEY_VARIABLE, SECRET)
    put("a.txt", b"content")
    certificate, private_key = authority.server / "public.crt", authority.server / "private.key"
    with serving(store, "--tls-certificate", str(certificate), "--tls-key", str(private_key)) as process:
        endpoint = announced(process)["endpoint"]
        assert endpoint.startswith("https://127.0.0.1:")
        s3 = client(endpoint, verify=str(authority.bundle))
        assert s3.get_object(Bucket="store", Key=f"1/{RUN}/artifacts/a.txt")["Body"].read() == b"content"
        s3.close()
        assert process.stderr is not None
        assert json.loads(process.stderr.readline())["bytes"] == len(b"content")


@pytest.mark.parametrize(("switch", "kept"), [(None, False), ("", False), ("on", True)])
def test_its_disk_keeps_nothing_unless_told(
    mvs: Mvs,
    minio: S3Server,
    s3_env: Callable[[S3Server], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    switch: str | None,
    kept: bool,
) -> None:
    """What comes over the network is passed on; the cache takes it only where it was asked to."""
    s3_env(minio)
    content, cache = random.Random(1).randbytes(200_000), tmp_path / "cache"
    uri = f"versioned-s3://{minio.new_bucket()}/store"
    mvs("init", uri)
    mvs("put", "-", f"{uri}/a.bin", stdin=content)
    monkeypatch.delenv("MVS_CACHE")
    monkeypatch.setenv("MVS_CACHE_DIR", str(cache))
    if switch is not None:
        monkeypatch.setenv("MVS_CACHE", switch)
    with serving(uri, "--keys", keys_at(tmp_path / "keys")) as process:
        s3 = client(announced(process)["endpoint"])
        assert s3.get_object(Bucket="store", Key="a.bin")["Body"].read() == content
        s3.close()
    assert cache.exists() == kept


def test_beyond_the_loopback_it_warns(store: str, tmp_path: Path) -> None:
    """Whoever lets others in without TLS is told."""
    with serving(store, "--host", "0.0.0.0", "--keys", keys_at(tmp_path / "keys")) as process:
        announced(process)
        assert process.stderr is not None
        assert re.match("Warning: .* speaks no TLS", process.stderr.readline())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Sales=STORE", "--keys", "KEYS"], "no name of a bucket"),
        (["STORE", "STORE/1", "store=STORE", "--keys", "KEYS"], "no name of a bucket"),
        (["STORE", "store=STORE/1", "--keys", "KEYS"], "Two buckets are called store"),
        (["STORE"], "Nobody could read"),
        (["STORE", "--keys", "OPEN"], "chmod 600"),
        (["STORE", "--keys", "EMPTY"], "no access key"),
        (["STORE", "--keys", "KEYS", "--tls-key", "KEYS"], "--tls-certificate"),
        (["STORE", "--keys", "KEYS", "--tls-certificate", "KEYS"], "cannot be used"),
        (["STORE", "--keys", "KEYS", "--access-log", "/"], "Nothing can be written"),
        (["STORE", "--keys", "KEYS", "--host", "192.0.2.1"], "Nothing can listen"),
    ],
)
def test_what_cannot_be_served_is_said(mvs: Mvs, store: str, tmp_path: Path, arguments: list[str], said: str) -> None:
    """Before anything is served, in one line."""
    (tmp_path / "open").write_text(f"{KEY} {SECRET}\n")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "empty").touch(0o600)
    for name, value in {
        "STORE": store,
        "KEYS": keys_at(tmp_path / "keys"),
        "OPEN": str(tmp_path / "open"),
        "EMPTY": str(tmp_path / "empty"),
    }.items():
        arguments = [argument.replace(name, value) for argument in arguments]
    told = mvs("serve-s3", *arguments, code=2)
    assert said in told.stderr
    assert told.stderr.count("\n") == 1
