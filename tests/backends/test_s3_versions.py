"""What only a scripted server does to objects that are written in exactly one version."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.object_versions import Labels
from mlflow_versioned_store.backends.s3_versions import S3Versions
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import InvalidInput
from tests.backends.scripted import Received, Reply, Scripted, s3_error

PART_BYTES = 5 << 20
REFUSED = s3_error(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")


class Parts:
    """The parts of an upload that a server took; `refuses` says to which requests it answers that it will not."""

    def __init__(self, refuses: Callable[[Received], bool]):
        self.refuses = refuses
        self.taken: dict[int, bytes] = {}
        self.checksums: set[str] = set()

    def __call__(self, request: Received) -> Reply:
        """Answer a request."""
        if self.refuses(request):
            return REFUSED
        if "?uploads" in request.path:
            self.taken.clear()
            return Reply(body=b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        if request.method == "PUT":
            found = re.search(r"partNumber=(\d+)", request.path)
            assert found is not None
            self.taken[int(found[1])] = request.body
            self.checksums |= {name for name in request.headers if name.startswith("x-amz-checksum-")}
            return Reply(headers={"ETag": f'"{found[1]}"'})
        if request.method == "DELETE":
            return Reply(204)
        done = b"<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"
        return Reply(body=done, headers={"x-amz-version-id": "v7"})

    @property
    def written(self) -> bytes:
        """The object."""
        return b"".join(self.taken[number] for number in sorted(self.taken))


@pytest.fixture
def versions(scripted: Scripted) -> S3Versions:
    """The object versions of a bucket at the scripted server."""
    return S3Versions("bucket", "lake", s3_config.resolve())


def blocks(count: int) -> Iterator[bytes]:
    """Yield parts that differ, once."""
    return (bytes([number]) * PART_BYTES for number in range(count))


def put(versions: S3Versions, count: int) -> str:
    """Write an object of parts."""
    return versions.put_parts("key", blocks(count), Labels(), sending, part_bytes=PART_BYTES, ahead=2)


def begins_with_crc64nvme(request: Received) -> bool:
    """Tell whether an upload asks for CRC64NVME."""
    return request.headers.get("x-amz-checksum-algorithm") == "CRC64NVME"


def sends_crc64nvme(request: Received) -> bool:
    """Tell whether a part carries it."""
    return "x-amz-checksum-crc64nvme" in request.headers


@pytest.mark.parametrize("refuses", [begins_with_crc64nvme, sends_crc64nvme])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_server_without_crc64nvme_gets_sha256(
    scripted: Scripted, versions: S3Versions, refuses: Callable[[Received], bool], count: int
) -> None:
    """Refused once, every part from the first on is sent with SHA-256, and so is every later object."""
    scripted.answer = server = Parts(refuses)
    assert put(versions, count) == "v7"
    assert server.written == b"".join(blocks(count))
    before = sum(map(refuses, scripted.received))
    assert before > 0
    assert put(versions, count) == "v7"
    assert server.written == b"".join(blocks(count))
    assert server.checksums == {"x-amz-checksum-sha256"}
    assert sum(map(refuses, scripted.received)) == before


def test_other_refusals_are_errors(scripted: Scripted, versions: S3Versions) -> None:
    """Who refuses for another reason, or parts that go with SHA-256 too, is told as an error."""
    scripted.answer = Parts(lambda request: "?uploads" in request.path)
    with pytest.raises(InvalidInput, match="unsupported"):
        put(versions, 2)


def test_a_server_that_knows_crc64nvme_gets_it(scripted: Scripted, versions: S3Versions) -> None:
    """Every part has the checksum that costs least."""
    scripted.answer = server = Parts(lambda _: False)
    assert put(versions, 9) == "v7"
    assert server.written == b"".join(blocks(9))
    assert server.checksums == {"x-amz-checksum-crc64nvme"}
