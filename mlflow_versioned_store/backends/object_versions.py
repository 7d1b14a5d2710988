"""Object versions: what a bucket that keeps them can do with an object in exactly one of its versions.

Each provider names its versions in its own way, and here every name is an `s3_version_id`: the version id of S3 and of
Azure, the generation of Google Cloud Storage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple, Protocol

_log = logging.getLogger("mlflow_versioned_store")

_KNOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Labels:
    """What goes with an object.

    Args:
        content_type: Its media type.
        content_disposition: What a browser shall do with it.
        metadata: Its user metadata, ASCII only.
    """

    content_type: str = "application/octet-stream"
    content_disposition: str = "attachment"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object, as a listing tells it; a delete marker has no bytes.

    Args:
        key: The key, inside the store.
        s3_version_id: The version; "" where it has none.
        size: Bytes.
        modified: When it was written, by the store's clock.
        current: Whether it is what a reader of the key gets.
        deleted: Whether it is a delete marker.
        e_tag: What is equal for equal bytes only: the entity tag on S3, an MD5 elsewhere; None where nothing is known.
    """

    key: str
    s3_version_id: str
    size: int
    modified: datetime
    current: bool
    deleted: bool
    e_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """What a bucket says of one version of an object.

    Args:
        s3_version_id: Its id; "null" or "" where it has none of its own.
        modified: When it was written.
        labels: What goes with it.
        size: Its bytes.
        e_tag: Its entity tag.
    """

    s3_version_id: str
    modified: datetime
    labels: Labels
    size: int
    e_tag: str

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its user metadata."""
        return self.labels.metadata


class Sender(Protocol):
    """Something that runs work in other threads."""

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Run `work`."""


class ObjectVersions(Protocol):
    """A store in a bucket that can keep object versions.

    Attributes:
        uncovers: Whether the version below becomes the current one where that is deleted for good. Elsewhere a key has
            no current version then, until an older one is copied to the top.
        dates_deletions: Whether a delete marker tells when it was made.
        at_once: How many versions one call of `delete` should be given, of many.
    """

    uncovers: bool
    dates_deletions: bool
    at_once: int

    def are_usable(self) -> bool:
        """Tell whether plain objects are to be versions here; where not, each version has a key of its own.

        At most one request a minute.
        """

    def check_kept(self) -> None:
        """Check that the bucket keeps versions, before something is written that relies on it. At most one request.

        Where that may not be asked, the answer to each write tells.

        Raises:
            Unsupported: Versioning is off or suspended.
        """

    def keep_versions(self) -> str:
        """Switch versioning on, where it is not and may be; return what is to be done by hand, "" for nothing.

        That it was switched on is a warning in the log.

        Raises:
            Unsupported: It is off, and this kind of bucket has to have it.
        """

    def put(self, key: str, data: bytes, labels: Labels) -> str:
        """Write an object with one request and return its version.

        Raises:
            Unsupported: The bucket keeps no versions.
        """

    def put_parts(
        self, key: str, parts: Iterable[bytes], labels: Labels, sender: Sender, *, part_bytes: int, ahead: int
    ) -> str:
        """Write an object in parts and return its version; what fails leaves nothing behind that can be read.

        Args:
            key: The key.
            parts: Its bytes.
            labels: What goes with it.
            sender: Sends parts, where that is done several at once.
            part_bytes: The bytes of each part but the last, at least 5 MiB.
            ahead: How many parts are on their way at once.

        Raises:
            Unsupported: The bucket keeps no versions.
        """

    def copy(self, source: str, s3_version_id: str, key: str, size: int, labels: Labels, sender: Sender) -> str:
        """Have the server copy one version of an object and return the version that it made; no bytes move here.

        Args:
            source: The key of the object.
            s3_version_id: The version of it.
            key: Where to.
            size: Its bytes.
            labels: What goes with the copy.
            sender: Sends requests where it is copied in parts.

        Raises:
            NotFound: There is no such version.
            Unsupported: The bucket keeps no versions.
        """

    def tag(self, key: str, s3_version_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of one version of an object. One request."""

    def describe(self, key: str, s3_version_id: str | None = None) -> Described | None:
        """Return what a version of an object says of itself, by default the current one; None where there is none."""

    def list(self, folder: str, *, exactly: bool = False) -> Iterator[ObjectVersion]:
        """Yield the versions of all objects below a folder ("" for all), sorted by key, and of each key newest first.

        Delete markers of a key may come out of turn. One request for 1,000 or more.

        Args:
            folder: The folder.
            exactly: It is the key of one object.
        """

    def delete(self, versions: Sequence[tuple[str, str | None]]) -> None:
        """Delete versions of objects for good, or where none is named leave a key without a current one.

        What is gone already is no error. One request a thousand, or one each.

        Raises:
            VersionedStoreError: At least one was not deleted.
        """


class Listed(NamedTuple):
    """A version where the provider has no delete markers.

    Args:
        version: The version.
        order: Is greater the later it was written.
        ended: When it was deleted or replaced; None where that is not known.
    """

    version: ObjectVersion
    order: Any
    ended: datetime | None = None


def with_markers(listed: Iterable[Listed]) -> Iterator[ObjectVersion]:
    """Yield versions that are sorted by key, of each key newest first, below a delete marker where none is current."""
    for key, found in groupby(listed, key=lambda one: one.version.key):
        newest_first = sorted(found, key=lambda one: one.order, reverse=True)
        if not any(one.version.current for one in newest_first):
            newest = newest_first[0]
            yield ObjectVersion(key, "", 0, newest.ended or newest.version.modified, current=True, deleted=True)
        yield from (one.version for one in newest_first)


def say_that_versions_are_kept(location: str) -> None:
    """Log that versioning of a bucket was switched on, which concerns all who write there."""
    _log.warning(
        "Object versioning of %s was switched on, for the whole bucket: what anybody replaces or deletes there is kept,"
        " and costs storage.",
        location,
    )


class Remembered:
    """An answer that is asked for anew when it is a minute old.

    Args:
        ask: Finds it.
    """

    def __init__(self, ask: Callable[[], bool]):
        self._ask = ask
        self._answer = False
        self._until = 0.0

    def __call__(self) -> bool:
        """Return the answer."""
        if time.monotonic() >= self._until:
            self._answer = self._ask()
            self._until = time.monotonic() + _KNOWN_SECONDS
        return self._answer

    def forget(self) -> None:
        """Ask again the next time."""
        self._until = 0.0
