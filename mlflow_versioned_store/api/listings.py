"""Entries of listings, and the times at which one lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.versions import Version


class Entry(NamedTuple):
    """A file or folder in a listing.

    Args:
        name: Its last component; in a recursive listing its path below the listed folder.
        path: Its path inside the artifact root.
        is_folder: Whether it is a folder.
        size: Bytes of a file; None for a folder.
        version: The version of a file; None for a folder.
    """

    name: str
    path: str
    is_folder: bool
    size: int | None
    version: Version | None


def entry(name: str, path: str, version: Version | None) -> Entry:
    """Return a file as an entry, or a folder where there is no version, or one that was logged empty."""
    if version is None or version.kind == "folder":
        return Entry(name, path, is_folder=True, size=None, version=None)
    return Entry(name, path, is_folder=False, size=version.size, version=version)


def spec(at: str | int | datetime) -> str:
    """Return how an address says when."""
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise InvalidInput(f"The time {at} has no time zone; say datetime(…, tzinfo=UTC).")
        return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"c{at}" if isinstance(at, int) else at
