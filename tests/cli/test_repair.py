"""`mvs init --native` and `mvs repair --undelete`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import RUN, Mvs
from tests.servers.s3 import S3Server


def test_what_was_deleted_comes_back(
    mvs: Mvs, real_minio: S3Server, s3_env: Callable[[S3Server], None], tmp_path: Path
) -> None:
    """A bucket emptied by others is as it was, marker included; a dry run changes nothing."""
    s3_env(real_minio)
    bucket = real_minio.new_bucket()
    store = f"versioned-s3://{bucket}/lake"
    assert mvs.json("init", store, "--native", "data/**", "--native", "*.csv")["native"] == ["data/**", "*.csv"]
    (tmp_path / "t.csv").write_bytes(b"1,2\n")
    mvs("put", str(tmp_path / "t.csv"), f"{store}/1/{RUN}/artifacts/t.csv")
    before = real_minio.keys(bucket)
    assert f"lake/1/{RUN}/artifacts/t.csv" in before
    for key in before:
        real_minio.client().delete_object(Bucket=bucket, Key=key)
    assert mvs.json("repair", store, "--undelete", "--dry-run")["deleted"] > 0
    assert real_minio.keys(bucket) == {}
    mvs("repair", store, "--undelete")
    assert before.items() <= real_minio.keys(bucket).items()
    assert mvs("cat", f"{store}/1/{RUN}/artifacts/t.csv@@v1").stdout == "1,2\n"


def test_bad_questions_are_refused(mvs: Mvs, store: str) -> None:
    """Nothing to repair, a time that is none, and a store without object versions are told in one line."""
    assert "--undelete" in mvs("repair", store, code=2).output
    assert "time" in mvs("repair", store, "--undelete", "--since", "yesterday", code=2).output
    assert "zone" in mvs("repair", store, "--undelete", "--since", "2026-11-01T12:00:00", code=2).output
    assert mvs("repair", store, "--undelete", code=5).output
    assert "**" in mvs("init", store, "--native", "a**", code=2).output
