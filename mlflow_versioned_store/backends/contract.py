"""The contract every backend keeps: eight dumb calls on immutable objects.

A backend is rooted at a container (a bucket, a directory) and knows nothing of stores. Keys are "/"-separated,
without leading, trailing or doubled slashes. Writes are whole objects and become visible whole or not at all, and
only when they are durable. Reads and listings see every write that finished before they began.

Calls are safe from many threads. A backend itself sends each request once: repeating is the business of
`backends.retry`, which never repeats a create. Errors are those of `mlflow_versioned_store.errors`:
`NotFound`, `Conflict`, `AccessDenied`, `CredentialsMissing`, `Throttled`, `Unavailable`, `OutcomeUnknown`,
`Archived`, `InvalidInput`, `LocalStorageFailed` (local files only), `Unsupported`, and nothing else for anything
that a store or network can do.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from mlflow_versioned_store.errors import Conflict, InvalidInput

Buffer: TypeAlias = bytes | bytearray | memoryview

KEY_BYTES_MAX = 1024
COMPONENT_BYTES_MAX = 255


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of one object.

    Args:
        key: The key, relative to the backend's root.
        size: Bytes.
        modified: When the object was written, by the store's clock, UTC. From `put` it is this machine's clock where
            the provider's answer does not tell: compare ages only with what `head`, `get` or `list` return.
        e_tag: The provider's entity tag, where it has one.
        s3_version_id: The provider's version of the object, where its bucket keeps versions.
    """

    key: str
    size: int
    modified: datetime
    e_tag: str | None = None
    s3_version_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """Bytes of an object and what the store said of the object with them.

    Args:
        data: The bytes asked for: any object with the buffer protocol, read-only.
        info: The whole object's size and times.
    """

    data: Buffer
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, as data.

    Args:
        ordered_list: A listing comes sorted by key.
        object_versions: Writes may return an `s3_version_id`.
        durable: A finished write survives a crash of the store.
        remote: Requests cross a network: latency and request prices matter.
    """

    ordered_list: bool
    object_versions: bool
    durable: bool
    remote: bool


class Backend(abc.ABC):
    """One container of immutable objects.

    Attributes:
        location: How messages name the container, such as "s3://bucket"; never with secrets.
        capabilities: What this backend can do.
    """

    location: str
    capabilities: Capabilities

    @abc.abstractmethod
    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        """Return the bytes [start, stop) of an object; `stop` None or beyond the end reads to the end. One request.

        With `s3_version_id` (only where `capabilities.object_versions`) that object version is read.

        Raises:
            NotFound: There is no such object, or no such version of it.
            InvalidInput: `start` lies at or beyond the end of a non-empty object.
        """

    @abc.abstractmethod
    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        """Write an object whole: one buffer, or several in a row. One request (large plain puts may use several).

        With `create` the write succeeds only where the key is free, decided by the store in one step. It is never
        emulated by looking first, and never sent twice.

        Raises:
            Conflict: `create`, and the key is taken.
            OutcomeUnknown: `create`, and no certain answer came (timeout, reset, 409, 5xx).
            Unavailable: Any other of its kinds: with `create`, certainly nothing was written.
        """

    def put_named(self, key: str, data: Buffer | Sequence[Buffer]) -> ObjectInfo:
        """Write an object whose key only this content ever has. One request, and one more where it is there already.

        It is a create, so a role that may not overwrite can do it; unlike other creates it may be sent again.

        Raises:
            Unavailable: It may have been written.
        """
        try:
            return self.put(key, data, create=True)
        except Conflict:
            return self.head(key)

    @abc.abstractmethod
    def head(self, key: str) -> ObjectInfo:
        """Return what the store knows of an object. One request.

        Raises:
            NotFound: There is no such object.
        """

    @abc.abstractmethod
    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        """Yield all objects below `folder` ("" for all), however deep; one request a thousand.

        Sorted by key where `capabilities.ordered_list`. `after` leaves out keys up to and including that key;
        `limit` stops early and asks for no more pages than needed. A folder that does not exist is empty.
        """

    @abc.abstractmethod
    def folders(self, folder: str) -> Sequence[str]:
        """Return the keys of the folders directly inside `folder`, sorted. One request a thousand.

        A folder whose objects were all deleted may still be named.
        """

    @abc.abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; one that is already gone is no error. One request a thousand where the provider can.

        Raises:
            VersionedStoreError: At least one object was not deleted; the message names the first.
        """

    @abc.abstractmethod
    def now(self, folder: str = "") -> datetime:
        """Return the store's own time, UTC, to compare with `ObjectInfo.modified`. At most three requests.

        Args:
            folder: Where a backend that must write something to learn the time may write it.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release connections. Calls after it fail."""


def join(data: Buffer | Sequence[Buffer]) -> Buffer:
    """Return `data` as one buffer, copied only where it is in pieces."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return data
    return data[0] if len(data) == 1 else b"".join(data)


def size_of(data: Buffer | Sequence[Buffer]) -> int:
    """Return the bytes in `data`."""
    pieces = (data,) if isinstance(data, (bytes, bytearray, memoryview)) else data
    return sum(piece.nbytes if isinstance(piece, memoryview) else len(piece) for piece in pieces)


def check_key(key: str) -> str:
    """Return `key` where every backend can hold it.

    Raises:
        InvalidInput: It is empty, too long, or has an empty, relative or unprintable component.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{key!r} is no valid text, so it cannot name an object.") from None
    if not 0 < size <= KEY_BYTES_MAX:
        raise InvalidInput(f"The key {key[:80]!r} has {size} bytes; 1 to {KEY_BYTES_MAX} are possible.", key=key)
    if any(ord(character) < 32 or character == "\x7f" for character in key):
        raise InvalidInput(f"The key {key!r} contains a control character.", key=key)
    for component in key.split("/"):
        if component in ("", ".", ".."):
            raise InvalidInput(f"The key {key!r} contains an empty or relative component.", key=key)
        if len(component.encode()) > COMPONENT_BYTES_MAX:
            raise InvalidInput(f"A component of the key {key!r} is over {COMPONENT_BYTES_MAX} bytes.", key=key)
    return key


def check_folder(folder: str) -> str:
    """Return `folder`, checked like a key; "" is the root.

    Raises:
        InvalidInput: As `check_key`.
    """
    return folder and check_key(folder)
