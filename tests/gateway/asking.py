"""Raw requests, signed by botocore's own signer."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from tests.gateway.conftest import Endpoint

READER = Credentials("reader", "secret-of-the-reader")


class Raw(NamedTuple):
    """A request as it is sent: nothing is encoded or added any more."""

    method: str
    target: str
    headers: dict[str, str]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def signed(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    *,
    credentials: Credentials = READER,
    presigned_seconds: int | None = None,
) -> Raw:
    """Return a request for `url`, signed in its header, or in its query where it is presigned."""
    request = AWSRequest(method, url, headers=dict(headers or {}))
    if presigned_seconds is None:
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    else:
        S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=presigned_seconds).add_auth(request)
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Raw(method, target, {"Host": parts.netloc} | dict(request.headers.items()))


def send(endpoint: Endpoint, raw: Raw, body: bytes = b"") -> Answer:
    """Send a request as it is, wherever its Host header says that it goes."""
    return send_to(f"127.0.0.1:{endpoint.port}", raw, body)


def send_to(address: str, raw: Raw, body: bytes = b"") -> Answer:
    """Send a request to a server."""
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.putrequest(raw.method, raw.target, skip_host=True, skip_accept_encoding=True)
        for name, value in raw.headers.items():
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()
