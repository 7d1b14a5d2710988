"""`mvs materialize` and `mvs url`: readable copies, and links to them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import RUN, Mvs
from tests.servers.s3 import S3Server


def test_copies_are_written_once(mvs: Mvs, store: str, tmp_path: Path) -> None:
    """A version and a folder are written below their prefixes; again, nothing is."""
    root = f"{store}/1/{RUN}/artifacts"
    for data in (b"one", b"two"):
        mvs("put", "-", f"{root}/data/a.csv", stdin=data)
    to = tmp_path / "copies"
    (line,) = mvs.lines("materialize", f"{root}/data/a.csv@v1", "--to", str(to))
    assert line == f"data/a.csv@@v1 → {to}/data/a.csv/v1 (1 written, 3 B)"
    assert (to / "data/a.csv/v1/a.csv").read_bytes() == b"one"
    (done,) = mvs.json("materialize", f"{root}/data", "--to", str(to), "--keep-latest")
    assert [(one["uri"], one["version"]) for one in done["files"]] == [(f"{to}/data/latest/a.csv", 2)]
    (done,) = mvs.json("materialize", f"{root}/data", "--to", str(to), "--keep-latest")
    assert (done["written"], done["unchanged"]) == (0, 1)


@pytest.mark.parametrize("native", [True, False])
def test_a_link_reads_an_exact_version(
    mvs: Mvs, minio: S3Server, s3_env: Callable[[S3Server], None], native: bool
) -> None:
    """A link to a native version, or to the copy of a packed one, gives its bytes under its real name."""
    s3_env(minio)
    bucket = minio.new_bucket()
    minio.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    store = f"versioned-s3://{bucket}/store"
    mvs("init", store)
    if native:
        mvs("settings", store, "native=**")
    address = f"{store}/1/{RUN}/artifacts/räte.csv"
    for data in (b"one", b"two"):
        mvs("put", "-", address, stdin=data)
    copies: list[str] = []
    if not native:
        assert "is packed" in mvs("url", f"{address}@v1", code=5).stderr
        copies = ["--copies", f"s3://{bucket}/copies"]
        assert "no copy" in mvs("url", f"{address}@v1", *copies, code=6).stderr
        mvs("materialize", f"{address}@v1", "--to", f"s3://{bucket}/copies")
    (url,) = mvs.lines("url", f"{address}@v1", "--expires", "5m", *copies)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"one"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''r%C3%A4te.csv"
        assert answer.headers["Content-Type"] == "text/csv"


@pytest.mark.parametrize("duration", ["0s", "1y", "-5m", "soon"])
def test_what_is_no_duration_is_refused(mvs: Mvs, store: str, duration: str) -> None:
    """A link's life is a plain duration."""
    assert "no duration" in mvs("url", f"{store}/x", "--expires", duration, code=2).stderr
