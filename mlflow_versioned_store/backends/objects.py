"""Object stores through obstore: S3, MinIO, Google Cloud Storage, Azure Blob and memory."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_versioned_store.backends.contract import (
    Backend,
    Buffer,
    Capabilities,
    Fetched,
    ObjectInfo,
    check_folder,
    check_key,
    size_of,
)
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.provider_errors import Answer, Request, error_for
from mlflow_versioned_store.errors import AccessDenied, InvalidInput, NotFound

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")

SINGLE_PUT_BYTES_MAX = 64 << 20
QUICK_PUT_BYTES_MAX = 256 << 10
_PART_BYTES = 16 << 20
_PAGE = 1000

_STATUS = re.compile(r"status code: (\d{3})[^:\n]*: ?(.*?)(?=\n\nDebug source:|\Z)", re.DOTALL)
_CODE = re.compile(r"<Code>([^<]*)</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*?)(?:\s+RequestId:.*?)?</Message>", re.DOTALL)
_REQUEST_ID = re.compile(r"RequestId[>:]([^<\s]+)")
_JSON_MESSAGE = re.compile(r'"message": *"([^"]*)"')
_DELETE_FAILED = re.compile(r"DeleteObjects request failed for key (.*): (.*) \(code: (\w+)\)")
_PROVIDER_FAILED = re.compile(r"credential provider: \w+: (.*)")
_NOT_SENT = ("kind: Connect",)
_CAUSES = {
    "ConnectionRefused": "connection refused",
    "dns error": "its name cannot be resolved",
    "UnknownIssuer": "its TLS certificate is signed by an unknown authority; name a bundle in AWS_CA_BUNDLE",
    "invalid peer certificate": "its TLS certificate is not valid",
    "unsuccessful tunnel": "the proxy refused the connection",
    "kind: Timeout": "timed out",
    "TimedOut": "timed out",
    "ConnectionReset": "connection reset",
    "IncompleteMessage": "connection closed",
}


@dataclass(frozen=True)
class Stores:
    """The obstore handles of one container; they differ in time limits and in what they send along.

    Args:
        read: For everything but writing.
        write: For small objects.
        open_bulk: Opens the one for objects over 256 KiB, whose transfer may take minutes. Opening takes a while, and
            who only reads needs none.
        attributes: Stored with every object written.
        tags: Stored with every object written.
    """

    read: ObjectStore
    write: ObjectStore
    open_bulk: Callable[[], ObjectStore]
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def write_bulk(self) -> ObjectStore:
        """For objects over 256 KiB."""
        return self.open_bulk()


class ObstoreBackend(Backend):
    """A container that obstore reaches.

    Args:
        stores: Its handles, with obstore's own retries turned off.
        location: Its name in messages.
        capabilities: What it can do.
        clock: Returns the provider's time.
        bulk_delete: The provider deletes many keys with one request, and one that is absent is no error to it.
        multipart: Objects over 64 MiB go in parts; otherwise every object is one request.
        adapt: Given a refusal and the handles, returns other handles with which the same request is worth sending
            once more, or None. Only for refusals after which certainly nothing was written.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        location: str,
        capabilities: Capabilities,
        clock: Callable[[], datetime],
        bulk_delete: bool = False,
        multipart: bool = True,
        adapt: Callable[[Answer, Stores], Stores | None] | None = None,
    ):
        self.location = location
        self.capabilities = capabilities
        self._stores = stores
        self._clock = clock
        self._bulk_delete = bulk_delete
        self._multipart = multipart
        self._adapt = adapt
        self._container_seen = not capabilities.remote
        self._adapting = fork_safe_lock()

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        import obstore

        check_key(key)
        if start < 0 or (stop is not None and stop <= start):
            raise InvalidInput(f"[{start}, {stop}) is no range to read of {self.location}/{key}.", key=key)
        options: dict[str, Any] = {}
        if start or stop is not None:
            options["range"] = {"offset": start} if stop is None else (start, stop)
        if s3_version_id is not None:
            if not self.capabilities.object_versions:
                raise InvalidInput(f"{self.location} keeps no object versions, so {key} has none to read.", key=key)
            options["version"] = s3_version_id

        def send(stores: Stores) -> Fetched:
            result = obstore.get(stores.read, key, options=options or None)  # type: ignore[arg-type]
            info = _info(result.meta, key)
            return Fetched(memoryview(result.bytes()), info)

        try:
            return self._send(Request("read", self.location, key), send)
        except InvalidInput:
            # Providers cannot serve a range of an object of no bytes; it has an answer all the same.
            if start or stop is None:
                raise
            info = self._look_up(key)
            if info.size:
                raise
            return Fetched(b"", info)

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        import obstore

        check_key(key)
        size = size_of(data)
        multipart = self._multipart and not create and size > SINGLE_PUT_BYTES_MAX

        def send(stores: Stores) -> ObjectInfo:
            written = obstore.put(
                stores.write if size <= QUICK_PUT_BYTES_MAX else stores.write_bulk,
                key,
                _body(data),
                mode="create" if create else "overwrite",
                use_multipart=multipart,
                chunk_size=_PART_BYTES,
                attributes=dict(stores.attributes) or None,
                tags=dict(stores.tags) or None,
            )
            return ObjectInfo(key, size, datetime.now(UTC), _e_tag(written), written["version"])

        return self._send(Request("create" if create else "write", self.location, key), send)

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        try:
            return self._look_up(key)
        except (AccessDenied, InvalidInput, NotFound) as error:
            if isinstance(error, NotFound) and self._container_seen:
                raise
        # A refusal of HEAD has no body, so nobody knows yet whether it is the object or the container that is
        # missing, or what is wrong with the credentials. GET says it.
        return self.get(key, start=0, stop=1).info

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        import obstore

        check_folder(folder)
        page = _PAGE if limit is None else max(1, min(limit, _PAGE))
        request = Request("list", self.location, folder)
        last, left = after, limit
        source: Stores | None = None
        stream: Iterator[Sequence[Any]] = iter(())

        def send(stores: Stores) -> Sequence[Any] | None:
            nonlocal source, stream
            if source is not stores:
                # Also after a refusal that was adapted to: a stream that failed would only end.
                stream = iter(obstore.list(stores.read, folder or None, offset=last, chunk_size=page))
                source = stores
            return next(stream, None)

        while left is None or left > 0:
            # Where there is no order, a listing that has begun cannot go on with other handles.
            found = self._send(request, send, adapted=last != after and not self.capabilities.ordered_list)
            if not found:
                return
            # Not every server begins a listing where it is asked to.
            wanted = [meta for meta in found if after is None or meta["path"] > after][:left]
            for meta in wanted:
                yield _info(meta, meta["path"])
            last, left = found[-1]["path"], None if left is None else left - len(wanted)

    def folders(self, folder: str) -> Sequence[str]:
        import obstore

        check_folder(folder)
        listed = self._send(
            Request("list", self.location, folder),
            lambda stores: obstore.list_with_delimiter(stores.read, folder or None),
        )
        return sorted(prefix.rstrip("/") for prefix in listed["common_prefixes"])

    def delete(self, keys: Sequence[str]) -> None:
        import obstore

        for key in keys:
            check_key(key)
        batches = [list(keys[at : at + _PAGE]) for at in range(0, len(keys), _PAGE)] if self._bulk_delete else keys
        for batch in batches:
            request = Request("delete", self.location, batch if isinstance(batch, str) else batch[0])
            try:
                self._send(request, lambda stores, batch=batch: obstore.delete(stores.read, batch))  # type: ignore[misc]
            except NotFound:
                if self._bulk_delete:
                    raise

    def now(self, folder: str = "") -> datetime:  # noqa: ARG002 - the server tells it without a write
        return self._clock()

    def close(self) -> None:
        del self._stores

    def _look_up(self, key: str) -> ObjectInfo:
        import obstore

        request = Request("look up", self.location, key)
        return self._send(request, lambda stores: _info(obstore.head(stores.read, key), key))

    def _send(self, request: Request, send: Callable[[Stores], Result], *, adapted: bool = False) -> Result:
        stores = self._stores
        try:
            result = send(stores)
        except Exception as error:
            answer = answer_of(error)
            if adapted or not self._adapted(answer, stores):
                raise error_for(answer, request) from error
            return self._send(request, send, adapted=True)
        self._container_seen = True
        return result

    def _adapted(self, answer: Answer, refused: Stores) -> bool:
        """Return whether there are other handles than those that were refused."""
        if self._adapt is None:
            return False
        with self._adapting:
            # Another thread may have met the same refusal just before.
            if self._stores is refused:
                self._stores = self._adapt(answer, refused) or refused
            return self._stores is not refused


def answer_of(error: Exception) -> Answer:
    """Return what obstore's exception says the provider answered.

    Raises:
        Exception: `error` itself, where no request can cause it.
    """
    from obstore.exceptions import BaseError

    if not isinstance(error, (BaseError, FileNotFoundError)):
        raise error
    text = str(error)
    found = _STATUS.search(text)
    if found:
        status, body = int(found[1]), found[2]
        code, message, request_id = (_first(pattern, body) for pattern in (_CODE, _MESSAGE, _REQUEST_ID))
        message = html.unescape(message or _first(_JSON_MESSAGE, body) or " ".join(body.split())[:300])
        return Answer(status, code or "", message, request_id, body=body)
    if failed := _DELETE_FAILED.search(text):
        return Answer(403 if failed[3] == "AccessDenied" else 500, failed[3], f"{failed[1]}: {failed[2]}")
    kind = "StartTooLarge" if "StartTooLarge" in text else type(error).__name__
    if kind in _KINDS:
        return Answer(_KINDS[kind], text=_first(_PROVIDER_FAILED, text) or "")
    cause = next((words for mark, words in _CAUSES.items() if mark in text), "")
    return Answer(None, text=cause or text.partition("\n")[0], sent=not any(mark in text for mark in _NOT_SENT))


# What obstore's exceptions mean where no HTTP answer stands in them: the memory store's, and our credentials'.
_KINDS = {
    "AlreadyExistsError": 412,
    "FileNotFoundError": 404,
    "NotSupportedError": 501,
    "StartTooLarge": 416,
    "UnauthenticatedError": 401,
}


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def _info(meta: Mapping[str, Any], key: str) -> ObjectInfo:
    return ObjectInfo(key, meta["size"], meta["last_modified"], _e_tag(meta), meta["version"])


def _e_tag(meta: Mapping[str, Any]) -> str | None:
    # Azure quotes it in some answers and not in others.
    tag: str | None = meta["e_tag"]
    return tag and tag.strip('"')


def _body(data: Buffer | Sequence[Buffer]) -> Any:
    # obstore takes plain byte buffers only: a view of another item type is cast, an empty list is no body to it.
    if isinstance(data, (bytes, bytearray, memoryview)):
        return data if not isinstance(data, memoryview) or data.format == "B" else data.cast("B")
    return [_body(piece) for piece in data] or b""
