"""From URIs to backends."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.backends import opening
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container, parse
from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput
from tests.servers.s3 import S3Server


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("versioned-s3://bucket", ("s3", "bucket", "")),
        ("versioned-s3://bucket/", ("s3", "bucket", "")),
        ("Versioned-S3://bucket/a/b", ("s3", "bucket", "a/b")),
        ("versioned-s3://bucket//a//./b/", ("s3", "bucket", "a/b")),
        ("versioned-s3://bucket/d/../d/a.txt", ("s3", "bucket", "d/a.txt")),
        ("versioned-s3://bucket/a%20b/100%/#1 c@v2/ü+", ("s3", "bucket", "a%20b/100%/#1 c@v2/ü+")),
        ("versioned-file:///data/mlruns", ("file", "/", "data/mlruns")),
        ("versioned-file://localhost/data", ("file", "/", "data")),
        ("versioned-file:/data", ("file", "/", "data")),
        ("versioned-gs://bucket/a", ("gs", "bucket", "a")),
        ("versioned-az://container/a", ("az", "container", "a")),
        ("versioned-hdfs:///data", ("hdfs", "", "data")),
        ("versioned-memory://name/a", ("memory", "name", "a")),
        ("versioned-memory:///a", ("memory", "", "a")),
    ],
)
def test_parts_of_a_uri(uri: str, expected: tuple[str, str, str]) -> None:
    """Scheme, container and path; the path is taken literally, as MLflow appends to it."""
    assert parse(uri) == expected


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://bucket/a", "Write versioned-s3://bucket/a"),
        ("versioned-ftp://host/a", "begin with versioned-s3"),
        ("versioned-s3:/bucket", "no bucket"),
        ("versioned-file:data/a", f"is relative. Write versioned-file://{os.path.abspath('data/a')}"),
        ("versioned-hdfs:data/a", "Write versioned-hdfs:///data/a"),
        ("versioned-s3:bucket/a", "Write versioned-s3://bucket/a"),
        ("versioned-s3:///a", "no bucket"),
        ("versioned-az://", "no bucket"),
        ("versioned-s3://bucket/a?version=3", "query"),
        ("versioned-s3://bucket?x=1", "query"),
        ("versioned-s3://bucket#x", "query"),
        ("versioned-s3://bucket/a/../../other/b", "leaves its container"),
        ("versioned-file:///../a", "leaves its container"),
        ("versioned-file://server/share", "host"),
        ("versioned-hdfs://attacker:9000/a", "MVS_HDFS_NAMENODE"),
    ],
)
def test_bad_uris(uri: str, says: str) -> None:
    """What is no URI of a store, or would reach beyond its container, is refused in words."""
    with pytest.raises(InvalidInput, match=re.escape(says)):
        parse(uri)


@pytest.mark.parametrize("bucket", ["host:9000", "user@host", "a", "b%2f..", "bucket;x", "[::1]", "-x-"])
def test_a_server_is_never_taken_from_a_uri(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not a bucket's name is refused, so no URI decides where requests go."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(InvalidInput, match="no name of an S3 bucket"):
        open_container(f"versioned-s3://{bucket}/x")


@given(st.lists(st.text(st.characters(exclude_characters="/?\0", exclude_categories=["Cs"]), min_size=1), max_size=5))
def test_literal_paths(parts: list[str]) -> None:
    """Any path of ordinary components comes back as it was written."""
    parts = [part for part in parts if part not in (".", "..")]
    assert parse("versioned-s3://bucket/" + "/".join(parts)) == ("s3", "bucket", "/".join(parts))


def test_files_are_found_under_their_path(tmp_path: Path) -> None:
    """The path of a file URI is where the files are."""
    backend, path = open_container(f"versioned-file://{tmp_path.as_posix()}/store")
    backend.put(f"{path}/a", b"1", create=True)
    assert (tmp_path / "store" / "a").read_bytes() == b"1"
    assert [info.key for info in backend.list(path)] == [f"{path}/a"]


def test_memory_stores_are_shared_by_name() -> None:
    """One name is one store for the whole process."""
    open_container("versioned-memory://shared/x")[0].put("a", b"1")
    assert bytes(open_container("versioned-memory://shared/y")[0].get("a").data) == b"1"
    assert list(open_container("versioned-memory://unshared")[0].list("")) == []


def test_a_backend_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that open one container together get one backend."""
    monkeypatch.setattr(opening, "_open", opening._Shared())
    with ThreadPoolExecutor(8) as pool:
        backends = list(pool.map(lambda _: open_container("versioned-memory://once")[0], range(16)))
    assert len(set(map(id, backends))) == 1


def test_what_is_slow_to_make_holds_nobody_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that open one container share one attempt and its failure; meanwhile other containers open."""
    asked: list[str] = []
    came: list[int] = []
    others = threading.Event()

    def fingerprint() -> tuple[object, ...]:
        came.append(1)
        return ()

    def slow(bucket: str) -> Backend:
        asked.append(bucket)
        assert others.wait(30)
        raise CredentialsMissing("No answer.")

    monkeypatch.setitem(opening._KINDS, "s3", (fingerprint, slow))

    def fails(_: int) -> None:
        with pytest.raises(CredentialsMissing, match="No answer"):
            open_container("versioned-s3://slow/a")

    with ThreadPoolExecutor(3) as pool:
        failing = pool.map(fails, range(3))
        while len(came) < 3 or not asked:
            time.sleep(0.001)
        open_container("versioned-memory://quick")
        # The others have come, and are about to wait.
        time.sleep(0.1)
        others.set()
        assert list(failing) == [None] * 3
    assert asked == ["slow"]


def test_a_changed_configuration_makes_a_new_backend(
    moto_server: S3Server, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same environment gives the same backend, another variable another one."""
    s3_env(moto_server)
    first, _ = open_container("versioned-s3://some-bucket/a")
    assert open_container("versioned-s3://some-bucket/b")[0] is first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    assert open_container("versioned-s3://some-bucket/b")[0] is not first


def test_no_credentials_is_an_error_that_names_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials opening fails and says where they were looked for."""
    with pytest.raises(CredentialsMissing, match=r"env.*shared-credentials-file.*AWS_ACCESS_KEY_ID"):
        open_container("versioned-s3://some-bucket/a")


def test_azure_needs_an_account() -> None:
    """Without an account opening fails and names the variables."""
    with pytest.raises(CredentialsMissing, match="AZURE_STORAGE_CONNECTION_STRING"):
        open_container("versioned-az://container/a")


def test_hdfs_needs_a_name_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name node comes from the environment, and without one the error says so."""
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    with pytest.raises(InvalidInput, match="MVS_HDFS_NAMENODE"):
        open_container("versioned-hdfs:///a")
