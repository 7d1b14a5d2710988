"""Object stores and file systems through fsspec: the long tail, and Google Cloud Storage and Azure after a fork.

Only file systems are taken whose exclusive create is decided by the server in one step; there is a table of them
here, and no emulation for the others.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from mlflow_versioned_store.backends.contract import (
    Backend,
    Buffer,
    Capabilities,
    Fetched,
    ObjectInfo,
    check_folder,
    check_key,
    join,
)
from mlflow_versioned_store.backends.files import TEMPORARY_PREFIX
from mlflow_versioned_store.backends.object_versions import Described
from mlflow_versioned_store.backends.provider_errors import Answer, Request, error_for
from mlflow_versioned_store.errors import InvalidInput, NotFound, Unsupported, VersionedStoreError

Result = TypeVar("Result")

# "object": the file system takes mode="create" and sends one conditional request.
# "rename": a whole temporary file is renamed, which the server refuses where the name is taken.
_CREATES = {
    "abfs": "object",
    "abfss": "object",
    "az": "object",
    "gcs": "object",
    "gs": "object",
    "hdfs": "rename",
}


# What the libraries of Google and Azure raise where nobody can log in, or not any more.
_NO_LOGIN = {"ClientAuthenticationError", "CredentialUnavailableError", "RefreshError"}


class ReadsVersions(Protocol):
    """Reads objects in one of their versions."""

    def describe(self, key: str, s3_version_id: str, /) -> Described | None:
        """Return what a version of an object says of itself; None where there is none."""

    def read(self, key: str, s3_version_id: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of one version, which are some and inside it."""


class FsspecBackend(Backend):
    """A container that an fsspec file system reaches.

    A get costs two requests, and a listing fetches all names below the folder before it yields the first.

    Args:
        filesystem: The file system, caching nothing and repeating nothing.
        root: The container's path in it; "" is all of it.
        location: The container's name in messages.
        clock: Returns the server's time; None learns it from a file written for that.
        versions: Reads object versions; None where there are none.

    Raises:
        Unsupported: The file system has no atomic create.
    """

    def __init__(
        self,
        filesystem: Any,
        root: str,
        *,
        location: str,
        clock: Callable[[], datetime] | None = None,
        versions: ReadsVersions | None = None,
    ):
        protocols = filesystem.protocol if isinstance(filesystem.protocol, (tuple, list)) else (filesystem.protocol,)
        kinds = {_CREATES[protocol] for protocol in protocols if protocol in _CREATES}
        if not kinds:
            raise Unsupported(
                f"The fsspec file system {'/'.join(protocols)} has no create that the server decides in one step, "
                f"so it cannot hold a store. Those that can: {', '.join(sorted(_CREATES))}."
            )
        self.location = location
        self.capabilities = Capabilities(
            ordered_list=True, object_versions=versions is not None, durable=True, remote=True
        )
        self._versions = versions
        self._renames = kinds == {"rename"}
        self._filesystem = filesystem
        self._root = root
        self._clock = clock

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        info = self.head(key) if s3_version_id is None else self._head_version(key, s3_version_id)
        if start < 0 or (stop is not None and stop <= start) or (start and start >= info.size):
            raise InvalidInput(f"[{start}, {stop}) is no range of the {info.size} bytes of {key}.", key=key)
        stop = info.size if stop is None else min(stop, info.size)
        if stop == start:
            return Fetched(b"", info)
        request = Request("read", self.location, key)
        data: bytes
        if self._versions is None or s3_version_id is None:
            data = self._send(request, self._filesystem.cat_file, self._path(key), start, stop)
        else:
            data = self._versions.read(key, s3_version_id, start, stop)
        if len(data) != stop - start:
            # HDFS may tell the size of a file before its datanodes serve the last block.
            raise error_for(Answer(None, text=f"{len(data)} of {stop - start} bytes arrived"), request)
        return Fetched(data, info)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        path = self._path(check_key(key))
        body = bytes(join(data)) if data else b""
        request = Request("create" if create else "write", self.location, key)
        if not self._renames:
            mode = "create" if create else "overwrite"
            self._send(request, self._filesystem.pipe_file, path, body, mode=mode)
            return ObjectInfo(key, len(body), datetime.now(UTC))
        temporary = f"{path.rpartition('/')[0]}/{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        # Nothing has happened yet when this fails, so it is not the create that is uncertain.
        self._send(Request("write", self.location, key), self._write, temporary, body)
        try:
            self._send(request, self._filesystem.mv, temporary, path, overwrite=not create)
        except VersionedStoreError:
            self._remove(temporary, key)
            raise
        return ObjectInfo(key, len(body), datetime.now(UTC))

    def head(self, key: str) -> ObjectInfo:
        request = Request("look up", self.location, key)
        self._filesystem.invalidate_cache()
        found = self._send(request, self._filesystem.info, self._path(check_key(key)))
        if found["type"] != "file":
            raise NotFound(f"There is no object {request.target}.", key=key)
        return _info(key, found)

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        request = Request("list", self.location, check_folder(folder))
        self._filesystem.invalidate_cache()
        found = self._send(request, self._filesystem.find, self._path(folder), detail=True)
        if not found:
            self._check_container(request)
        cut = len(self._path("")) + 1 if self._root else 1
        listed = sorted(((path if self._root else "/" + path.lstrip("/"))[cut:], item) for path, item in found.items())
        keys = [
            (key, item)
            for key, item in listed
            if (after is None or key > after)
            and key != folder
            and not key.rpartition("/")[2].startswith(TEMPORARY_PREFIX)
        ]
        for key, item in keys[:limit]:
            yield _info(key, item)

    def folders(self, folder: str) -> Sequence[str]:
        request = Request("list", self.location, check_folder(folder))
        self._filesystem.invalidate_cache()
        try:
            found = self._send(
                Request("look up", self.location, folder or "/"), self._filesystem.ls, self._path(folder), detail=True
            )
        except NotFound:
            self._check_container(request)
            return []
        names = {item["name"].rstrip("/").rpartition("/")[2] for item in found if item["type"] == "directory"}
        return sorted(f"{folder}/{name}" if folder else name for name in names)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._remove(self._path(check_key(key)), key)

    def now(self, folder: str = "") -> datetime:
        if self._clock is not None:
            return self._clock()
        key = f"{folder}/{TEMPORARY_PREFIX}{secrets.token_hex(8)}".lstrip("/")
        self._send(Request("write", self.location, key), self._write, self._path(key), b"")
        try:
            return self.head(key).modified
        finally:
            self._remove(self._path(key), key)

    def close(self) -> None:
        self._filesystem.invalidate_cache()

    def _head_version(self, key: str, s3_version_id: str) -> ObjectInfo:
        if self._versions is None:
            raise InvalidInput(f"{self.location} keeps no object versions, so {key} has none to read.", key=key)
        found = self._versions.describe(key, s3_version_id)
        if found is None:
            raise error_for(Answer(404), Request("read", self.location, key))
        return ObjectInfo(key, found.size, found.modified, found.e_tag.strip('"'), found.s3_version_id)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}".rstrip("/") or "/"

    def _write(self, path: str, body: bytes) -> None:
        with self._filesystem.open(path, "wb") as file:
            file.write(body)

    def _remove(self, path: str, key: str) -> None:
        try:
            self._send(Request("delete", self.location, key), self._filesystem.rm_file, path)
        except NotFound:
            return

    def _check_container(self, request: Request) -> None:
        """Tell an empty container from one that is not there; some file systems list both as nothing."""
        self._send(request, self._filesystem.info, self._path(""))

    def _send(self, request: Request, send: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        try:
            return send(*arguments, **options)
        except Exception as error:
            raise error_for(answer_of(error), request) from error


def answer_of(error: Exception) -> Answer:
    """Return what a file system's exception says the server answered.

    Raises:
        Exception: `error` itself, where it is no server's or network's doing.
    """
    # gcsfs has `code`, the Azure SDK `status_code` and `error_code`.
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    if isinstance(status, (int, str)) and str(status).isdigit():
        return Answer(int(status), str(getattr(error, "error_code", "") or ""), str(error))
    if type(error).__name__ in _NO_LOGIN:
        return Answer(401, text=str(error))
    for kind, meaning in ((FileNotFoundError, 404), (FileExistsError, 412), (PermissionError, 403)):
        if isinstance(error, kind):
            return Answer(meaning)
    if isinstance(error, OSError) and str(error).startswith("Forbidden"):
        return Answer(403, text=str(error))
    module = type(error).__module__.partition(".")[0]
    if isinstance(error, (OSError, TimeoutError)) or module in ("aiohttp", "azure", "gcsfs", "google", "hdfs_native"):
        sent = type(error).__name__ not in ("ClientConnectorError", "ClientConnectorDNSError", "ServiceRequestError")
        return Answer(None, text=f"{type(error).__name__}: {error}", sent=sent)
    raise error


def _info(key: str, found: dict[str, Any]) -> ObjectInfo:
    version = found.get("generation") or found.get("version_id")
    return ObjectInfo(key, int(found["size"]), _modified(found), found.get("etag"), version)


def _modified(found: dict[str, Any]) -> datetime:
    value: Any = next(
        found[name] for name in ("mtime", "last_modified", "updated", "modification_time") if found.get(name)
    )
    if isinstance(value, (int, float)):
        # HDFS counts milliseconds.
        return datetime.fromtimestamp(value / 1000, UTC)
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return time.astimezone(UTC)
