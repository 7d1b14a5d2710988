"""What the tests of the history are made of: a backend with a clock of its own, drafts, logs."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend, Buffer, Capabilities, Fetched, ObjectInfo, join
from mlflow_versioned_store.errors import Conflict, NotFound
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Draft, DraftEntry, Operation, identity

ROOT = "1/0123456789abcdef0123456789abcdef/artifacts"
FOLDER = keys.log(ROOT)


class DictBackend(Backend):
    """Objects in a dictionary, which a test may change behind everybody's back, and a clock that it may set.

    Args:
        ordered: Whether listings come sorted.
    """

    location = "memory://dict"

    def __init__(self, *, ordered: bool = True) -> None:
        self.capabilities = Capabilities(ordered_list=ordered, object_versions=False, durable=False, remote=False)
        self.objects: dict[str, bytes] = {}
        self.clock: datetime | None = None
        self.requests: list[str] = []
        self._written: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        del s3_version_id
        self.requests.append("get")
        return Fetched(self._object(key)[start:stop], self._info(key))

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        self.requests.append("put")
        with self._lock:
            if create and key in self.objects:
                raise Conflict(f"{key} is taken.", key=key)
            self.objects[key] = bytes(join(data))
            self._written[key] = self.now()
        return self._info(key)

    def head(self, key: str) -> ObjectInfo:
        self.requests.append("head")
        self._object(key)
        return self._info(key)

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        self.requests.append("list")
        found = [key for key in self.objects if key.startswith(f"{folder}/") and (after is None or key > after)]
        found = sorted(found) if self.capabilities.ordered_list else sorted(found, key=lambda key: key[::-1])
        return iter([self._info(key) for key in found[:limit]])

    def folders(self, folder: str) -> Sequence[str]:
        raise NotImplementedError

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def now(self, folder: str = "") -> datetime:
        del folder
        return self.clock or datetime.now(UTC)

    def close(self) -> None:
        self.objects.clear()

    def spent(self) -> dict[str, int]:
        """Return the requests since the last call, by verb."""
        spent = {verb: self.requests.count(verb) for verb in sorted(set(self.requests))}
        self.requests.clear()
        return spent

    def _object(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(f"There is no {key}.", key=key)
        return self.objects[key]

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self.objects[key]), self._written.get(key) or self.now())


def new_log(backend: Backend, digest: str = "blake3") -> Log:
    """Return the log of `ROOT` as a process sees it that knows nothing yet."""
    return Log(backend, FOLDER, root=ROOT, digest=digest)


def sha256(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def file(path: str, data: bytes = b"", at: Any = None) -> DraftEntry:
    """Return the entry of an upload of `data`."""
    return DraftEntry(path, size=len(data), sha256=sha256(data), at=[0, 0, len(data)] if at is None else at)


def draft(operation: Operation, *entries: DraftEntry, **fields: Any) -> Draft:
    """Return a draft with a new id."""
    fields.setdefault("who", {"user": identity("ada", "claimed")})
    return Draft(uuid.uuid4().hex, operation, entries, **fields)


def upload(log: Log, path: str, data: bytes) -> Appended:
    """Log `data` under `path`, its bytes inside the commit."""
    return log.append([draft("upload", file(path, data), frames=data)])[0]


def remove(log: Log, path: str) -> Appended:
    """Delete `path` and everything below it."""
    return log.append([draft("delete", DraftEntry(path, kind="folder"))])[0]


def commit_key(number: int) -> str:
    """Return the key of a commit of `ROOT`."""
    return keys.commit(FOLDER, number)
