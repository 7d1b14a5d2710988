"""The marker of a store: what can never change about it. Pure encoding, no I/O."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.content.chunking import Chunking
from mlflow_versioned_store.digests import hasher_named
from mlflow_versioned_store.errors import Damaged, Unsupported

FORMAT = 1
MARKER_BYTES_MAX = 64 << 10
_CHECK = "check"
# Features that a store may ask of a release; this one knows none beyond its format.
KNOWN_FEATURES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Marker:
    """What the marker object says.

    Args:
        id: 32 hex digits, made once.
        location: Where the store was created, such as "s3://bucket/prefix".
        created: When, ISO 8601 UTC, by the creator's clock.
        digest: The algorithm that names chunks, packs and records.
        chunking: How files are cut.
        format: The format that writers write; only an operator's upgrade raises it.
        needs_to_read: Features without which the store cannot be read rightly.
        needs_to_write: Features without which it must not be written.
    """

    id: str
    location: str
    created: str
    digest: str = "blake3"
    chunking: Chunking = field(default_factory=Chunking)
    format: int = FORMAT
    needs_to_read: tuple[str, ...] = ()
    needs_to_write: tuple[str, ...] = ()


def new_marker(location: str, digest: str) -> Marker:
    """Return the marker of a store that is created now.

    Raises:
        Unsupported: The digest algorithm is not known.
    """
    hasher_named(digest)
    return Marker(uuid.uuid4().hex, location, datetime.now(UTC).isoformat(timespec="seconds"), digest)


def encode(marker: Marker) -> bytes:
    """Return the marker as JSON that people can read."""
    fields = asdict(marker)
    return msgspec.json.format(msgspec.json.encode(fields | {_CHECK: _check(fields)}), indent=2) + b"\n"


def decode(data: Buffer, where: str) -> Marker:
    """Return the marker in `data`; fields that this release does not know are ignored.

    Args:
        data: The object's bytes.
        where: The store's location, for messages.

    Raises:
        Damaged: It is no marker.
        Unsupported: It needs a newer release.
    """
    try:
        fields: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
        asked = fields.get("format")
        if isinstance(asked, int) and asked > FORMAT:
            raise _too_new(where, f"format {asked}")
        # The first release wrote none.
        check = fields.pop(_CHECK, None)
        if check is not None and check != _check(fields):
            raise Damaged(f"The marker of the store {where} is not what was written. Restore it from a backup.")
        marker: Marker = msgspec.convert(fields, Marker)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"The marker of the store {where} cannot be read: {error}. Restore it from a backup.") from error
    if marker.format != FORMAT or len(marker.id) != 32:
        raise Damaged(f"The marker of the store {where} is not one that any release wrote.")
    check_features(marker.needs_to_read, where, "read")
    try:
        hasher_named(marker.digest)
        marker.chunking.cutter()
    except Unsupported as error:
        raise Unsupported(f"The store {where} cannot be used by this release. {error}") from error
    return marker


def _check(fields: dict[str, Any]) -> str:
    """Return the digest of all other fields, whatever their order and spacing."""
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()


def check_features(needed: tuple[str, ...], where: str, use: str) -> None:
    """Check that this release knows the features that a store needs to be read or written (`use`).

    Raises:
        Unsupported: It does not; the message names what is missing.
    """
    if missing := sorted(set(needed) - KNOWN_FEATURES):
        raise _too_new(where, f"{', '.join(missing)} to {use} it")


def _too_new(where: str, what: str) -> Unsupported:
    return Unsupported(
        f"The store {where} needs {what}, which this release of mlflow-versioned-store lacks. Install a newer release."
    )
