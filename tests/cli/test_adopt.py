"""`mvs adopt`, `mvs export` and `mvs relocate`: artifacts come in without a copy, and go back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.conftest import RUN, Mvs
from tests.servers.s3 import S3Server

ROOT = f"1/{RUN}/artifacts"


class Old(NamedTuple):
    """A bucket that keeps object versions, with artifacts below "mlruns"."""

    s3: Any
    bucket: str

    @property
    def uri(self) -> str:
        """Where they are."""
        return f"s3://{self.bucket}/mlruns"

    def put(self, path: str, data: bytes) -> None:
        """Write an object, as any tool does."""
        self.s3.put_object(Bucket=self.bucket, Key=f"mlruns/{path}", Body=data)

    def names(self) -> set[str]:
        """Return the names of all objects that are not a store's own."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]
        return {one["Key"] for one in listed if "/_mvs/" not in one["Key"]}


@pytest.fixture
def old(minio: S3Server, s3_env: Callable[[S3Server], None]) -> Old:
    """The bucket."""
    s3_env(minio)
    old = Old(minio.client(), minio.new_bucket(versioned=True))
    old.put(f"{ROOT}/f", b"one")
    old.put(f"{ROOT}/f", b"two")
    old.put(f"{ROOT}/folder/", b"")
    return old


def test_adoption_is_tried_first(mvs: Mvs, old: Old) -> None:
    """Without --yes it says what it would do, and makes no store."""
    said = mvs("adopt", old.uri)
    assert f"Would adopt 2 versions (6 B) in 1 artifact root of versioned-{old.uri}." in said.stdout
    assert f"1 object can be no artifact, such as '{ROOT}/folder/'." in said.stdout
    assert "Nothing was changed" in said.stderr
    assert "no versioned store" in mvs("ls", f"versioned-{old.uri}", code=6).stderr


def test_adoption_is_told_and_goes_on(mvs: Mvs, old: Old) -> None:
    """What was taken in is listed as versions; again, only what is new is taken in."""
    assert mvs.lines("adopt", old.uri, "--yes")[0].startswith("Adopted 2 versions (6 B)")
    address = f"versioned-{old.uri}/{ROOT}/f"
    assert [mvs("cat", f"{address}@v{number}").stdout for number in (1, 2)] == ["one", "two"]
    old.put(f"{ROOT}/f", b"three")
    document = mvs.json("adopt", old.uri, "--yes")
    assert (document["written"], document["versions"], document["known"], document["size"]) == (True, 1, 2, 5)
    assert mvs("cat", address).stdout == "three"


def test_hashes_are_recorded_where_they_are_asked_for(mvs: Mvs, old: Old) -> None:
    """With --hash each version has its SHA-256; without, none."""
    mvs("adopt", old.uri, "--yes")
    assert {one["sha256"] for one in mvs.json("versions", f"versioned-{old.uri}/{ROOT}/f")["versions"]} == {""}
    mvs("adopt", old.uri, f"versioned-s3://{old.bucket}/other", "--yes", "--hash")
    hashed = mvs.json("versions", f"versioned-s3://{old.bucket}/other/{ROOT}/f")["versions"]
    assert [len(one["sha256"]) for one in hashed] == [64, 64]


def test_export_is_tried_first_and_goes_back(mvs: Mvs, old: Old) -> None:
    """What was adopted is there already; only what came since is written."""
    mvs("adopt", old.uri, "--yes")
    store = f"versioned-{old.uri}"
    mvs("put", "-", f"{store}/{ROOT}/new", stdin=b"new")
    said = mvs("export", "--plain", store)
    assert f"Would write 1 object (3 B) to {old.uri}; 1 there already." in said.stdout
    assert f"mlruns/{ROOT}/new" not in old.names()
    mvs("rm", "-r", f"{store}/{ROOT}/f")
    document = mvs.json("export", "--plain", store, "--yes")
    assert document["objects"] == {"written": 1, "size": 3, "copied": 0, "unchanged": 0, "removed": 1}
    assert old.names() == {f"mlruns/{ROOT}/new", f"mlruns/{ROOT}/folder/"}


def test_what_is_in_the_way_is_one_line(mvs: Mvs, old: Old, minio: S3Server) -> None:
    """An object that nobody took in, in a bucket without versions, stops an export with the code of a conflict."""
    plain = f"s3://{minio.new_bucket()}/mlruns"
    store = f"versioned-{plain}"
    mvs("init", store)
    mvs("put", "-", f"{store}/{ROOT}/f", stdin=b"ours")
    old.s3.put_object(Bucket=plain.split("/")[2], Key=f"mlruns/{ROOT}/f", Body=b"theirs")
    told = mvs("export", "--plain", store, "--yes", code=8)
    assert told.stderr.startswith("Error: Objects are in the way")
    assert told.stderr.count("\n") == 1


def test_relocation_is_tried_first(mvs: Mvs, tmp_path: Path, tracking_database: Path) -> None:
    """Without --yes the locations that would change are shown, and none does."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(tracking_database.read_bytes())
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE experiments SET artifact_location = 's3://bucket/mlruns/0'")
    connection.close()
    arguments = ("s3://bucket/mlruns", "versioned-s3://bucket/mlruns", "--tracking-uri", f"sqlite:///{database}")
    said = mvs("relocate", *arguments)
    assert "s3://bucket/mlruns/0 → versioned-s3://bucket/mlruns/0" in said.stdout
    assert "Nothing was changed" in said.stderr
    rows = mvs.json("relocate", *arguments, "--yes")["locations"]
    assert {(one["table"], one["rows"]) for one in rows if one["rows"]} == {("experiments", 1)}
    assert all(one["rows"] == 0 for one in mvs.json("relocate", *arguments)["locations"])
