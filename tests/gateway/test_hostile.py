"""Whatever is sent to the endpoint, the answer is right or a clean error of S3."""

from __future__ import annotations

import http.client
import re
import string
from urllib.parse import quote, unquote, urlencode

import pytest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.gateway.asking import READER, Answer, Raw, send, signed
from tests.gateway.conftest import BUCKET, LARGE, NAMES, NARROW, OTHER, RUN, Endpoint

CONTENTS = {f"{RUN}/{name}": [f"one {name}".encode()] for name in NAMES} | {
    f"{RUN}/data/one.csv": [b"one data/one.csv", b"two"],
    f"{RUN}/large.bin": [LARGE],
    f"{RUN}/empty": [b""],
    f"{RUN}/gone.txt": [b"gone"],
    f"{OTHER}/x.txt": [b"x"],
    "1/note.txt": [b"note"],
    "readme": [b"readme"],
}
KEYS = [
    *CONTENTS,
    "none",
    RUN,
    "_mvs/store.json",
    "_mvs",
    "../store/_mvs/store.json",
    "1//note.txt",
    "readme/",
    "/readme",
]
FIELDS = ["Content-Type", "Content-Disposition", "ETag", "Last-Modified", "x-amz-version-id", "x-amz-request-id"]
INJECTED = "injected"
NO_HTTP = Answer(400, {}, b"Invalid HTTP request received.")
SUBRESOURCES = """acl accelerate analytics attributes cors encryption intelligent-tiering inventory legal-hold lifecycle
logging metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock replication
requestPayment restore retention select session tagging torrent uploadId uploads website"""

_odd = st.text(st.characters(codec="utf-8"), max_size=12)
_paths = st.one_of(
    st.sampled_from(KEYS),
    st.builds("{}@@v{}".format, st.sampled_from(list(CONTENTS)), st.integers(0, 3)),
    st.builds(str.__add__, st.sampled_from(KEYS), _odd),
    st.lists(
        st.sampled_from(["..", ".", "", "_mvs", "1", "a", "readme", "store.json", "%2e%2e", "\\", "\0"]), max_size=5
    ).map("/".join),
    _odd,
    st.builds(lambda text, times: text * times, _odd, st.integers(1, 400)),
)  # fmt: skip
_names = st.one_of(
    st.sampled_from(
        ["versionId", "partNumber", "response-content-disposition", "response-content-type", "prefix", "delimiter",
         "max-keys", "marker", "list-type", "continuation-token", "start-after", "encoding-type", "versions",
         "key-marker", "version-id-marker", "location", "versioning", "X-Amz-Expires", "X-Amz-Algorithm"]
    ),
    st.text(string.ascii_letters + "-", min_size=1, max_size=8),
)  # fmt: skip
_values = st.one_of(
    st.sampled_from(
        ["", "v1", "v2", "v0", "d1", "null", "1", "0", "-1", "2", "9" * 30, "/", f"\r\n{INJECTED}: 1", f"{RUN}/", "url"]
    ),
    _odd,
)  # fmt: skip
_headers = st.dictionaries(
    st.sampled_from(["Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Content-Length",
                     "Expect", "Transfer-Encoding", "x-amz-checksum-mode", "Accept-Encoding", "X-Forwarded-For"]),
    st.one_of(
        st.sampled_from(
            ["bytes=0-0", "bytes=-1", "bytes=1-", "bytes=9-1", f"bytes=0-{'9' * 30}", "*", "ENABLED", "0", "chunked"]
        ),
        st.text(string.printable.removesuffix("\r\x0b\x0c").replace("\n", ""), max_size=12),
    ),
    max_size=3,
)  # fmt: skip


def check(answer: Answer, method: str, path: str) -> None:
    """Assert that an answer is a clean error, a listing, or nothing but bytes of the key that was asked for."""
    assert answer.status < 500 or answer.status == 501, answer
    assert INJECTED not in answer.headers
    if answer.status >= 300 or method == "HEAD":
        assert method == "HEAD" or answer.status == 304 or re.search(rb"<Error><Code>\w+</Code>", answer.body), answer
        return
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not key or bucket != BUCKET:
        assert answer.body.startswith(b"<?xml")
        return
    named = re.sub(r"@@v[0-9]+(?=$|/)", "", key)
    assert any(answer.body in content for content in CONTENTS.get(named, []))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(
        ["GET", "GET", "GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS", "TRACE", "PROPFIND", "get"]
    ),
    bucket=st.sampled_from([BUCKET, BUCKET, BUCKET, "other", "", "..", "_mvs", "%00"]),
    path=_paths,
    query=st.lists(st.tuples(_names, _values), max_size=3),
    headers=_headers,
    presigned_seconds=st.sampled_from([None, 60]),
)
@example("GET", BUCKET, "readme", [("response-content-type", f"a\r\n{INJECTED}: 1")], {}, None)
@example("GET", BUCKET, "../../_mvs/store.json", [], {}, None)
@example("GET", BUCKET, "readme", [], {"Content-Length": "0", "Transfer-Encoding": "chunked"}, None)
def test_signed_nonsense(
    endpoint: Endpoint,
    method: str,
    bucket: str,
    path: str,
    query: list[tuple[str, str]],
    headers: dict[str, str],
    presigned_seconds: int | None,
) -> None:
    """Requests of somebody who has a key: any method, path, query and headers."""
    target = f"/{bucket}/{quote(path, safe='/~')}"
    text = urlencode(query, quote_via=quote, safe="-_.~")
    raw = signed(method, f"{endpoint.url}{target}?{text}", headers, presigned_seconds=presigned_seconds)
    try:
        answer = send(endpoint, raw)
    except (http.client.HTTPException, ConnectionError):
        answer = NO_HTTP
    if answer.body == NO_HTTP.body:
        # What is no HTTP the server hangs up on, or says that it is none.
        assert method == "get" or {"Content-Length", "Transfer-Encoding", "Expect"} & headers.keys()
    else:
        check(answer, method, target)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    target=st.text(string.printable, max_size=40), authorization=st.text(string.printable, max_size=60), data=st.data()
)
def test_unsigned_nonsense(endpoint: Endpoint, target: str, authorization: str, data: st.DataObject) -> None:
    """Requests of anybody: nothing is read, nothing is told."""
    target = "/" + re.sub(r"\s", "", target)
    headers = {"Host": f"127.0.0.1:{endpoint.port}", "Authorization": re.sub(r"[\r\n\x0b\x0c]", "", authorization)}
    name = data.draw(st.sampled_from(["X-Amz-Date", "X-Amz-Content-SHA256", "X-Amz-Security-Token"]))
    headers[name] = data.draw(st.sampled_from(["", "20261124T000000Z", "UNSIGNED-PAYLOAD", "x" * 64]))
    answer = send(endpoint, Raw("GET", target, headers))
    assert 400 <= answer.status < 500


@pytest.mark.parametrize("path", ["..", "%2e%2e", ".%2e", "%2e%2e%2f%2e%2e", "..%5c..", "%00", "//", "_mvs", "1/.."])
@pytest.mark.parametrize("behind", ["/_mvs/store.json", "/store.json", "/../_mvs/log", "/readme", ""])
def test_no_path_leads_out(endpoint: Endpoint, path: str, behind: str) -> None:
    """Neither to the store's own objects nor to files beside it; an answer is another object's never."""
    target = f"/{BUCKET}/{path}{behind}"
    for raw in (
        signed("GET", f"{endpoint.url}{target}"),
        signed("GET", f"{endpoint.url}/{BUCKET}?list-type=2&prefix={quote(f'{path}{behind}', safe='')}"),
    ):
        answer = send(endpoint, raw)
        assert answer.status in (200, 400, 403, 404)
        assert b"<Contents>" not in answer.body
        assert answer.status != 200 or b"ListBucketResult" in answer.body


def test_a_narrow_key_learns_nothing_else(endpoint: Endpoint) -> None:
    """By no key, prefix, marker or delimiter."""
    inside = f"{RUN}/data/"
    narrow = Credentials(NARROW.name, NARROW.secret)
    for target in (
        f"/{BUCKET}/{inside}../a.txt",
        f"/{BUCKET}/{inside}%2e%2e/a.txt",
        f"/{BUCKET}/{RUN}/data@@c1/one.csv",
        f"/{BUCKET}/{RUN}/a.txt?versionId=v1",
        f"/{BUCKET}/readme",
        f"/{BUCKET}?prefix={quote(f'{inside}../', safe='')}",
        f"/{BUCKET}?delimiter=%2F",
        f"/{BUCKET}?versions=&prefix={quote(RUN, safe='')}",
    ):
        answer = send(endpoint, signed("GET", f"{endpoint.url}{target}", credentials=narrow))
        assert answer.status in (400, 403, 404) or b"<Key>" not in answer.body


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_is_changed(endpoint: Endpoint, method: str) -> None:
    """Any other method than those that read is refused, signed or not."""
    for path in ("/", f"/{BUCKET}", f"/{BUCKET}/readme", f"/{BUCKET}/new"):
        for raw in (signed(method, f"{endpoint.url}{path}"), Raw(method, path, {"Host": "x"})):
            answer = send(endpoint, raw, b"content" if method == "PUT" else b"")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
            assert b"<Code>MethodNotAllowed</Code>" in answer.body


@pytest.mark.parametrize("name", SUBRESOURCES.split())
def test_other_parts_of_s3_are_not_there(endpoint: Endpoint, name: str) -> None:
    """What this endpoint does not have is never taken for the object or the listing itself."""
    for path in (f"/{BUCKET}", f"/{BUCKET}/readme"):
        answer = send(endpoint, signed("GET", f"{endpoint.url}{path}?{name}="))
        assert (answer.status, b"<Code>NotImplemented</Code>" in answer.body) == (501, True)


def test_both_ways_to_sign_at_once(endpoint: Endpoint) -> None:
    """A request that is signed twice is refused, whichever signature holds."""
    raw = signed("GET", f"{endpoint.url}/{BUCKET}/readme", presigned_seconds=60)
    twice = signed("GET", f"{endpoint.url}{raw.target}", credentials=READER)
    assert send(endpoint, twice).status == 400
