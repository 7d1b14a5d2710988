"""Only requests that a known key signed, now and exactly so, are answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.gateway.failures import S3Error
from mlflow_versioned_store.gateway.signatures import Signed, authenticate
from tests.gateway.asking import READER, Raw, send, signed
from tests.gateway.conftest import BUCKET, RUN, Endpoint


def refusal(endpoint: Endpoint, raw: Raw) -> tuple[int, str]:
    """Return the status and S3's code of an answer."""
    answer = send(endpoint, raw)
    match = re.search(rb"<Code>(\w+)</Code>", answer.body)
    return answer.status, match[1].decode() if match else ""


def url(endpoint: Endpoint, path: str = f"/{BUCKET}/readme") -> str:
    """Return a URL of the endpoint."""
    return f"{endpoint.url}{path}"


def at(time: datetime, sign: Callable[[], Raw]) -> Raw:
    """Sign at another time."""
    with patch("botocore.auth.get_current_datetime", return_value=time):
        return sign()


@pytest.mark.parametrize("presigned_seconds", [None, 60])
def test_a_signed_request_is_answered(endpoint: Endpoint, presigned_seconds: int | None) -> None:
    """In the header or in the query."""
    answer = send(endpoint, signed("GET", url(endpoint), presigned_seconds=presigned_seconds))
    assert (answer.status, answer.body) == (200, b"readme")


def test_an_unsigned_request_is_refused(endpoint: Endpoint) -> None:
    """Without a signature nothing is said, not even which buckets there are."""
    for path in ("/", f"/{BUCKET}", f"/{BUCKET}/readme"):
        assert refusal(endpoint, Raw("GET", path, {"Host": "x"})) == (403, "AccessDenied")


def test_an_unknown_key_and_a_wrong_secret(endpoint: Endpoint) -> None:
    """Both are refused, each by its own code, as S3 does."""
    unknown = signed("GET", url(endpoint), credentials=Credentials("nobody", "x" * 20))
    assert refusal(endpoint, unknown) == (403, "InvalidAccessKeyId")
    wrong = signed("GET", url(endpoint), credentials=Credentials("reader", "x" * 20))
    assert refusal(endpoint, wrong) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_request_of_another_time_is_refused(endpoint: Endpoint, minutes: int) -> None:
    """A request holds for a quarter of an hour either way."""
    raw = at(datetime.now(UTC) + timedelta(minutes=minutes), lambda: signed("GET", url(endpoint)))
    assert refusal(endpoint, raw) == (403, "RequestTimeTooSkewed")


def test_a_link_expires(endpoint: Endpoint) -> None:
    """A presigned link holds for as long as it says."""
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    late = at(hour_ago, lambda: signed("GET", url(endpoint), presigned_seconds=3000))
    assert refusal(endpoint, late) == (403, "AccessDenied")
    assert send(endpoint, at(hour_ago, lambda: signed("GET", url(endpoint), presigned_seconds=4000))).status == 200
    ever = signed("GET", url(endpoint), presigned_seconds=8 * 24 * 3600)
    assert refusal(endpoint, ever) == (400, "AuthorizationQueryParametersError")


def test_what_was_signed_cannot_be_changed(endpoint: Endpoint) -> None:
    """Another path, another query, another host, another header: the signature holds for none."""
    raw = signed("GET", url(endpoint, f"/{BUCKET}/{RUN}/data/one.csv?versionId=v1"), {"x-amz-checksum-mode": "ENABLED"})
    assert send(endpoint, raw).status == 200
    changed = [
        raw._replace(target=raw.target.replace("one", "two")),
        raw._replace(target=raw.target.replace("v1", "v2")),
        raw._replace(target=raw.target + "&response-content-type=text/html"),
        raw._replace(headers=raw.headers | {"Host": "elsewhere"}),
        raw._replace(headers=raw.headers | {"x-amz-checksum-mode": "off"}),
    ]
    for one in changed:
        assert refusal(endpoint, one) == (403, "SignatureDoesNotMatch")
    assert send(endpoint, raw._replace(method="HEAD")).status == 403
    assert refusal(endpoint, raw._replace(headers=raw.headers | {"x-amz-extra": "1"})) == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Authorization", "AWS4-HMAC-SHA256"),
        ("Authorization", "AWS reader:signature"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=x"),
        ("X-Amz-Date", "yesterday"),
        ("X-Amz-Content-SHA256", "0" * 64),
        ("X-Amz-Security-Token", "token"),
    ],
)
def test_what_cannot_be_read_is_refused(endpoint: Endpoint, header: str, value: str) -> None:
    """A malformed signature is a clean error."""
    raw = signed("GET", url(endpoint))
    headers = {name: text for name, text in raw.headers.items() if name.lower() != header.lower()}
    status, said = refusal(endpoint, raw._replace(headers=headers | {header: value}))
    assert 400 <= status < 404
    assert said


@given(
    path=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30),
    query=st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.text(max_size=8), max_size=3
    ),
)
def test_any_key_and_query_can_be_signed(path: str, query: dict[str, str]) -> None:
    """What botocore's signer signs is what is checked, for any characters; another secret never fits."""
    query = {name: value for name, value in query.items() if not name.startswith("X-Amz")}
    target = f"http://h/{quote(path, safe='/~')}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    raw = signed("GET", target)
    raw_path, _, raw_query = raw.target.partition("?")
    request = Signed(
        "GET",
        raw_path,
        parse_qsl(raw_query, keep_blank_values=True),
        {name.lower(): value for name, value in raw.headers.items()},
    )
    assert authenticate(request, lambda _: READER.secret_key, datetime.now(UTC)) == "reader"
    with pytest.raises(S3Error, match="signature"):
        authenticate(request, lambda _: "another secret", datetime.now(UTC))
