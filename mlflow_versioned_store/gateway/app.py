"""The endpoint itself: each request is checked for who signed it, then answered from a bucket."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mlflow_versioned_store.errors import VersionedStoreError
from mlflow_versioned_store.gateway import documents, failures, objects, pages, signatures, windows
from mlflow_versioned_store.gateway.access_keys import AccessKey
from mlflow_versioned_store.gateway.access_records import AccessRecord, AccessRecords, now
from mlflow_versioned_store.gateway.bucket import Bucket, Found
from mlflow_versioned_store.gateway.failures import S3Error
from mlflow_versioned_store.gateway.objects import Span
from mlflow_versioned_store.gateway.requests import Asked, Operation, check_method, parse
from mlflow_versioned_store.gateway.windows import Blocks

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_log = logging.getLogger("mlflow_versioned_store")
_XML = "application/xml"
_SERVER = "mlflow-versioned-store"


@dataclass(frozen=True, slots=True)
class Gateway:
    """What an endpoint serves, and to whom.

    Args:
        buckets: The buckets by name.
        keys: The access keys by name.
        records: Where each read is written down.
        domains: Host names in front of which a bucket's name may stand.
        blocks: The memory in which objects are read.
    """

    buckets: Mapping[str, Bucket]
    keys: Mapping[str, AccessKey]
    records: AccessRecords
    domains: Sequence[str] = ("localhost",)
    blocks: Blocks = field(default_factory=Blocks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        from starlette.requests import Request

        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        request_id = secrets.token_hex(8).upper()
        try:
            response = await self._served(request, request_id)
        except VersionedStoreError as error:
            _log.warning("Request %s: %s", request_id, error)
            response = _failure(request, failures.from_ours(error), request_id)
        except S3Error as error:
            response = _failure(request, error, request_id)
        except Exception:  # noqa: BLE001 - what nobody foresaw is logged, and answered as S3 does
            _log.exception("Request %s: this should not happen; please report it.", request_id)
            response = _failure(request, failures.internal(), request_id)
        response.headers["x-amz-request-id"] = request_id
        response.headers["Server"] = _SERVER
        return response

    async def _served(self, request: Request, request_id: str) -> Response:
        from starlette.concurrency import run_in_threadpool

        check_method(request.method)
        raw_path = bytes(request.scope.get("raw_path") or request.url.path.encode()).decode("ascii", "surrogateescape")
        raw_query = bytes(request.scope["query_string"]).decode("ascii", "surrogateescape")
        pairs = parse_qsl(raw_query, keep_blank_values=True, errors="surrogateescape")
        headers = _headers(request)
        signed = signatures.Signed(request.method, raw_path, pairs, headers)
        name = signatures.authenticate(signed, self._secret_of, datetime.now(UTC))
        asked = parse(request.method, raw_path, headers.get("host", ""), pairs, self.domains)
        if asked.operation in (Operation.HEAD_OBJECT, Operation.GET_OBJECT):
            return await _Reading(self, request, asked, name, request_id).response()
        return await run_in_threadpool(self._listed, asked, self.keys[name])

    def _secret_of(self, name: str) -> str | None:
        key = self.keys.get(name)
        return key.secret if key else None

    def bucket(self, asked: Asked, key: AccessKey) -> Bucket:
        """Return the bucket that is asked for.

        Raises:
            S3Error: There is none, or it is closed to whoever asks; the two look the same.
        """
        bucket = self.buckets.get(asked.bucket)
        if bucket is None or not key.may_see(asked.bucket):
            raise S3Error(404, "NoSuchBucket", "The specified bucket does not exist")
        return bucket

    def _listed(self, asked: Asked, key: AccessKey) -> Response:
        from starlette.responses import Response

        if asked.operation is Operation.LIST_BUCKETS:
            return Response(self._all_buckets(key), media_type=_XML)
        bucket = self.bucket(asked, key)
        match asked.operation:
            case Operation.HEAD_BUCKET:
                return Response(headers={"x-amz-bucket-region": "us-east-1"})
            case Operation.GET_LOCATION:
                return Response(documents.document("LocationConstraint", []), media_type=_XML)
            case Operation.GET_VERSIONING:
                body = documents.document("VersioningConfiguration", [("Status", "Enabled")])
                return Response(body, media_type=_XML)
        if not key.may_read(asked.bucket, asked.query.get("prefix", "")):
            raise failures.denied("Access Denied")
        page = {
            Operation.LIST_OBJECTS: pages.objects,
            Operation.LIST_OBJECTS_V2: pages.objects_v2,
            Operation.LIST_VERSIONS: pages.versions,
        }[asked.operation]
        return Response(page(bucket, asked.query), media_type=_XML)

    def _all_buckets(self, key: AccessKey) -> bytes:
        seen = [
            ("Bucket", [("Name", name), ("CreationDate", documents.timestamp(bucket.created))])
            for name, bucket in sorted(self.buckets.items())
            if key.may_see(name)
        ]
        owner = ("Owner", [("ID", _SERVER), ("DisplayName", _SERVER)])
        return documents.document("ListAllMyBucketsResult", [owner, ("Buckets", seen)])


class _Reading:
    """One GetObject or HeadObject.

    Args:
        gateway: The endpoint.
        request: The HTTP request.
        asked: What it asks for.
        access_key: Who signed it.
        request_id: The answer's id.
    """

    def __init__(self, gateway: Gateway, request: Request, asked: Asked, access_key: str, request_id: str):
        self._gateway = gateway
        self._headers = _headers(request)
        self._asked = asked
        self._access_key = access_key
        self._request_id = request_id
        self._address = request.client.host if request.client else ""

    async def response(self) -> Response:
        """Return the answer; its first bytes are read before it begins, so that most errors still have a status."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response, StreamingResponse

        found = await run_in_threadpool(self._found)
        version = found.version
        objects.check_conditions(version, self._headers)
        span = objects.span(version, self._headers.get("range"), self._asked.query.get("partNumber"))
        headers = objects.headers(version, version.path, self._asked.query)
        headers["Content-Length"] = str(span.stop - span.start)
        if span.is_range:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{version.size}"
        elif self._headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= objects.checksums(version)
        status = 206 if span.is_range else 200
        if self._asked.operation is Operation.HEAD_OBJECT:
            self._record(found, span, status, sent=0, complete=True)
            return Response(status_code=status, headers=headers)
        pieces = self._pieces(found, span, status)
        first = await anext(pieces, b"")
        return StreamingResponse(_chained(first, pieces), status_code=status, headers=headers)

    def _found(self) -> Found:
        key = self._gateway.keys[self._access_key]
        bucket = self._gateway.bucket(self._asked, key)
        if not key.may_read(self._asked.bucket, self._asked.key):
            raise failures.denied("Access Denied")
        wanted = self._asked.query.get("versionId")
        found = bucket.find(self._asked.key, wanted)
        if found is None:
            if wanted is not None:
                raise S3Error(404, "NoSuchVersion", "The specified version does not exist.")
            raise failures.no_such_key(self._asked.key)
        if found.is_tombstone:
            raise objects.tombstone(found.version, named=wanted is not None)
        return found

    async def _pieces(self, found: Found, span: Span, status: int) -> AsyncGenerator[bytes]:
        sent = 0
        pieces = windows.pieces(found.root, found.version, span.start, span.stop, self._gateway.blocks)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
                    sent += len(piece)
        except VersionedStoreError as error:
            # Behind the first bytes nothing can be said to the client but to break off.
            _log.warning("Request %s broke off after %d bytes: %s", self._request_id, sent, error)
            raise
        finally:
            self._record(found, span, status, sent=sent, complete=sent == span.stop - span.start)

    def _record(self, found: Found, span: Span, status: int, *, sent: int, complete: bool) -> None:
        operation = "HeadObject" if self._asked.operation is Operation.HEAD_OBJECT else "GetObject"
        self._gateway.records.write(
            AccessRecord(
                time=now(),
                operation=operation,
                access_key=self._access_key,
                address=self._address,
                bucket=self._asked.bucket,
                key=self._asked.key,
                root=found.root.name,
                path=found.version.path,
                version=found.version.number,
                sha256=found.version.sha256,
                status=status,
                start=span.start,
                bytes=sent,
                complete=complete,
                agent=self._headers.get("user-agent", ""),
                request_id=self._request_id,
            )
        )


async def _chained(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "surrogateescape")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _failure(request: Request, error: S3Error, request_id: str) -> Response:
    from starlette.responses import Response

    headers: dict[str, Any] = dict(error.headers)
    if error.status == 304 or request.method == "HEAD":
        return Response(status_code=error.status, headers=headers)
    if request.method not in ("GET", "HEAD"):
        # A body may be on its way that nobody will read.
        headers["Connection"] = "close"
    body = documents.error(error.code, error.message, request.url.path, request_id)
    return Response(body, status_code=error.status, headers=headers, media_type=_XML)
