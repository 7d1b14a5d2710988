"""What the servers of other providers than S3 have in common that keep object versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

SCHEMES = {"minio": "s3", "fake-gcs": "gs", "azure-double": "az"}


class VersionedServer(Protocol):
    """A server whose buckets may keep object versions.

    Attributes:
        name: Which one it is.
    """

    name: str

    def environment(self) -> dict[str, str]:
        """Return the variables that send clients there."""

    def new_bucket(self, *, versioned: bool = False) -> str:
        """Create an empty bucket and return its name."""

    def keep_versions(self, bucket: str, /, *, on: bool) -> None:
        """Switch versioning on or off."""

    def read(self, bucket: str, key: str, /) -> bytes | None:
        """Return what a plain reader of an object gets; None where there is nothing."""

    def keys(self, bucket: str, /) -> list[str]:
        """Return the names of all objects that plain readers see, sorted."""

    def versions(self, bucket: str, key: str, /) -> list[str]:
        """Return the ids of an object's versions, oldest first."""

    def overwrite(self, bucket: str, key: str, data: bytes, /) -> None:
        """Write as somebody does who knows nothing of stores."""

    def remove(self, bucket: str, keys: Iterable[str], /) -> None:
        """Delete as somebody does who knows nothing of stores."""
