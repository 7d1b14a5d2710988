"""A stand-in for an Azure storage account that keeps blob versions, which Azurite does not.

It knows the requests that this project sends, checks no signatures, and keeps everything in memory. It does what
Azure's documentation says of versions: every write makes one, a deletion leaves a blob without a current one, and the
current one cannot be deleted by its id.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import escape

_NAMED = {"x-ms-blob-content-type": "Content-Type", "x-ms-blob-content-disposition": "Content-Disposition"}


@dataclass
class Version:
    """One version of a blob; it has no id where it was written while versions were not kept."""

    id: str
    etag: str
    data: bytes
    headers: dict[str, str]
    metadata: dict[str, str]
    time: datetime
    md5: str
    tags: str = ""


@dataclass
class Blob:
    """A blob: its versions, oldest first, and which of them is current."""

    versions: list[Version] = field(default_factory=list)
    current: Version | None = None
    blocks: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Container:
    """A container; in Azure it is the account that keeps versions."""

    versioned: bool
    blobs: dict[str, Blob] = field(default_factory=dict)


class RefusedError(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str):
        super().__init__(code)
        self.status = status
        self.code = code


class AzureDouble:
    """The stand-in.

    Attributes:
        endpoint: The URL of its one account.
        containers: What it has.
    """

    name = "azure-double"

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.lock = threading.Lock()
        self._newest = datetime.now(UTC)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": self}))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/account"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def new_bucket(self, *, versioned: bool = True) -> str:
        """Create an empty container and return its name."""
        name = f"container-{uuid.uuid4().hex[:20]}"
        self.containers[name] = Container(versioned)
        return name

    def environment(self) -> dict[str, str]:
        """Return the variables that send Azure clients here."""
        key = base64.b64encode(b"key").decode()
        account = f"AccountName=account;AccountKey={key};BlobEndpoint={self.endpoint};"
        return {"AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;{account}"}

    def keep_versions(self, container: str, *, on: bool) -> None:
        """Switch versioning on or off."""
        self.containers[container].versioned = on

    def read(self, container: str, key: str) -> bytes | None:
        """Return what a plain reader of a blob gets; None where there is nothing."""
        blob = self.containers[container].blobs.get(key, Blob())
        return blob.current.data if blob.current else None

    def keys(self, container: str) -> list[str]:
        """Return the names of all blobs that have a current version."""
        return sorted(name for name, blob in self.containers[container].blobs.items() if blob.current)

    def versions(self, container: str, key: str) -> list[str]:
        """Return the ids of a blob's versions, oldest first."""
        return [one.id for one in self.containers[container].blobs.get(key, Blob()).versions]

    def overwrite(self, container: str, key: str, data: bytes) -> None:
        """Write as somebody does who knows nothing of stores."""
        self.write(container, key, data, {}, {})

    def remove(self, container: str, keys: Iterable[str]) -> None:
        """Delete as somebody does who knows nothing of stores."""
        for key in keys:
            self.delete(container, key, None)

    def write(
        self, container: str, key: str, data: bytes, headers: dict[str, str], metadata: dict[str, str]
    ) -> Version:
        """Write a version."""
        kept = self.containers[container]
        with self.lock:
            blob = kept.blobs.setdefault(key, Blob())
            # A version's id is its time, to a tenth of a microsecond, and never given twice.
            self._newest = max(datetime.now(UTC), self._newest + timedelta(microseconds=1))
            identity = self._newest.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
            md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
            version = identity if kept.versioned else ""
            made = Version(version, f'"{identity}"', data, headers, metadata, self._newest, md5)
            blob.versions = [*(one for one in blob.versions if one.id), made]
            blob.current, blob.blocks = made, {}
        return made

    def delete(self, container: str, key: str, version: str | None, etag: str | None = None) -> None:
        """Delete a version, or leave a blob without a current one."""
        kept = self.containers[container]
        with self.lock:
            blob = kept.blobs.get(key, Blob())
            found = self.find(container, key, version)
            if etag not in (None, found.etag):
                raise RefusedError(412, "ConditionNotMet")
            if version is None:
                blob.current = None
                blob.versions = [one for one in blob.versions if one.id]
            elif found is blob.current:
                raise RefusedError(403, "OperationNotAllowedOnRootBlob")
            else:
                blob.versions.remove(found)

    def find(self, container: str, key: str, version: str | None) -> Version:
        """Return a version, by default the current one."""
        blob = self.containers[container].blobs.get(key, Blob())
        found = blob.current if version is None else next((one for one in blob.versions if one.id == version), None)
        if found is None:
            raise RefusedError(404, "BlobNotFound")
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: AzureDouble

    def do_PUT(self) -> None:
        """Write something."""
        self._answer_for(self._put)

    def do_GET(self) -> None:
        """Read or list."""
        self._answer_for(self._get)

    def do_HEAD(self) -> None:
        """Look up."""
        self._answer_for(self._get)

    def do_DELETE(self) -> None:
        """Delete something."""
        self._answer_for(self._delete)

    def do_POST(self) -> None:
        """Delete blobs in a batch, which is all that is posted."""
        self._answer_for(self._batch)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer_for(self, handle: Any) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        _, _, self.container, self.key = (unquote(part) for part in [*url.path.split("/", 3), "", ""][:4])
        self.query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        try:
            if self.container not in self.double.containers:
                raise RefusedError(404, "ContainerNotFound")
            handle()
        except RefusedError as refused:
            body = f"<?xml version='1.0'?><Error><Code>{refused.code}</Code><Message>No.</Message></Error>".encode()
            self._answer(refused.status, {"x-ms-error-code": refused.code, "Content-Type": "application/xml"}, body)

    def _put(self) -> None:
        part, md5 = self.query.get("comp"), self.headers.get("Content-MD5")
        if md5 not in (None, base64.b64encode(hashlib.md5(self.body).digest()).decode()):
            raise RefusedError(400, "Md5Mismatch")
        if part == "tags":
            self.double.find(self.container, self.key, self.query.get("versionid")).tags = self.body.decode()
            return self._answer(204)
        blob = self.double.containers[self.container].blobs.setdefault(self.key, Blob())
        if part == "block":
            blob.blocks[self.query["blockid"]] = self.body
            return self._answer(201)
        if self.headers.get("If-None-Match") == "*" and blob.current is not None:
            raise RefusedError(409, "BlobAlreadyExists")
        metadata = {name[10:]: value for name, value in self.headers.items() if name.lower().startswith("x-ms-meta-")}
        if any("-" in name for name in metadata):
            raise RefusedError(400, "InvalidMetadata")
        headers = {named: self.headers[name] for name, named in _NAMED.items() if name in self.headers}
        if part == "blocklist":
            named = [str(item.text) for item in Xml.fromstring(self.body)]
            if not blob.blocks.keys() >= set(named):
                raise RefusedError(400, "InvalidBlockList")
            data = b"".join(blob.blocks[name] for name in named)
            return self._written(data, headers, metadata)
        if "x-ms-copy-source" in self.headers:
            return self._copy(metadata)
        return self._written(self.body, headers, metadata)

    def _copy(self, metadata: dict[str, str]) -> None:
        url = urlsplit(self.headers["x-ms-copy-source"])
        _, _, container, key = unquote(url.path).split("/", 3)
        source = self.double.find(container, key, parse_qs(url.query).get("versionid", [None])[0])
        self._written(source.data, source.headers, metadata or source.metadata, 202)

    def _written(self, data: bytes, headers: dict[str, str], metadata: dict[str, str], status: int = 201) -> None:
        made = self.double.write(self.container, self.key, data, headers, metadata)
        copied = {"x-ms-copy-id": made.id, "x-ms-copy-status": "success"} if status == 202 else {}
        self._answer(status, self._told(made) | copied)

    def _get(self) -> None:
        if self.query.get("comp") == "list":
            return self._list()
        if self.query.get("restype") == "container":
            return self._answer(200)
        found = self.double.find(self.container, self.key, self.query.get("versionid"))
        headers = self._told(found) | found.headers | {"x-ms-blob-type": "BlockBlob", "Content-MD5": found.md5}
        headers |= {f"x-ms-meta-{name}": value for name, value in found.metadata.items()}
        asked = self.headers.get("x-ms-range") or self.headers.get("Range")
        if asked is None or self.command == "HEAD":
            return self._answer(200, headers, found.data)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1 if last else len(found.data), len(found.data))
        if start >= len(found.data):
            raise RefusedError(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(found.data)}"
        headers.pop("Content-MD5")
        return self._answer(206, headers, found.data[start:stop])

    def _list(self) -> None:
        kept, prefix, delimiter = self.double.containers[self.container], self.query.get("prefix", ""), "delimiter"
        items: dict[str, str] = {}
        for name, blob in sorted(kept.blobs.items()):
            below = name[len(prefix) :]
            if not name.startswith(prefix):
                continue
            if self.query.get(delimiter) and "/" in below and blob.current:
                folder = f"{prefix}{below.partition('/')[0]}/"
                items[folder] = f"<BlobPrefix><Name>{escape(folder)}</Name></BlobPrefix>"
                continue
            all_of_them = "versions" in self.query.get("include", "")
            shown = blob.versions if all_of_them else [one for one in blob.versions if one is blob.current]
            for one in shown:
                items[f"{name}\0{one.id}"] = self._item(name, one, current=one is blob.current)
        after, most = unquote(self.query.get("marker", "")), int(self.query.get("maxresults", 5000))
        page = sorted(key for key in items if key > after)[:most]
        more = page[-1] if page and [key for key in items if key > page[-1]] else ""
        listed = "".join(items[key] for key in page)
        marker = quote(more)
        body = f"<EnumerationResults><Blobs>{listed}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        self._answer(200, {"Content-Type": "application/xml"}, f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode())

    def _item(self, name: str, one: Version, *, current: bool) -> str:
        version = f"<VersionId>{one.id}</VersionId>" if one.id else ""
        version += "<IsCurrentVersion>true</IsCurrentVersion>" if one.id and current else ""
        properties = {
            "Last-Modified": format_datetime(one.time, usegmt=True),
            "Etag": one.etag.strip('"'),
            "Content-Length": str(len(one.data)),
            "Content-Type": one.headers.get("Content-Type", "application/octet-stream"),
            "Content-MD5": one.md5,
            "BlobType": "BlockBlob",
        }
        told = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in properties.items())
        return f"<Blob><Name>{escape(name)}</Name>{version}<Properties>{told}</Properties></Blob>"

    def _delete(self) -> None:
        self.double.delete(self.container, self.key, self.query.get("versionid"), self.headers.get("If-Match"))
        self._answer(202)

    def _batch(self) -> None:
        answers = []
        for number, line in enumerate(line for line in self.body.decode().splitlines() if line.startswith("DELETE ")):
            _, _, container, key = unquote(urlsplit(line.split(" ")[1]).path).split("/", 3)
            try:
                self.double.delete(container, key, None)
                status = "202 Accepted"
            except RefusedError as refused:
                status = f"{refused.status} No\r\nx-ms-error-code: {refused.code}"
            part = f"Content-Type: application/http\r\nContent-ID: {number}\r\n\r\nHTTP/1.1 {status}"
            answers.append(f"--batch\r\n{part}\r\n\r\n")
        body = "".join(answers) + "--batch--"
        self._answer(202, {"Content-Type": "multipart/mixed; boundary=batch"}, body.encode())

    def _told(self, one: Version) -> dict[str, str]:
        told = {"ETag": one.etag, "Last-Modified": format_datetime(one.time, usegmt=True)}
        if one.id:
            told["x-ms-version-id"] = one.id
            if self.double.containers[self.container].blobs[self.key].current is one:
                told["x-ms-is-current-version"] = "true"
        return told

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
