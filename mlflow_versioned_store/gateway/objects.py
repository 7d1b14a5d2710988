"""One object: its headers, what a request's conditions and range mean for it, and its bytes."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import NamedTuple

from mlflow_versioned_store.gateway.bucket import version_id
from mlflow_versioned_store.gateway.failures import S3Error, invalid
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.http_headers import byte_range, is_byte_range

_NUMBER_DIGITS_MAX = 18
_PARTS_MAX = 10_000
_CHECKSUM_BYTES_MAX = 64 << 20
# A response header that the query may set, and under which name it does.
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class Span(NamedTuple):
    """The bytes [start, stop) of an object, and whether they were asked for as a range."""

    start: int
    stop: int
    is_range: bool


def e_tag(version: Version) -> str:
    """Return the entity tag: the SHA-256 of the content, in a form that no client takes for an MD5.

    Where nobody has read the content yet, it is made of which version this is.
    """
    identity = f"{version.path}\n{version.number}\n{version.time}\n{version.size}"
    return f'"{version.sha256 or hashlib.sha256(identity.encode()).hexdigest()}-1"'


def headers(version: Version, path: str, query: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an object, but for its length.

    Args:
        version: The version.
        path: Its path, whose ending says what it is.
        query: The request's query, which may override some.

    Raises:
        S3Error: An override is no header value.
    """
    found = _validators(version) | {
        "Content-Type": mimetypes.guess_type(path)[0] or "binary/octet-stream",
        "x-amz-version-id": version_id(version),
        # Artifacts come from anywhere: a browser shows them without running what is in them.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    if version.sha256:
        found["x-amz-meta-sha256"] = version.sha256
    for name, header in _OVERRIDES.items():
        if name in query:
            if _UNPRINTABLE.search(query[name]):
                raise S3Error(400, "InvalidArgument", f"{name} is not a header's value.")
            found[header] = query[name]
    return found


def checksums(version: Version) -> dict[str, str]:
    """Return the headers that let a client check a whole object; none for a large one.

    SDKs ask for them on their own, and then take longer for the SHA-256 of a large object than for reading it.
    """
    if version.size > _CHECKSUM_BYTES_MAX or not version.sha256:
        return {}
    return {
        "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(version.sha256)).decode(),
        "x-amz-checksum-type": "FULL_OBJECT",
    }


def check_conditions(version: Version, asked: Mapping[str, str]) -> None:
    """Hold a request to its conditions, in the order of RFC 9110, section 13.2.2.

    Args:
        version: The version.
        asked: The request's headers, names in lower case.

    Raises:
        S3Error: 304 where the client has it already, 412 where it is another one than the client expects.
    """
    tag, modified = e_tag(version), _modified(version)
    named = {"x-amz-version-id": version_id(version)}
    failed = S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", named)
    unmodified = S3Error(304, "NotModified", "", named | _validators(version))
    if match := asked.get("if-match"):
        if not _names(match, tag):
            raise failed
    elif (since := _date(asked.get("if-unmodified-since"))) is not None and modified > since:
        raise failed
    if match := asked.get("if-none-match"):
        if _names(match, tag):
            raise unmodified
    elif (since := _date(asked.get("if-modified-since"))) is not None and modified <= since:
        raise unmodified


def span(version: Version, text: str | None, part: str | None = None) -> Span:
    """Return which bytes are asked for; all of them where a Range header is none, or asks for several ranges.

    Args:
        version: The version.
        text: The Range header.
        part: The number of a part; all objects have one.

    Raises:
        S3Error: They lie outside.
    """
    if part is not None:
        return _part(version, text, part)
    if text is None or not is_byte_range(text):
        return Span(0, version.size, is_range=False)
    start, stop = byte_range(text, version.size)
    if start >= stop:
        raise S3Error(
            416, "InvalidRange", "The requested range is not satisfiable", {"Content-Range": f"bytes */{version.size}"}
        )
    return Span(start, stop, is_range=True)


def _part(version: Version, text: str | None, part: str) -> Span:
    if text is not None:
        raise S3Error(400, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    if not (part.isascii() and part.isdigit() and 0 < int(part[:_NUMBER_DIGITS_MAX]) <= _PARTS_MAX):
        raise invalid(f"partNumber is a number from 1 to {_PARTS_MAX}.")
    if int(part) != 1:
        raise S3Error(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
    # An empty object has no range; its one part is all of it.
    return Span(0, version.size, is_range=version.size > 0)


def tombstone(version: Version, *, named: bool) -> S3Error:
    """Return the answer for a deleted object: by its key, or by the version id of the tombstone itself."""
    found = {"x-amz-delete-marker": "true", "x-amz-version-id": version_id(version, is_tombstone=True)}
    if named:
        found |= {"Last-Modified": format_datetime(version.when_ended, usegmt=True), "Allow": "DELETE"}
        return S3Error(405, "MethodNotAllowed", "This version is a delete marker.", found)
    return S3Error(404, "NoSuchKey", "The object was deleted; its earlier versions are listed.", found)


def _validators(version: Version) -> dict[str, str]:
    """Return the headers by which a client knows what it has."""
    return {
        "ETag": e_tag(version),
        "Last-Modified": format_datetime(_modified(version), usegmt=True),
        "Accept-Ranges": "bytes",
    }


def _modified(version: Version) -> datetime:
    return version.when.replace(microsecond=0)


def _names(text: str, tag: str) -> bool:
    names = [name.strip().removeprefix("W/") for name in text.split(",")]
    return "*" in names or tag in names or tag.strip('"') in names


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        time = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
