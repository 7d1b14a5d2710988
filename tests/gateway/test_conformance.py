"""The endpoint answers as MinIO does, but where it is said otherwise here."""

from __future__ import annotations

import mimetypes
import re
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials

from tests.gateway.asking import READER
from tests.gateway.conformance import LONG_AFTER, LONG_AGO, Case, Server
from tests.gateway.conftest import BUCKET, LARGE, NAMES, OTHER, RUN, Endpoint
from tests.servers.minio import Minio

ONE, EMPTY, LARGE_KEY, GONE = (f"/{BUCKET}/{RUN}/{name}" for name in ("data/one.csv", "empty", "large.bin", "gone.txt"))
NONE = f"/{BUCKET}/{RUN}/none"


def _queries(text: str) -> list[str]:
    return text.split()


RANGES = [
    "bytes=0-0", "bytes=1-1", "bytes=0-", "bytes=2-", "bytes=3-", "bytes=-1", "bytes=-0", "bytes=-3", "bytes=-99",
    "bytes=0-99", "bytes=1-0", "bytes=99-100", "bytes=0-0,2-2", "bytes=0-1, 1-2", "bytes=", "bytes=-", "bytes=a-b",
    "bytes=0-b", "bytes= 0-1", "bytes=0 - 1", "bytes=--1", "bytes=+0-1", "bytes=0-1-2", "items=0-1", "0-1", "BYTES=0-1",
    "bytes=0-99999999999999999999", "bytes=99999999999999999999-", "bytes=-99999999999999999999",
]  # fmt: skip
CONDITIONS = [
    {name: value}
    for name in ("If-Match", "If-None-Match")
    for value in ("{etag}", '"other"', "*", "{bare}", "W/{etag}", '"other", {etag}', '"other",{etag}', "", "other")
] + [
    {name: value}
    for name in ("If-Modified-Since", "If-Unmodified-Since")
    for value in (LONG_AGO, LONG_AFTER, "{modified}", "never", "2001-01-01T00:00:00Z", "")
] + [
    {"If-Match": match, "If-Unmodified-Since": time}
    for match in ("{etag}", '"other"') for time in (LONG_AGO, LONG_AFTER)
] + [
    {"If-None-Match": match, "If-Modified-Since": time}
    for match in ("{etag}", '"other"') for time in (LONG_AGO, LONG_AFTER)
] + [
    {"If-Match": "{etag}", "If-None-Match": "{etag}"},
    {"If-Match": '"other"', "If-None-Match": "{etag}"},
    {"If-None-Match": "{etag}", "Range": "bytes=0-0"},
    {"If-Match": '"other"', "Range": "bytes=99-"},
    {"If-Range": "{etag}", "Range": "bytes=0-0"},
    {"If-Range": '"other"', "Range": "bytes=0-0"},
    {"If-Modified-Since": LONG_AGO, "If-Unmodified-Since": LONG_AGO},
]  # fmt: skip
OVERRIDES = _queries("""
    response-content-type=text/x response-content-disposition=attachment%3B%20filename%3D%22a%20b%22
    response-content-language=de response-cache-control=no-store response-content-encoding=br
    response-expires=Thu,%2001%20Dec%202033%2016:00:00%20GMT response-content-type=
    response-content-type=a%0d%0ab:c response-content-disposition=%C3%BC response-unknown=1 unknown=1
""")
LISTINGS = _queries("""
    prefix= prefix=1 prefix=1/ prefix=none delimiter=/ delimiter=/&prefix=1 delimiter=/&prefix=1/
    delimiter=/&prefix={run} delimiter=/&prefix={run}/ delimiter=/&prefix={run}/a delimiter=/&prefix={run}/a/
    delimiter=- delimiter=data delimiter=/&prefix=/ delimiter=// delimiter=.txt&prefix={run}/a
    delimiter=&prefix={run}/data prefix={run}/%C3%9C prefix={run}/a%20b prefix={run}/a%2520b prefix=%00
    max-keys=0 max-keys=1 max-keys=3 max-keys=1000 max-keys=1001 max-keys=2147483647 max-keys=2147483648
    max-keys=99999999999999999999 max-keys=-1 max-keys= max-keys=x max-keys=1.5 max-keys=%2B1
    delimiter=/&max-keys=1 delimiter=/&max-keys=1&prefix=1/ encoding-type=url encoding-type=URL encoding-type=x
    encoding-type= encoding-type=url&delimiter=%20&prefix={run}/a prefix=1// prefix=../
""")
FIRST = _queries("""
    marker={run}/a.txt marker={run}/a/ marker=zzz marker= marker=1/&delimiter=/ marker=1&delimiter=/
    marker={run}/data/&delimiter=/&prefix={run}/ marker=none&prefix=1/ marker=zzz&prefix=1/
""")
SECOND = _queries("""
    start-after={run}/a.txt start-after={run}/a/ start-after=zzz start-after= fetch-owner=true fetch-owner=false
    start-after=1&delimiter=/ start-after=1/&delimiter=/ continuation-token= continuation-token=damaged
    continuation-token=%FF continuation-token=AAAA&start-after=zzz
    start-after={run}/a.txt&prefix={run}/a&max-keys=2
""")
VERSIONS = _queries("""
    prefix={run}/data prefix={run}/gone key-marker={run}/data/one.csv key-marker=zzz version-id-marker={v2}
    key-marker={run}/data/one.csv&version-id-marker={v2} key-marker={run}/data/one.csv&version-id-marker={v1}
    prefix={run}/data&max-keys=1 prefix={run}/data&max-keys=2 key-marker={run}/gone.txt&version-id-marker={d1}
    key-marker= delimiter=/&prefix={run}/ version-id-marker=
""")


class Meant(NamedTuple):
    """A difference: which requests, how they are answered here, and why."""

    requests: str
    status: int
    code: str | None
    why: str


MEANT = [
    Meant(r".*/empty Range: bytes=-1", 416, "InvalidRange", "MinIO sends the range 0--1 of nothing"),
    Meant(r".*If-Match: .*(W/|, ?\{etag\})", 200, None, "a list of tags, and a weak one, mean what RFC 9110 says"),
    Meant(r".*If-None-Match: .*(W/|, ?\{etag\})", 304, None, "the same"),
    Meant(r'.*If-None-Match: "other" If-Modified-Since: .*2100', 200, None, "a tag decides alone (RFC 9110, 13.1.3)"),
    Meant(r'.*If-Match: "other" If-None-Match', 412, "PreconditionFailed", "in the order of RFC 9110, 13.2.2"),
    Meant(r".*(disposition=%C3%BC|a%0d%0ab:c)", 400, "InvalidArgument", "a header's value is printable ASCII"),
    Meant(r".*store//readme", 404, "NoSuchKey", "keys are taken as they are"),
    Meant(r".*(/\.\.|/\./|%00b|/k+$)", 404, "NoSuchKey", "no object can be called so; MinIO has codes of its own"),
    Meant(r".*/(x|UPPER)/a", 404, "NoSuchBucket", "that no bucket can be called so is not told apart"),
    Meant(r".*%2e%2e", 403, "SignatureDoesNotMatch", "the signature comes first"),
    Meant(r".*/%FF", 400, "InvalidURI", "keys are UTF-8"),
    Meant(r".*versionId=$", 400, "InvalidArgument", "as S3: an empty version id is none"),
    Meant(r".*versionId=0000", 400, "InvalidArgument", "no version is called so; those of MinIO are"),
    Meant(r"GET .*partNumber=0", 400, "InvalidArgument", "MinIO has a code of its own"),
    Meant(r".*partNumber=x", 400, "InvalidArgument", "MinIO fails"),
    Meant(r".*max-keys=(1001|2147483647)$", 200, None, "as S3: it says how many it gives at most"),
    Meant(r".*max-keys=(2147483648|%2B1)$", 400, "InvalidArgument", "as S3: it is a number of 31 bits"),
    Meant(r".*encoding-type=URL", 400, "InvalidArgument", "as S3: it is spelled in small letters"),
    Meant(r".*prefix=(%00|1//|\.\./)", 200, None, "nothing is called so: an empty listing"),
    Meant(r".*marker=(none|zzz)&prefix=1/", 200, None, "MinIO lists nothing before a marker outside of the prefix"),
    Meant(r".*versions&version-id-marker=\{v2\}$", 400, "InvalidArgument", "as S3: a version needs its key"),
    Meant(r".*list-type=[3]?$", 400, "InvalidArgument", "there is no third form"),
]  # fmt: skip


def _meant(name: str) -> Meant | None:
    return next((meant for meant in MEANT if re.match(meant.requests, name)), None)


_TARGETS = [
    ONE, EMPTY, GONE, NONE, f"/{BUCKET}/{RUN}", f"/{BUCKET}/{RUN}/", f"/{BUCKET}/{RUN}/data/", "/no-such-bucket/a",
    f"{ONE}/", f"{ONE}/below", f"/{BUCKET}//readme", f"/{BUCKET}/readme/..", f"/{BUCKET}/./readme", "/x/a",
    "/UPPER/a", f"/{BUCKET}/1/../readme", f"/{BUCKET}/%2e%2e/readme", f"/{BUCKET}/a%00b", f"/{BUCKET}/{'k' * 1024}",
    f"/{BUCKET}/{'k' * 1025}", f"/{BUCKET}/{'long/' * 200}", f"/{BUCKET}/%FF", f"{ONE}?versionId={{v1}}",
    f"{ONE}?versionId={{v2}}", f"{GONE}?versionId={{d1}}", f"{GONE}?versionId={{g1}}", f"{ONE}?versionId=",
    f"{ONE}?versionId=null", f"{ONE}?versionId=x", f"{NONE}?versionId={{v1}}",
    f"{ONE}?versionId=00000000-0000-0000-0000-000000000000", f"{ONE}?partNumber=1", f"{ONE}?partNumber=0",
    f"{ONE}?partNumber=2", f"{ONE}?partNumber=x",
]  # fmt: skip


def _reads() -> list[Case]:
    cases = [Case(method, ONE, {"Range": text}) for text in RANGES for method in ("GET", "HEAD")]
    cases += [
        Case("GET", EMPTY, {"Range": text}) for text in ("bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=1-")
    ]
    cases += [Case("HEAD", LARGE_KEY, {"Range": text}) for text in ("bytes=1000000-2999999", "bytes=-1000000")]
    cases += [Case(method, ONE, headers) for headers in CONDITIONS for method in ("GET", "HEAD")]
    cases += [Case(method, f"{ONE}?{query}") for query in OVERRIDES for method in ("GET", "HEAD")]
    cases += [Case("GET", f"/{BUCKET}/{quote(f'{RUN}/{name}')}") for name in NAMES]
    cases += [Case(method, target) for target in _TARGETS for method in ("GET", "HEAD")]
    return cases


def _listings() -> list[Case]:
    first = [Case("GET", f"/{BUCKET}?{query}") for query in ["", *LISTINGS, *FIRST]]
    second = [Case("GET", f"/{BUCKET}?list-type=2&{query}") for query in ["", *LISTINGS, *SECOND]]
    versions = [Case("GET", f"/{BUCKET}?versions&{query}") for query in ["", *LISTINGS, *VERSIONS]]
    rest = [
        Case("GET", f"/{BUCKET}?{query}")
        for query in ("list-type=3", "list-type=", "location", "versioning", "unknown")
    ]
    rest += [Case("HEAD", target) for target in (f"/{BUCKET}", f"/{BUCKET}/", "/no-such-bucket", f"/{BUCKET}?versions")]
    rest += [Case("GET", target) for target in ("/", f"/{BUCKET}/", "/no-such-bucket", "/no-such-bucket?versions")]
    return [*first, *second, *versions, *rest]


@pytest.fixture(scope="module")
def ours(endpoint: Endpoint) -> Server:
    """The endpoint."""
    names = {"v1": "v1", "v2": "v2", "d1": "d1", "g1": "v1"}
    return Server(f"127.0.0.1:{endpoint.port}", READER, names | common_names(endpoint.s3()))


@pytest.fixture(scope="module")
def theirs(lone_minio: Minio) -> Server:
    """MinIO with the same objects, logged in the same order."""
    client = lone_minio.client()
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def put(key: str, data: bytes) -> str:
        kind = mimetypes.guess_type(key)[0] or "binary/octet-stream"
        return str(client.put_object(Bucket=BUCKET, Key=key, Body=data, ContentType=kind)["VersionId"])

    for name in NAMES:
        put(f"{RUN}/{name}", f"one {name}".encode())
    put(f"{RUN}/data/one.csv", b"two")
    put(f"{RUN}/large.bin", LARGE)
    put(f"{RUN}/empty", b"")
    put(f"{RUN}/gone.txt", b"gone")
    client.delete_object(Bucket=BUCKET, Key=f"{RUN}/gone.txt")
    for key, data in ((f"{OTHER}/x.txt", b"x"), ("1/note.txt", b"note"), ("readme", b"readme")):
        put(key, data)
    version_ids = named_versions(client)
    names = {
        name: next(found for found, (key, number) in version_ids.items() if (key, number) == wanted)
        for name, wanted in {
            "v1": (f"{RUN}/data/one.csv", "v1"),
            "v2": (f"{RUN}/data/one.csv", "v2"),
            "g1": (f"{RUN}/gone.txt", "v1"),
            "d1": (f"{RUN}/gone.txt", "d1"),
        }.items()
    }
    credentials = Credentials(lone_minio.access_key, lone_minio.secret_key)
    return Server(
        lone_minio.endpoint.partition("://")[2],
        credentials,
        names | common_names(client),
        {found: number for found, (_, number) in version_ids.items()},
    )


def named_versions(client: Any) -> dict[str, tuple[str, str]]:
    """Return key and number of each object version, counted as the endpoint counts them."""
    listed = client.list_object_versions(Bucket=BUCKET)
    found: dict[str, tuple[str, str]] = {}
    last: dict[str, int] = {}
    for one in reversed(listed["Versions"]):
        last[one["Key"]] = last.get(one["Key"], 0) + 1
        found[one["VersionId"]] = (one["Key"], f"v{last[one['Key']]}")
    for one in listed["DeleteMarkers"]:
        found[one["VersionId"]] = (one["Key"], f"d{last[one['Key']]}")
    return found


def common_names(client: Any) -> dict[str, str]:
    """Return what stands for the run, and for the entity tag and the time of data/one.csv."""
    found = client.head_object(Bucket=BUCKET, Key=f"{RUN}/data/one.csv")
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    client.close()
    return {"run": RUN, "etag": found["ETag"], "bare": found["ETag"].strip('"'), "modified": headers["last-modified"]}


CASES = {str(case): case for case in (*_reads(), *_listings())}


@pytest.mark.parametrize("name", [name for name in CASES if _meant(name) is None])
def test_it_answers_as_minio_does(ours: Server, theirs: Server, name: str) -> None:
    """The same status, S3 code, headers, bytes and elements."""
    assert ours.seen(CASES[name]) == theirs.seen(CASES[name])


@pytest.mark.parametrize("name", [name for name in CASES if _meant(name) is not None])
def test_it_answers_otherwise_where_that_is_meant(ours: Server, theirs: Server, name: str) -> None:
    """What is listed as a difference is one, and nothing but what is listed."""
    meant = _meant(name)
    assert meant is not None
    seen = ours.seen(CASES[name])
    assert (seen["status"], seen.get("code")) == (meant.status, meant.code if name.startswith("GET") else None)
    assert seen != theirs.seen(CASES[name])
