"""What `MLFLOW_S3_UPLOAD_EXTRA_ARGS` asks of every object written, as each client library takes it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from urllib.parse import parse_qsl

from mlflow_versioned_store.errors import InvalidInput

VARIABLE = "MLFLOW_S3_UPLOAD_EXTRA_ARGS"

_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_ENCRYPTIONS = {"AES256", "aws:kms", "aws:kms:dsse"}
# Sent as headers of the write; obstore has settings of its own for the rest.
_HEADERS = {
    "ACL": "x-amz-acl",
    "Expires": "expires",
    "GrantFullControl": "x-amz-grant-full-control",
    "GrantRead": "x-amz-grant-read",
    "GrantReadACP": "x-amz-grant-read-acp",
    "GrantWriteACP": "x-amz-grant-write-acp",
    "ObjectLockLegalHoldStatus": "x-amz-object-lock-legal-hold",
    "ObjectLockMode": "x-amz-object-lock-mode",
    "ObjectLockRetainUntilDate": "x-amz-object-lock-retain-until-date",
    "SSEKMSEncryptionContext": "x-amz-server-side-encryption-context",
}
_ATTRIBUTES = {
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentLanguage": "Content-Language",
    "ContentType": "Content-Type",
    "StorageClass": "Storage-Class",
}
# Clients send what they are given, and servers want one form of each.
_TIMES: dict[str, Callable[[datetime], str]] = {
    "Expires": partial(format_datetime, usegmt=True),
    "ObjectLockRetainUntilDate": lambda time: time.isoformat(timespec="seconds").replace("+00:00", "Z"),
}
_ENCRYPTION = {"BucketKeyEnabled", "ServerSideEncryption", "SSEKMSKeyId"}
_CUSTOMER_KEY = {"SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"}
_OTHERS = {"ExpectedBucketOwner", "Metadata", "RequestPayer", "Tagging"}
_KNOWN = {*_HEADERS, *_ATTRIBUTES, *_ENCRYPTION, *_CUSTOMER_KEY, *_OTHERS}
_REFUSED = {
    "ChecksumAlgorithm": "objects carry a CRC64NVME checksum already",
    "ContentEncoding": "stored objects are in a format of their own, and readers would try to unpack them",
    "WebsiteRedirectLocation": "a redirected object cannot be read back",
}


@dataclass(frozen=True, slots=True, repr=False)
class UploadArguments:
    """Arguments in boto3's words, checked: all of them can be honoured.

    Args:
        given: Name to value, as boto3's `put_object` takes them.
    """

    given: tuple[tuple[str, str | bool | tuple[tuple[str, str], ...]], ...] = ()

    def __repr__(self) -> str:
        return f"UploadArguments({', '.join(name for name, _ in self.given)})"

    def text(self, name: str) -> str | None:
        """Return an argument that is a text, or None."""
        value = dict(self.given).get(name)
        return value if isinstance(value, str) else None

    @property
    def customer_key(self) -> bytes | None:
        """The 32 bytes of a customer-provided encryption key."""
        key = self.text("SSECustomerKey")
        return None if key is None else _customer_key(key)

    @property
    def encryption_scope(self) -> str | None:
        """A short stable text for the key that objects are encrypted with; None for the bucket's default."""
        if self.customer_key is not None:
            return "sse-c:" + hashlib.sha256(b"mvs encryption scope\0" + self.customer_key).hexdigest()[:16]
        encryption = self.text("ServerSideEncryption")
        if encryption is None or encryption == "AES256":
            return encryption and "sse-s3"
        return f"{encryption}:{self.text('SSEKMSKeyId') or 'default'}"

    def boto3_write(self) -> dict[str, object]:
        """Return the arguments of boto3's `put_object`."""
        arguments: dict[str, object] = {name: value for name, value in self.given if name not in _CUSTOMER_KEY}
        if "Metadata" in arguments:
            arguments["Metadata"] = self.metadata
        return arguments | self.boto3_read(payer=False)

    def boto3_read(self, *, payer: bool = True) -> dict[str, object]:
        """Return the arguments that boto3's `get_object` and `head_object` need as well."""
        arguments: dict[str, object] = {}
        if self.customer_key is not None:
            arguments = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": self.customer_key}
        if payer and self.text("RequestPayer"):
            arguments["RequestPayer"] = "requester"
        return arguments

    @property
    def metadata(self) -> dict[str, str]:
        """User metadata."""
        value = dict(self.given).get("Metadata")
        return dict(value) if isinstance(value, tuple) else {}

    @property
    def tags(self) -> dict[str, str]:
        """Tags."""
        return dict(parse_qsl(self.text("Tagging") or "", keep_blank_values=True))

    @property
    def attributes(self) -> dict[str, str]:
        """What obstore calls attributes: user metadata, content type and the like, storage class."""
        named = {header: value for name, header in _ATTRIBUTES.items() if (value := self.text(name)) is not None}
        return self.metadata | named

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a write that obstore has no setting for."""
        headers = {header: value for name, header in _HEADERS.items() if (value := self.text(name)) is not None}
        context = headers.get("x-amz-server-side-encryption-context")
        if context is not None and context.lstrip().startswith("{"):
            headers["x-amz-server-side-encryption-context"] = base64.b64encode(context.encode()).decode()
        return headers

    @property
    def obstore_settings(self) -> dict[str, str | bool]:
        """Settings of obstore's S3 store."""
        settings: dict[str, str | bool] = {}
        if self.customer_key is not None:
            settings["server_side_encryption"] = "sse-c"
            settings["sse_customer_key_base64"] = base64.b64encode(self.customer_key).decode()
        elif encryption := self.text("ServerSideEncryption"):
            settings["server_side_encryption"] = encryption
        if key := self.text("SSEKMSKeyId"):
            settings["sse_kms_key_id"] = key
        if "BucketKeyEnabled" in dict(self.given):
            settings["sse_bucket_key_enabled"] = bool(dict(self.given)["BucketKeyEnabled"])
        return settings


def parse(text: str | None) -> UploadArguments:
    """Return the arguments that `text`, a JSON object, gives.

    Raises:
        InvalidInput: It is no JSON object, or an argument in it cannot be honoured.
    """
    if not text:
        return UploadArguments()
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{VARIABLE} is not valid JSON: {error}. Correct it.") from None
    if not isinstance(given, dict):
        raise InvalidInput(f"{VARIABLE} must be a JSON object, such as {{'ACL': 'private'}}.")
    for name, value in given.items():
        _check(name, value)
    given |= {name: write(_time(name, given[name])) for name, write in _TIMES.items() if name in given}
    if "SSEKMSKeyId" in given and not str(given.get("ServerSideEncryption", "")).startswith("aws:kms"):
        raise InvalidInput(f"SSEKMSKeyId in {VARIABLE} needs ServerSideEncryption to be aws:kms.")
    if "SSECustomerKey" in given and "ServerSideEncryption" in given:
        raise InvalidInput(f"{VARIABLE} names both ServerSideEncryption and SSECustomerKey; an object has one key.")
    if _CUSTOMER_KEY & set(given) and "SSECustomerKey" not in given:
        raise InvalidInput(f"{VARIABLE} has a part of a customer key, but no SSECustomerKey.")
    return UploadArguments(tuple(sorted((name, _frozen(value)) for name, value in given.items())))


def _check(name: str, value: object) -> None:
    if name in _REFUSED:
        raise InvalidInput(f"{name} in {VARIABLE} cannot be honoured: {_REFUSED[name]}. Remove it.")
    if name not in _KNOWN:
        raise InvalidInput(f"{name} in {VARIABLE} is not known, so it cannot be honoured. Remove it.")
    wanted = {"BucketKeyEnabled": bool, "Metadata": dict}.get(name, str)
    if not isinstance(value, wanted):
        raise InvalidInput(f"{name} in {VARIABLE} must be a {wanted.__name__}.")
    if isinstance(value, dict) and not all(isinstance(item, str) for item in value.values()):
        raise InvalidInput(f"Metadata in {VARIABLE} must map names to texts.")
    if isinstance(value, dict) and not all(_sendable(text) for item in value.items() for text in item):
        raise InvalidInput(f"Metadata in {VARIABLE} must be printable ASCII: it is sent in headers.")
    if name == "StorageClass" and value in _ARCHIVES:
        raise InvalidInput(
            f"Objects of the storage class {value} ({VARIABLE}) cannot be read back at once. Use another."
        )
    if name == "ServerSideEncryption" and value not in _ENCRYPTIONS:
        raise InvalidInput(f"ServerSideEncryption in {VARIABLE} must be one of {', '.join(sorted(_ENCRYPTIONS))}.")
    if name == "SSECustomerAlgorithm" and value != "AES256":
        raise InvalidInput(f"SSECustomerAlgorithm in {VARIABLE} must be AES256.")
    if name == "RequestPayer" and value != "requester":
        raise InvalidInput(f"RequestPayer in {VARIABLE} must be requester.")
    if name == "SSECustomerKey" and isinstance(value, str):
        _customer_key(value)


def _sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _time(name: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        try:
            time = parsedate_to_datetime(text)
        except ValueError:
            raise InvalidInput(
                f"{name} in {VARIABLE} must be a time such as 2027-01-01T00:00:00Z, not {text!r}."
            ) from None
    # boto3 takes a time without a zone for UTC, too.
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)


def _customer_key(text: str) -> bytes:
    # boto3 takes the 32 characters of a raw key as well as its base64.
    raw = text.encode()
    if len(raw) != 32:
        try:
            raw = base64.b64decode(text, validate=True)
        except ValueError:
            raw = b""
    if len(raw) != 32:
        raise InvalidInput(f"SSECustomerKey in {VARIABLE} must be 32 bytes, plain or in base64.")
    return raw


def _frozen(value: Mapping[str, str] | str | bool) -> str | bool | tuple[tuple[str, str], ...]:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value
