"""What a request asks for: the operation, the bucket and the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import unquote

from mlflow_versioned_store.gateway.failures import S3Error, invalid

# Parts of S3 that have names of their own in the query, and that this endpoint does not have.
_SUBRESOURCES = frozenset(
    {
        "acl",
        "accelerate",
        "analytics",
        "attributes",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "logging",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "website",
    }
)


class Operation(Enum):
    """What this endpoint does."""

    LIST_BUCKETS = auto()
    HEAD_BUCKET = auto()
    GET_LOCATION = auto()
    GET_VERSIONING = auto()
    LIST_OBJECTS = auto()
    LIST_OBJECTS_V2 = auto()
    LIST_VERSIONS = auto()
    HEAD_OBJECT = auto()
    GET_OBJECT = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, taken apart.

    Args:
        operation: What to do.
        bucket: The bucket; "" for the list of all.
        key: The key; "" for the bucket itself.
        query: The query, decoded; of a repeated name the first.
    """

    operation: Operation
    bucket: str
    key: str
    query: dict[str, str]


def check_method(method: str) -> None:
    """Refuse what would change something.

    Raises:
        S3Error: It is not a method that only reads.
    """
    if method not in ("GET", "HEAD"):
        raise S3Error(405, "MethodNotAllowed", "This endpoint only reads.", {"Allow": "GET, HEAD"})


def parse(method: str, raw_path: str, host: str, pairs: Sequence[tuple[str, str]], domains: Sequence[str]) -> Asked:
    """Return what a request asks for.

    Args:
        method: "GET" or "HEAD".
        raw_path: The path as it came, percent-encoded.
        host: The Host header.
        pairs: The query, decoded.
        domains: Host names in front of which a bucket's name may stand.

    Raises:
        S3Error: It is nothing that this endpoint does.
    """
    query: dict[str, str] = {}
    for name, value in pairs:
        query.setdefault(name, value)
    path = raw_path.removeprefix("/")
    bucket = _virtual_host(host, domains)
    if not bucket:
        bucket, _, path = path.partition("/")
    try:
        bucket, key = unquote(bucket, errors="strict"), unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise S3Error(400, "InvalidURI", "The path is not valid UTF-8.") from None
    if not bucket and key:
        raise S3Error(400, "InvalidBucketName", "The bucket has no name.")
    return Asked(_operation(method, bucket, key, query), bucket, key, query)


def _virtual_host(host: str, domains: Sequence[str]) -> str:
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    for domain in domains:
        if name.lower().endswith(f".{domain.lower()}"):
            return name[: -len(domain) - 1]
    return ""


def _operation(method: str, bucket: str, key: str, query: dict[str, str]) -> Operation:
    unknown = _SUBRESOURCES.intersection(query)
    if unknown:
        raise S3Error(501, "NotImplemented", f"This endpoint has no {min(unknown)}: it lists and reads.")
    if key:
        return Operation.HEAD_OBJECT if method == "HEAD" else Operation.GET_OBJECT
    if not bucket:
        return Operation.LIST_BUCKETS
    if method == "HEAD":
        return Operation.HEAD_BUCKET
    if "location" in query:
        return Operation.GET_LOCATION
    if "versioning" in query:
        return Operation.GET_VERSIONING
    if "versions" in query:
        return Operation.LIST_VERSIONS
    match query.get("list-type"):
        case None | "1":
            return Operation.LIST_OBJECTS
        case "2":
            return Operation.LIST_OBJECTS_V2
    raise invalid("list-type is 2, or absent.")
