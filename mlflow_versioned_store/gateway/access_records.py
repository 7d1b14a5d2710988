"""One line for each read through the gateway: who read which version, when, and how much of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec


class AccessRecord(msgspec.Struct, omit_defaults=True):
    """One read.

    Args:
        time: When it ended, ISO 8601 UTC.
        operation: "GetObject" or "HeadObject".
        access_key: Who asked.
        address: The client's network address.
        bucket: The bucket.
        key: The key as asked for.
        root: The artifact root.
        path: The path inside it.
        version: Its version.
        sha256: The content's digest.
        status: The HTTP status.
        start: The first byte asked for.
        bytes: How many were sent.
        complete: Whether all that was asked for was sent.
        agent: What the client calls itself.
        request_id: The answer's request id.
    """

    time: str
    operation: str
    access_key: str
    address: str
    bucket: str
    key: str
    root: str
    path: str
    version: int
    sha256: str
    status: int
    start: int
    bytes: int
    complete: bool
    agent: str
    request_id: str


@dataclass(frozen=True, slots=True)
class AccessRecords:
    """Writes records as JSON lines.

    Args:
        stream: Where to; each line is written and flushed at once.
    """

    stream: BinaryIO

    def write(self, record: AccessRecord) -> None:
        """Write a record."""
        line = msgspec.json.encode(record) + b"\n"
        with _lock:
            self.stream.write(line)
            self.stream.flush()


_lock = threading.Lock()


def now() -> str:
    """Return the time as records have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
