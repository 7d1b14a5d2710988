"""Requests that are put to the endpoint and to MinIO, and what of their answers must be the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

from tests.gateway.asking import Answer, send_to, signed
from tests.gateway.conftest import RUN

if TYPE_CHECKING:
    from botocore.credentials import Credentials

LONG_AGO, LONG_AFTER = "Mon, 01 Jan 2001 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"


class Case(NamedTuple):
    """A request: `{v1}` and `{v2}` are versions of data/one.csv, `{d1}` the tombstone of gone.txt, `{etag}` a tag."""

    method: str
    target: str
    headers: Mapping[str, str] = {}

    def __str__(self) -> str:
        sent = "".join(f" {name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.target.replace(RUN, 'run')[:120]}{sent}"


@dataclass
class Server:
    """One of the two.

    Args:
        address: Host and port.
        credentials: Who asks.
        names: What stands for each placeholder here.
        version_ids: What the endpoint calls the version ids of this server.
    """

    address: str
    credentials: Credentials
    names: dict[str, str]
    version_ids: dict[str, str] = field(default_factory=dict)

    def ask(self, case: Case) -> Answer:
        """Put a request."""
        path, mark, query = self._filled(case.target).partition("?")
        # Signed as botocore is given it, so it is encoded as clients do.
        target = (
            path
            + mark
            + urlencode(
                parse_qsl(query, keep_blank_values=True, errors="surrogateescape"),
                quote_via=quote,
                safe="-_.~",
                errors="surrogateescape",
            )
        )
        headers = {name: self._filled(value) for name, value in case.headers.items()}
        raw = signed(case.method, f"http://{self.address}{target}", headers, credentials=self.credentials)
        return send_to(self.address, raw)

    def seen(self, case: Case) -> dict[str, Any]:
        """Return what matters of the answer to a request, the same on every server."""
        answer = self.ask(case)
        return {"status": answer.status} | _headers(answer, self.version_ids) | _body(answer, self.version_ids)

    def _filled(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self.names[match[1]], text)


_UNREADABLE = re.compile(rb"&#x(?:[0-8BCEF]|1[0-9A-F]|FFF[EF]);")
_ALWAYS = ("x-amz-version-id", "x-amz-delete-marker")
_OF_OBJECTS = (
    "content-range",
    "accept-ranges",
    "content-type",
    "content-length",
    "content-disposition",
    "content-language",
    "cache-control",
    "content-encoding",
    "expires",
)
_PRESENT = ("etag", "last-modified")


def _headers(answer: Answer, version_ids: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: answer.headers[name] for name in _ALWAYS if name in answer.headers}
    if "x-amz-version-id" in found:
        found["x-amz-version-id"] = version_ids.get(found["x-amz-version-id"], found["x-amz-version-id"])
        if answer.status < 400:
            found |= {name: answer.headers[name] for name in _OF_OBJECTS if name in answer.headers}
            found |= {name: True for name in _PRESENT if name in answer.headers}
    return found


def _body(answer: Answer, version_ids: Mapping[str, str]) -> dict[str, Any]:
    if ("x-amz-version-id" in answer.headers and answer.status < 400) or not answer.body:
        return {"body": answer.body}
    # Both write characters that XML cannot hold as references, as S3 does.
    root = ElementTree.fromstring(_UNREADABLE.sub(b"?", answer.body))
    if root.tag == "Error":
        return {"code": root.findtext("Code")}
    document = _fields(root, version_ids)
    if "EncodingType" in document:
        # A space and a tilde can be encoded in two ways; every client reads both.
        document = json.loads(json.dumps(document).replace("+", "%20").replace("%7E", "~"))
    return {"root": _name(root), "document": document}


# What each server makes up for itself; that it is there matters, but what it is does not.
_OWN = {"ETag", "LastModified", "CreationDate", "Owner", "NextContinuationToken", "NextMarker", "NextKeyMarker"}
# MinIO says them of delete markers too, S3 does not.
_NOT_OF_TOMBSTONES = {"ETag", "Size", "StorageClass"}


def _fields(element: ElementTree.Element, version_ids: Mapping[str, str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for child in element:
        name, text = _name(child), child.text or ""
        value: Any = version_ids.get(text, text)
        if _name(element) == "DeleteMarker" and name in _NOT_OF_TOMBSTONES:
            continue
        if name in _OWN:
            value = True
        elif len(child):
            value = _fields(child, version_ids)
        if value:
            found.setdefault(name, []).append(value)
    return found


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
