"""What an object store saw: its own counters of requests and bytes, which cost the measured client nothing."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.s3 import S3Server

# MinIO asks for a token before it shows its counters, unless it is started with this.
MINIO_SHOWS_COUNTERS = {"MINIO_PROMETHEUS_AUTH_TYPE": "public"}
COUNTER = re.compile(
    r'^minio_api_requests_(total|traffic_received_bytes|traffic_sent_bytes)\{(?:name="(\w+)")?.*\} (\S+)$',
    re.MULTILINE,
)
READS = {"GetObject", "GetObjectAttributes", "HeadBucket", "HeadObject"}


@dataclass(frozen=True)
class Traffic:
    """Requests by the classes that providers charge for, and bytes.

    Attributes:
        writes: PUT, POST and LIST requests.
        reads: GET and HEAD requests.
        deletes: DELETE requests.
        received: bytes the server received.
        sent: bytes the server sent.
    """

    writes: int
    reads: int
    deletes: int
    received: int
    sent: int

    @property
    def requests(self) -> int:
        """All requests."""
        return self.writes + self.reads + self.deletes

    def __sub__(self, earlier: Traffic) -> Traffic:
        return Traffic(
            self.writes - earlier.writes,
            self.reads - earlier.reads,
            self.deletes - earlier.deletes,
            self.received - earlier.received,
            self.sent - earlier.sent,
        )


def traffic(server: S3Server) -> Traffic:
    """What a MinIO server has answered since it was started."""
    with urllib.request.urlopen(f"{server.endpoint}/minio/metrics/v3/api/requests", timeout=30) as reply:  # noqa: S310 its own loopback address
        text = reply.read().decode()
    writes = reads = deletes = received = sent = 0
    for kind, name, value in COUNTER.findall(text):
        count = int(float(value))
        if kind == "traffic_received_bytes":
            received += count
        elif kind == "traffic_sent_bytes":
            sent += count
        elif name in READS:
            reads += count
        elif name.startswith("Delete"):
            deletes += count
        else:
            writes += count
    return Traffic(writes, reads, deletes, received, sent)


def stored(server: S3Server, bucket: str) -> int:
    """Bytes of all objects of a bucket."""
    return sum(server.keys(bucket).values())


@contextmanager
def fresh_bucket(server: S3Server) -> Iterator[str]:
    """A new bucket, removed with all that is in it afterwards."""
    bucket = server.new_bucket()
    try:
        yield bucket
    finally:
        client = server.client()
        for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if objects := [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]:
                client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        client.delete_bucket(Bucket=bucket)
