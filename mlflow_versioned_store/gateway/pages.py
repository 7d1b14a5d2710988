"""Pages of listings: ListObjects, ListObjectsV2 and ListObjectVersions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile, islice
from urllib.parse import quote

from mlflow_versioned_store.gateway.bucket import Bucket, Shown
from mlflow_versioned_store.gateway.documents import Field, document, timestamp
from mlflow_versioned_store.gateway.failures import invalid
from mlflow_versioned_store.gateway.listing import Wanted
from mlflow_versioned_store.gateway.objects import e_tag
from mlflow_versioned_store.history.versions import Version

_KEYS_MAX = 1000
_NUMBER_MAX = 2_147_483_647
_DIGITS_MAX = 18
_OWNER: Field = ("Owner", (("ID", "versioned-store"), ("DisplayName", "versioned-store")))


@dataclass(frozen=True, slots=True)
class _Query:
    """What all listings have in common."""

    prefix: str
    delimiter: str
    keys_max: int
    encoding: str

    @classmethod
    def of(cls, query: dict[str, str]) -> _Query:
        """Return what a query says.

        Raises:
            S3Error: A value is none.
        """
        text = query.get("max-keys") or str(_KEYS_MAX)
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX and int(text) <= _NUMBER_MAX):
            raise invalid(f"max-keys is a number from 0 to {_NUMBER_MAX}.")
        encoding = query.get("encoding-type", "")
        if encoding not in ("", "url"):
            raise invalid("Invalid Encoding Method specified in Request")
        return cls(query.get("prefix", ""), query.get("delimiter", ""), min(int(text), _KEYS_MAX), encoding)

    @property
    def encode(self) -> Callable[[str], str]:
        """Write keys as the client asks."""
        return (lambda text: quote(text, safe="/-_.~*")) if self.encoding else str

    def head(self, bucket: Bucket) -> list[Field]:
        """Return the fields with which every listing begins."""
        fields: list[Field] = [("Name", bucket.name), ("Prefix", self.encode(self.prefix)), ("MaxKeys", self.keys_max)]
        if self.delimiter:
            fields.append(("Delimiter", self.encode(self.delimiter)))
        if self.encoding:
            fields.append(("EncodingType", self.encoding))
        return fields


def objects(bucket: Bucket, query: dict[str, str]) -> bytes:
    """Return a page of ListObjects."""
    common = _Query.of(query)
    marker = query.get("marker", "")
    found, more = _page(bucket.keys(Wanted(common.prefix, common.delimiter, marker), refresh=not marker), common)
    fields = [*common.head(bucket), ("Marker", common.encode(marker)), ("IsTruncated", more)]
    if more:
        fields.append(("NextMarker", common.encode(found[-1][0])))
    return document("ListBucketResult", [*fields, *_contents(found, common, owner=True)])


def objects_v2(bucket: Bucket, query: dict[str, str]) -> bytes:
    """Return a page of ListObjectsV2."""
    common = _Query.of(query)
    token, start = query.get("continuation-token"), query.get("start-after", "")
    after = start if token is None else _key_of(token)
    found, more = _page(bucket.keys(Wanted(common.prefix, common.delimiter, after), refresh=token is None), common)
    fields = [*common.head(bucket), ("KeyCount", len(found)), ("IsTruncated", more)]
    if token is not None:
        fields.append(("ContinuationToken", token))
    if more:
        fields.append(("NextContinuationToken", base64.urlsafe_b64encode(found[-1][0].encode()).decode()))
    if start:
        fields.append(("StartAfter", common.encode(start)))
    return document("ListBucketResult", [*fields, *_contents(found, common, owner=query.get("fetch-owner") == "true")])


def versions(bucket: Bucket, query: dict[str, str]) -> bytes:
    """Return a page of ListObjectVersions."""
    common = _Query.of(query)
    key, version = query.get("key-marker", ""), query.get("version-id-marker", "")
    if version and not key:
        raise invalid("A version-id marker cannot be specified without a key marker.")
    lines = bucket.versions(Wanted(common.prefix, common.delimiter, key), refresh=not key)
    if version:
        lines = chain(_rest(bucket, key, version), lines)
    found = list(islice(lines, common.keys_max + 1)) if common.keys_max else []
    more, found = len(found) > common.keys_max, found[: common.keys_max]
    fields = [
        *common.head(bucket),
        ("KeyMarker", common.encode(key)),
        ("VersionIdMarker", version),
        ("IsTruncated", more),
    ]
    if more:
        last = found[-1]
        next_key, next_version = (last, "") if isinstance(last, str) else (last.key, last.version_id)
        fields.append(("NextKeyMarker", common.encode(next_key)))
        if next_version:
            fields.append(("NextVersionIdMarker", next_version))
    fields += [_shown(line, common) for line in found if isinstance(line, Shown)]
    fields += [_prefix(line, common) for line in found if isinstance(line, str)]
    return document("ListVersionsResult", fields)


def _page(lines: Iterator[tuple[str, Version | None]], common: _Query) -> tuple[list[tuple[str, Version | None]], bool]:
    """Return the lines of a page, and whether more follow."""
    if not common.keys_max:
        return [], False
    found = list(islice(lines, common.keys_max + 1))
    return found[: common.keys_max], len(found) > common.keys_max


def _rest(bucket: Bucket, key: str, version: str) -> Iterator[Shown]:
    """Return the versions of a key that come behind one of them."""
    own = (line for line in bucket.versions(Wanted(prefix=key), refresh=False) if isinstance(line, Shown))
    shown = [line for line in own if line.key == key]
    return islice(dropwhile(lambda line: line.version_id != version, shown), 1, None)


def _contents(found: list[tuple[str, Version | None]], common: _Query, *, owner: bool) -> Iterator[Field]:
    for key, version in found:
        if version is not None:
            fields: list[Field] = [("Key", common.encode(key)), *_facts(version)]
            yield "Contents", [*fields, _OWNER] if owner else fields
    for key, version in found:
        if version is None:
            yield _prefix(key, common)


def _facts(version: Version) -> list[Field]:
    return [
        ("LastModified", timestamp(version.when)),
        ("ETag", e_tag(version)),
        ("Size", version.size),
        ("StorageClass", "STANDARD"),
    ]


def _shown(line: Shown, common: _Query) -> Field:
    fields: list[Field] = [
        ("Key", common.encode(line.key)),
        ("VersionId", line.version_id),
        ("IsLatest", line.is_latest),
    ]
    if line.is_tombstone:
        return "DeleteMarker", [*fields, ("LastModified", timestamp(line.version.when_ended)), _OWNER]
    return "Version", [*fields, *_facts(line.version), _OWNER]


def _prefix(prefix: str, common: _Query) -> Field:
    return "CommonPrefixes", [("Prefix", common.encode(prefix))]


def _key_of(token: str) -> str:
    try:
        key = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = ""
    if not key:
        raise invalid("The continuation token provided is incorrect")
    return key
