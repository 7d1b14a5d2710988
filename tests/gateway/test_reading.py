"""What S3 clients see: every version, listings, ranges and conditions, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.artifact_root import Item
from tests.gateway.asking import send, signed
from tests.gateway.conftest import BUCKET, CONTEXT, KEY, LARGE, NAMES, NARROW, OTHER, RUN, Endpoint


def code(error: ClientError) -> str:
    """Return S3's error code."""
    return str(error.response["Error"]["Code"])


def everything(s3: Any, **arguments: Any) -> list[str]:
    """Return all keys of a listing, page by page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **arguments)
    return [found["Key"] for page in pages for found in page.get("Contents", ())]


@pytest.mark.parametrize("name", NAMES)
def test_any_key_comes_back(s3: Any, name: str) -> None:
    """A key of any characters is read."""
    expected = b"two" if name == "data/one.csv" else f"one {name}".encode()
    assert s3.get_object(Bucket=BUCKET, Key=f"{RUN}/{name}")["Body"].read() == expected


def test_every_version_is_an_object_version(s3: Any) -> None:
    """Versions are listed newest first, and each is read by its id."""
    key = f"{RUN}/data/one.csv"
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=key)["Versions"]
    assert [(one["VersionId"], one["IsLatest"], one["Size"]) for one in versions] == [
        ("v2", True, 3),
        ("v1", False, 16),
    ]
    answer = s3.get_object(Bucket=BUCKET, Key=key, VersionId="v1")
    assert (answer["Body"].read(), answer["VersionId"]) == (b"one data/one.csv", "v1")


def test_a_deletion_is_a_delete_marker(endpoint: Endpoint, s3: Any) -> None:
    """What was deleted is gone for its plain key since then, and its versions are still read."""
    key = f"{RUN}/gone.txt"
    listed = s3.list_object_versions(Bucket=BUCKET, Prefix=key)
    assert [(one["VersionId"], one["IsLatest"]) for one in listed["DeleteMarkers"]] == [("d1", True)]
    commits = endpoint.store.root(RUN).history()
    (deleted,) = (commit.time for commit in commits if commit.changes[0].operation == "delete")
    when = datetime.fromtimestamp(deleted / 1000, UTC)
    assert listed["DeleteMarkers"][0]["LastModified"] == when
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=BUCKET, Key=key, VersionId="d1")
    told = caught.value.response["ResponseMetadata"]["HTTPHeaders"]["last-modified"]
    assert parsedate_to_datetime(told) == when.replace(microsecond=0)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=BUCKET, Key=key)
    assert code(caught.value) == "NoSuchKey"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    assert s3.get_object(Bucket=BUCKET, Key=key, VersionId="v1")["Body"].read() == b"gone"
    assert key not in everything(s3)


def test_an_address_is_a_key(s3: Any) -> None:
    """Addresses of versions work as keys, for tools that know nothing of version ids."""
    assert s3.get_object(Bucket=BUCKET, Key=f"{RUN}/data/one.csv@v1")["Body"].read() == b"one data/one.csv"


def test_keys_come_in_the_order_of_their_bytes(s3: Any) -> None:
    """All artifact roots in one listing, sorted as S3 sorts, whatever the size of a page."""
    expected = [f"{RUN}/{name}" for name in (*NAMES, "large.bin", "empty")]
    expected = sorted([*expected, f"{OTHER}/x.txt", "1/note.txt", "readme"], key=str.encode)
    for size in (1, 2, 3, 1000):
        assert everything(s3, PaginationConfig={"PageSize": size}) == expected
    assert everything(s3, Prefix=f"{RUN}/a") == [key for key in expected if key.startswith(f"{RUN}/a")]
    assert everything(s3, StartAfter=f"{RUN}/a/") == [key for key in expected if key > f"{RUN}/a/"]


@pytest.mark.parametrize(
    ("prefix", "keys", "prefixes"),
    [
        ("", ["readme"], ["1/"]),
        ("1/", ["1/note.txt"], [RUN.removesuffix("artifacts"), OTHER.removesuffix("artifacts")]),
        (f"{RUN}/data/", [f"{RUN}/data/one.csv", f"{RUN}/data/two.csv"], []),
        (f"{RUN}/a", [f"{RUN}/a b.txt", f"{RUN}/a%20b.txt", f"{RUN}/a+b&c=d.txt", f"{RUN}/a-b.txt", f"{RUN}/a.txt"],
         [f"{RUN}/a/"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 1000])
def test_folders_are_common_prefixes(s3: Any, prefix: str, keys: list[str], prefixes: list[str], size: int) -> None:
    """With a delimiter a listing shows one level, each folder once, over any number of pages."""
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": size}
        )
    )
    assert [found["Key"] for page in pages for found in page.get("Contents", ())] == keys
    assert [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", ())] == prefixes


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_versions_go_on_within_a_key(s3: Any, size: int) -> None:
    """Pages of versions end anywhere, and lose and repeat nothing."""
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=BUCKET, Prefix=RUN, PaginationConfig={"PageSize": size}
    )
    found = [(one["Key"], one["VersionId"]) for page in pages for one in page.get("Versions", ())]
    assert len(found) == len(set(found)) == len(NAMES) + 4
    assert [version for key, version in found if key.endswith("one.csv")] == ["v2", "v1"]


def test_a_listing_in_the_first_form(s3: Any) -> None:
    """ListObjects pages by markers."""
    pages = s3.get_paginator("list_objects").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 3})
    assert [found["Key"] for page in pages for found in page["Contents"]] == everything(s3)


def test_a_key_may_be_narrow(endpoint: Endpoint) -> None:
    """A key limited to a prefix reads and lists that, and nothing else."""
    s3 = endpoint.s3(NARROW)
    assert everything(s3, Prefix=f"{RUN}/data/") == [f"{RUN}/data/one.csv", f"{RUN}/data/two.csv"]
    assert s3.get_object(Bucket=BUCKET, Key=f"{RUN}/data/two.csv")["Body"].read() == b"one data/two.csv"
    for refused in (
        partial(s3.get_object, Bucket=BUCKET, Key=f"{RUN}/a.txt"),
        partial(s3.list_objects_v2, Bucket=BUCKET),
        partial(s3.list_object_versions, Bucket=BUCKET, Prefix=f"{RUN}/dat"),
    ):
        with pytest.raises(ClientError) as caught:
            refused()
        assert code(caught.value) == "AccessDenied"
    s3.close()


def test_buckets_and_their_properties(s3: Any) -> None:
    """A bucket is listed, versioned, and in the default region; another one does not exist."""
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    s3.head_bucket(Bucket=BUCKET)
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket="other")
    assert code(caught.value) == "NoSuchBucket"


def test_a_large_object_and_its_ranges(s3: Any) -> None:
    """All of it, the middle, the end, and a client's own parallel download."""
    key = f"{RUN}/large.bin"
    answer = s3.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    assert answer["Body"].read() == LARGE
    assert answer["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(LARGE).digest()).decode()
    assert answer["Metadata"]["sha256"] == hashlib.sha256(LARGE).hexdigest()
    for text, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-3000000", 1_000_000, 3_000_001),
        ("bytes=-5", len(LARGE) - 5, len(LARGE)),
        ("bytes=5000000-", 5_000_000, len(LARGE)),
        ("bytes=0-99999999", 0, len(LARGE)),
    ):
        part = s3.get_object(Bucket=BUCKET, Key=key, Range=text)
        assert part["Body"].read() == LARGE[start:stop]
        assert part["ContentRange"] == f"bytes {start}-{stop - 1}/{len(LARGE)}"


def test_each_read_leaves_a_record(endpoint: Endpoint) -> None:
    """A record says who read which version, and how much of it."""
    s3 = endpoint.s3(NARROW)
    s3.get_object(Bucket=BUCKET, Key=f"{RUN}/data/one.csv", VersionId="v1", Range="bytes=1-4")["Body"].read()
    record = endpoint.records()[-1]
    assert (record.access_key, record.root, record.path, record.version) == (NARROW.name, RUN, "data/one.csv", 1)
    assert (record.start, record.bytes, record.status, record.complete) == (1, 4, 206, True)
    assert record.sha256 == hashlib.sha256(b"one data/one.csv").hexdigest()
    s3.close()


def test_what_was_logged_meanwhile_is_there(scratch: Endpoint) -> None:
    """The endpoint needs no restart to see a new version."""
    root, s3 = scratch.store.root(RUN), scratch.s3()
    for text in (b"first", b"second"):
        root.upload([Item("fresh.txt", text)], context=CONTEXT)
        assert s3.get_object(Bucket=BUCKET, Key=f"{root.name}/fresh.txt")["Body"].read() == text
    s3.close()


def test_a_virtual_host_names_the_bucket(endpoint: Endpoint) -> None:
    """The bucket may stand in front of the host."""
    answer = send(endpoint, signed("GET", f"http://{BUCKET}.localhost:{endpoint.port}/readme"))
    assert (answer.status, answer.body) == (200, b"readme")


def test_a_presigned_link_needs_no_key(endpoint: Endpoint, s3: Any) -> None:
    """Whoever has the link reads that version, as a file of its name that runs nothing."""
    link = s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": BUCKET,
            "Key": f"{RUN}/page.html",
            "VersionId": "v1",
            "ResponseContentDisposition": 'attachment; filename="page.html"',
        },
        ExpiresIn=60,
    )
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"one page.html"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="page.html"'
        assert answer.headers["Content-Type"] == "text/html"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert endpoint.records()[-1].access_key == KEY.name
