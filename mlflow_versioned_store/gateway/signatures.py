"""AWS Signature Version 4, as a server checks it: in the Authorization header, or in the query of a presigned URL.

What is signed is specified in "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from mlflow_versioned_store.gateway.failures import S3Error, denied

ALGORITHM = "AWS4-HMAC-SHA256"
SKEW = timedelta(minutes=15)
EXPIRES_SECONDS_MAX = 7 * 24 * 3600
_UNSIGNED = "UNSIGNED-PAYLOAD"
_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_PART = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it is signed.

    Args:
        method: "GET" or "HEAD".
        path: The path as it came, percent-encoded.
        query: Names and values of the query, decoded.
        headers: Names in lower case; repeated ones joined by commas.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of its own signature."""

    access_key: str
    scope: Sequence[str]
    signed_headers: Sequence[str]
    signature: str
    time: datetime
    payload: str
    lasts: timedelta
    signed_query: Sequence[tuple[str, str]]


def authenticate(request: Signed, secret_of: Callable[[str], str | None], now: datetime) -> str:
    """Return the access key that signed a request.

    Args:
        request: The request.
        secret_of: Returns the secret of an access key, None where it is unknown.
        now: The time, UTC.

    Raises:
        S3Error: It is not signed, not by a known key, wrongly, or not now.
    """
    claim = _claim(request)
    if not claim.time - SKEW <= now <= claim.time + claim.lasts:
        if dict(request.query).get("X-Amz-Expires"):
            raise denied("Request has expired")
        raise S3Error(403, "RequestTimeTooSkewed", "The difference between the request time and now is too large.")
    secret = secret_of(claim.access_key)
    if secret is None:
        raise S3Error(403, "InvalidAccessKeyId", "The access key is not known here.")
    expected = _sign(secret, claim, request)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "surrogateescape")):
        raise S3Error(403, "SignatureDoesNotMatch", "The signature does not match the request; check key and secret.")
    return claim.access_key


def _claim(request: Signed) -> _Claim:
    query = dict(request.query)
    if "authorization" in request.headers:
        if "X-Amz-Signature" in query:
            raise S3Error(400, "InvalidArgument", "A request is signed in its header or in its query, not in both.")
        claim = _of_header(request)
    elif "X-Amz-Signature" in query or "X-Amz-Algorithm" in query:
        claim = _of_query(request, query)
    else:
        raise denied("Access Denied: the request is not signed.")
    if "host" not in claim.signed_headers:
        raise denied("The Host header is not signed.")
    unsigned = [name for name in request.headers if name.startswith("x-amz-") and name not in claim.signed_headers]
    if unsigned:
        raise denied(f"The header {unsigned[0]} is there and not signed.")
    if "x-amz-security-token" in request.headers or "X-Amz-Security-Token" in query:
        raise S3Error(400, "InvalidToken", "This endpoint gives no temporary keys.")
    return claim


def _of_header(request: Signed) -> _Claim:
    text = request.headers["authorization"]
    if not text.startswith(ALGORITHM):
        raise S3Error(400, "InvalidRequest", f"Requests are signed with {ALGORITHM}.")
    parts = dict(_PART.findall(text))
    if len(parts) != 3:
        raise S3Error(400, "AuthorizationHeaderMalformed", "The Authorization header is incomplete.")
    return _made(
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        request.headers.get("x-amz-date", ""),
        _payload(request.headers.get("x-amz-content-sha256")),
        SKEW,
        request.query,
    )


def _of_query(request: Signed, query: Mapping[str, str]) -> _Claim:
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise S3Error(400, "AuthorizationQueryParametersError", f"X-Amz-Algorithm is {ALGORITHM}.")
    try:
        lasts = int(query["X-Amz-Expires"])
        credential, headers, signature = (
            query["X-Amz-Credential"],
            query["X-Amz-SignedHeaders"],
            query["X-Amz-Signature"],
        )
        date = query["X-Amz-Date"]
    except (KeyError, ValueError):
        raise S3Error(400, "AuthorizationQueryParametersError", "The presigned query is incomplete.") from None
    if not 0 < lasts <= EXPIRES_SECONDS_MAX:
        raise S3Error(
            400, "AuthorizationQueryParametersError", f"X-Amz-Expires lies between 1 and {EXPIRES_SECONDS_MAX} seconds."
        )
    signed = [pair for pair in request.query if pair[0] != "X-Amz-Signature"]
    payload = query.get("X-Amz-Content-Sha256", _UNSIGNED)
    return _made(credential, headers, signature, date, payload, timedelta(seconds=lasts), signed)


def _payload(declared: str | None) -> str:
    if declared is None:
        raise S3Error(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if declared not in (_UNSIGNED, _EMPTY_SHA256):
        raise S3Error(400, "XAmzContentSHA256Mismatch", "Requests to read have no body.")
    return declared


def _made(
    credential: str,
    signed_headers: str,
    signature: str,
    date: str,
    payload: str,
    lasts: timedelta,
    signed_query: Sequence[tuple[str, str]],
) -> _Claim:
    # An access key may contain slashes; the scope behind it never does.
    access_key, *scope = credential.rsplit("/", 4)
    try:
        time = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise denied("AWS authentication requires a valid X-Amz-Date.") from None
    if len(scope) != 4 or scope[0] != date[:8] or scope[2:] != ["s3", "aws4_request"]:
        raise S3Error(400, "AuthorizationHeaderMalformed", "The credential's scope is <date>/<region>/s3/aws4_request.")
    return _Claim(access_key, scope, signed_headers.split(";"), signature, time, payload, lasts, signed_query)


def _sign(secret: str, claim: _Claim, request: Signed) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in claim.signed_headers)
    # The path is encoded anew: clients differ in what they leave as it is on the wire.
    path = quote(unquote(request.path, errors="surrogateescape"), safe="/-_.~", errors="surrogateescape")
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in claim.signed_query)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    canonical = "\n".join((request.method, path, query, headers, ";".join(claim.signed_headers), claim.payload))
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    text = "\n".join((ALGORITHM, claim.time.strftime("%Y%m%dT%H%M%SZ"), "/".join(claim.scope), digest))
    key = f"AWS4{secret}".encode()
    for part in claim.scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")
