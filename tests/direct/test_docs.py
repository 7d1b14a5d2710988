"""The pages about adoption and readable copies: their commands do what is said beside them."""

from __future__ import annotations

import re
import shlex
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.conftest import RUN, Mvs
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
mvs = Mvs()


def commands(page: str, **names: str) -> list[list[str]]:
    """Return the arguments of a page's commands, with names in them replaced."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, value in names.items():
        text = text.replace(name.replace("_", "-") if name.islower() else f"${name}", value)
    return [shlex.split(line) for line in re.findall(r"^\$ mvs (.*)$", text, re.MULTILINE)]


def test_the_guide_to_adoption_runs(
    minio: S3Server,
    s3_env: Callable[[S3Server], None],
    monkeypatch: pytest.MonkeyPatch,
    tracking_database: Path,
    tmp_path: Path,
) -> None:
    """Every command, in order, takes a bucket in, and leads back to where it began."""
    s3_env(minio)
    s3, bucket, lake = minio.client(), minio.new_bucket(versioned=True), minio.new_bucket()
    (tmp_path / "mlflow.db").write_bytes(tracking_database.read_bytes())
    old = f"mlruns/1/{RUN}/artifacts/f"
    s3.put_object(Bucket=bucket, Key=old, Body=b"old")
    s3.put_object(Bucket=lake, Key="churn/2026.parquet", Body=b"parquet")
    monkeypatch.setenv("MVS_ALLOWED_REFERENCES", f"s3://{lake}/churn/")
    done = commands("adoption.md", RUN=RUN, my_bucket=bucket)
    done = [[one.replace("s3://lake/", f"s3://{lake}/") for one in arguments] for arguments in done]
    done = [[one.replace("sqlite:///", f"sqlite:///{tmp_path}/") for one in arguments] for arguments in done]
    assert {arguments[0] for arguments in done} == {"adopt", "relocate", "export"}
    for arguments in done:
        mvs(*arguments)
    keys = {one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"] if "/_mvs/" not in one["Key"]}
    paths = (f"1/{RUN}/artifacts/f", f"1/{RUN}/artifacts/data/churn.parquet")
    assert keys == {f"{place}/{path}" for place in ("mlruns", "plain") for path in paths}


def test_the_guide_to_copies_runs(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """Every command, in order; what is drawn is what is there, and the link reads version 1."""
    s3_env(minio)
    bucket = minio.new_bucket()
    root, copies = f"versioned-s3://{bucket}/store/1/{RUN}/artifacts", f"s3://{bucket}/copies"
    mvs("init", f"versioned-s3://{bucket}/store")
    for data in (b"one", b"two"):
        mvs("put", "-", f"{root}/data/train.csv", stdin=data)
    *written, linked = commands("direct.md", ROOT=root, COPIES=copies)
    for arguments in written:
        mvs(*arguments)
    listed = minio.client().list_objects_v2(Bucket=bucket, Prefix="copies/")["Contents"]
    drawn = re.findall(r"^<to>/(\S+)", (DOCS / "direct.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {f"copies/{name}" for name in drawn} <= {one["Key"] for one in listed}
    with urllib.request.urlopen(mvs.lines(*linked)[0]) as answer:
        assert answer.read() == b"one"


def test_the_fields_of_a_manifest_are_explained() -> None:
    """The page's table names every field."""
    from mlflow_versioned_store.direct.materializing import Copy, Manifest

    table = (DOCS / "direct.md").read_text(encoding="utf-8").partition("| field |")[2]
    explained = set(re.findall(r"`(\w+)`", table.partition("\n\n")[0]))
    assert explained == {*Manifest.__struct_fields__, *Copy.__struct_fields__}
