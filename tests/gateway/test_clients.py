"""Programs that know S3 and nothing of this package, reading exact versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import Item
from tests.conftest import need
from tests.gateway.conftest import BUCKET, CONTEXT, KEY, LARGE, LOOPBACK, NAMES, RUN, Endpoint
from tests.servers.binaries import MC, RCLONE

ONE = f"{BUCKET}/{RUN}/data/one.csv"
TABLES = "7/" + "d" * 32 + "/artifacts"
ROWS = (1000, 10)


@pytest.fixture(scope="module")
def tables(scratch: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The key of a Parquet file of two versions, of `ROWS` rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path_factory.mktemp("tables") / "t.parquet"
    for count in ROWS:
        pq.write_table(pa.table({"x": list(range(count))}), file)
        scratch.store.root(TABLES).upload([Item("t.parquet", str(file))], context=CONTEXT)
    return f"{TABLES}/t.parquet"


def environment(endpoint: Endpoint, **others: str) -> dict[str, str]:
    """Return the variables that make AWS's clients read from it."""
    return os.environ | {
        "AWS_ACCESS_KEY_ID": KEY.name,
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint.url,
        **others,
    }


def told(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Return what a command that succeeds prints."""
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_tree(folder: Path) -> None:
    """Assert that a folder holds the current files of the run, byte for byte."""
    for name in NAMES:
        expected = b"two" if name == "data/one.csv" else f"one {name}".encode()
        assert (folder / name).read_bytes() == expected
    assert (folder / "large.bin").read_bytes() == LARGE
    assert not (folder / "gone.txt").exists()


def test_boto3_downloads_in_parallel(endpoint: Endpoint, s3: Any, tmp_path: Path) -> None:
    """A managed download of several ranges at once, of an exact version."""
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=1 << 20, multipart_chunksize=1 << 20)
    key, to = f"{RUN}/large.bin", str(tmp_path / "large.bin")
    s3.download_file(BUCKET, key, to, ExtraArgs={"VersionId": "v1"}, Config=config)
    assert Path(to).read_bytes() == LARGE
    assert sum(record.bytes for record in endpoint.records()[-5:]) >= len(LARGE) - (1 << 20)


def test_the_aws_command_line(endpoint: Endpoint, tmp_path: Path) -> None:
    """It lists, copies a tree, and gets a version."""
    aws = shutil.which("aws")
    if aws is None:
        pytest.skip("the AWS command line is not installed")
    env = environment(endpoint)
    assert "one.csv" in told(aws, "s3", "ls", f"s3://{BUCKET}/{RUN}/data/", env=env)
    told(aws, "s3", "sync", f"s3://{BUCKET}/{RUN}", tmp_path / "run", env=env)
    check_tree(tmp_path / "run")
    key = ["--bucket", BUCKET, "--key", f"{RUN}/data/one.csv"]
    told(aws, "s3api", "get-object", *key, "--version-id", "v1", tmp_path / "one.csv", env=env)
    assert (tmp_path / "one.csv").read_bytes() == b"one data/one.csv"


def test_mc(endpoint: Endpoint, tmp_path: Path) -> None:
    """It lists versions, mirrors a tree, gets a version, and cannot write."""
    need(MC)
    env = os.environ | {"MC_HOST_gateway": endpoint.url.replace("://", f"://{KEY.name}:{KEY.secret}@")}
    mc = [str(MC.path()), "--config-dir", str(tmp_path / "config"), "--json"]
    listed = told(*mc, "ls", "--versions", f"gateway/{ONE}", env=env).splitlines()
    assert [json.loads(line)["versionId"] for line in listed] == ["v2", "v1"]
    told(*mc, "mirror", f"gateway/{BUCKET}/{RUN}", str(tmp_path / "run"), env=env)
    check_tree(tmp_path / "run")
    told(*mc, "cp", "--version-id", "v1", f"gateway/{ONE}", str(tmp_path / "one.csv"), env=env)
    assert (tmp_path / "one.csv").read_bytes() == b"one data/one.csv"
    refused = subprocess.run(
        [*mc, "cp", tmp_path / "one.csv", f"gateway/{ONE}"], env=env, capture_output=True, timeout=60, check=False
    )
    assert refused.returncode != 0
    assert b'"type":"error"' in refused.stdout


def rclone(endpoint: Endpoint, *arguments: str | Path, **options: str) -> list[str]:
    """Return an rclone command; "STORE" stands for the bucket, read with `options` of rclone's S3."""
    need(RCLONE)
    config = {
        "provider": "Other",
        "endpoint": f'"{endpoint.url}"',
        "access_key_id": KEY.name,
        "secret_access_key": KEY.secret,
    }
    remote = ":s3," + ",".join(f"{name}={value}" for name, value in (config | options).items()) + f":{BUCKET}"
    return [str(RCLONE.path()), *(str(argument).replace("STORE", remote) for argument in arguments)]


def test_rclone(endpoint: Endpoint, tmp_path: Path) -> None:
    """It copies a tree, checks it, and shows old versions as files."""
    env = os.environ | {"RCLONE_CONFIG": str(tmp_path / "none.conf")}
    told(*rclone(endpoint, "copy", f"STORE/{RUN}", tmp_path / "run"), env=env)
    check_tree(tmp_path / "run")
    told(*rclone(endpoint, "check", "--download", f"STORE/{RUN}", tmp_path / "run"), env=env)
    shown = told(*rclone(endpoint, "lsf", f"STORE/{RUN}/data", versions="true"), env=env).split()
    assert [name.startswith("one-v") for name in shown] == [True, False, False]


def test_rclone_mounts(endpoint: Endpoint, tmp_path: Path) -> None:
    """A mounted store is a folder to read from: also at any place inside a file, and an exact version."""
    if shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("FUSE is not installed")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    command = rclone(endpoint, "mount", f"STORE/{RUN}", mounted, "--read-only", versions="true")
    with subprocess.Popen(command, env=os.environ | {"RCLONE_CONFIG": str(tmp_path / "none.conf")}) as process:
        try:
            while not mounted.is_mount():
                assert process.poll() is None
                time.sleep(0.02)
            check_tree(mounted)
            with (mounted / "large.bin").open("rb") as file:
                file.seek(-1000, os.SEEK_END)
                assert file.read() == LARGE[-1000:]
            (old,) = (mounted / "data").glob("one-v*.csv")
            assert old.read_bytes() == b"one data/one.csv"
            with pytest.raises(OSError, match="Read-only"):
                (mounted / "new").touch()
        finally:
            subprocess.run(["fusermount3", "-u", str(mounted)], check=True)


def test_pyarrow(scratch: Endpoint, tables: str) -> None:
    """Arrow's own S3 file system reads a version by its address."""
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSelector, S3FileSystem

    files = S3FileSystem(
        access_key=KEY.name,
        secret_key=KEY.secret,
        endpoint_override=f"{LOOPBACK}:{scratch.port}",
        scheme="http",
        region="us-east-1",
    )
    found = files.get_file_info(FileSelector(f"{BUCKET}/{TABLES}"))
    assert [info.path for info in found] == [f"{BUCKET}/{tables}"]
    counts = [
        pq.read_table(f"{BUCKET}/{tables}{address}", filesystem=files).num_rows
        for address in ("@@v1/t.parquet", "@@v2")
    ]
    assert tuple(counts) == ROWS


def test_obstore(endpoint: Endpoint) -> None:
    """It lists, and reads ranges of an exact version."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=endpoint.url,
        access_key_id=KEY.name,
        secret_access_key=KEY.secret,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    listed = obstore.list(store, f"{RUN}/data").collect()
    assert [meta["path"] for meta in listed] == [f"{RUN}/data/one.csv", f"{RUN}/data/two.csv"]
    assert bytes(obstore.get(store, f"{RUN}/data/one.csv", options={"version": "v1"}).bytes()) == b"one data/one.csv"
    assert (
        bytes(obstore.get_range(store, f"{RUN}/large.bin", start=1_000_000, length=70_000))
        == LARGE[1_000_000:1_070_000]
    )


def test_duckdb(scratch: Endpoint, tables: str) -> None:
    """DuckDB's own S3 reader queries exact versions, where its extension is installed: it is never downloaded here."""
    import duckdb

    connection = duckdb.connect()
    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error:
        pytest.skip("DuckDB's extension httpfs is not installed")
    connection.execute(
        f"CREATE SECRET (TYPE s3, KEY_ID '{KEY.name}', SECRET '{KEY.secret}', REGION 'us-east-1', "
        f"ENDPOINT '{LOOPBACK}:{scratch.port}', URL_STYLE 'path', USE_SSL false)"
    )
    for version, count in zip(("v1", "v2"), ROWS, strict=True):
        query = f"SELECT count(*) FROM 's3://{BUCKET}/{tables}@@{version}/t.parquet'"
        assert connection.execute(query).fetchone() == (count,)


def test_mlflow_without_the_plugin(endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own S3 repository lists and downloads."""
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    for name, value in environment(endpoint, MLFLOW_S3_ENDPOINT_URL=endpoint.url).items():
        monkeypatch.setenv(name, value)
    repository: Any = S3ArtifactRepository(f"s3://{BUCKET}/{RUN}")
    assert [info.path for info in repository.list_artifacts("data")] == ["data/one.csv", "data/two.csv"]
    repository.download_artifacts("", str(tmp_path))
    check_tree(tmp_path)
