"""Where readable copies go: a place in a bucket, a folder, or anything that fsspec reaches."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.boto3_objects import answer_of, s3_client
from mlflow_versioned_store.backends.provider_errors import Request, error_for
from mlflow_versioned_store.content.locations import Native
from mlflow_versioned_store.errors import InvalidInput, LocalStorageFailed, NotFound, Unavailable
from mlflow_versioned_store.http_headers import attachment, media_type
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.roots import clean_path, joined

_PIECE_BYTES = 8 << 20
_PARTS_AT_ONCE = 4
_COPY_BYTES_MAX = 5 << 30
_PAGE = 1000


class Readable(Protocol):
    """What is copied."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""


class There(NamedTuple):
    """An object of a destination.

    Args:
        size: Bytes.
        sha256: Its SHA-256, hex; "" where that is not known.
        s3_version_id: Its version id, where its bucket keeps versions.
        e_tag: Its entity tag.
    """

    size: int
    sha256: str = ""
    s3_version_id: str | None = None
    e_tag: str | None = None


class Destination(Protocol):
    """A place for plain objects."""

    uri: str

    @property
    def keeps_versions(self) -> bool:
        """Whether what is overwritten or removed there stays as an older object version."""
        return False

    def find(self, key: str) -> There | None:
        """Tell what an object is, as far as that is known without moving it; None where there is none."""

    def write(self, key: str, file: Readable, sha256: str) -> None:
        """Write all that `file` reads; it is there whole or not at all."""

    def copy(self, key: str, store: str, native: Native, size: int, sha256: str) -> bool:
        """Have the server copy a native object of the store at `store`; False where it cannot."""

    def read(self, key: str) -> bytes | None:
        """Return a small object; None where there is none."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove objects."""


def open_destination(uri: str) -> Destination:
    """Return a destination. No request.

    Args:
        uri: "s3://bucket/prefix", a local path or "file:///…", or what fsspec opens, such as "gs://bucket/prefix".

    Raises:
        InvalidInput: No plain object can be written there.
    """
    parts = urlsplit(uri)
    if parts.scheme.startswith("versioned-"):
        raise InvalidInput(f"{uri} is a versioned store; copies are plain objects, so name {uri[len('versioned-') :]}.")
    if RESERVED in parts.path.split("/"):
        raise InvalidInput(f"{uri} lies inside a store's own folder {RESERVED!r}; write copies beside it.")
    if parts.scheme in ("", "file"):
        return FolderDestination(url2pathname(parts.path) if parts.scheme else uri)
    if parts.scheme in ("s3", "s3a"):
        return S3Destination(parts.netloc, clean_path(parts.path))
    return FsspecDestination(uri)


class S3Destination(Destination):
    """A place in an S3 bucket.

    Args:
        bucket: The bucket.
        folder: The place in it.
    """

    def __init__(self, bucket: str, folder: str):
        config = s3_config.resolve()
        self.uri = joined(f"s3://{bucket}", folder)
        self._bucket = bucket
        self._folder = folder
        self._upload = config.upload
        self._client: Any = s3_client(config, attempts=4)

    def write(self, key: str, file: Readable, sha256: str) -> None:
        from s3transfer.manager import TransferConfig, TransferManager

        config = TransferConfig(
            multipart_threshold=_PIECE_BYTES,
            multipart_chunksize=_PIECE_BYTES,
            max_request_concurrency=_PARTS_AT_ONCE,
            max_in_memory_upload_chunks=_PARTS_AT_ONCE,
        )

        def send(Bucket: str) -> None:  # noqa: N803 - as boto3 names it
            with TransferManager(self._client, config) as manager:
                manager.upload(file, Bucket, joined(self._folder, key), self._labels(key, sha256)).result()

        self._send("write", key, send)

    def copy(self, key: str, store: str, native: Native, size: int, sha256: str) -> bool:
        scheme, _, place = store.partition("://")
        bucket, _, folder = place.partition("/")
        if scheme != "s3" or native.s3_version_id is None or size > _COPY_BYTES_MAX or bucket != self._bucket:
            return False
        source = {"Bucket": bucket, "Key": joined(folder, native.key), "VersionId": native.s3_version_id}
        arguments: dict[str, Any] = {
            "Key": joined(self._folder, key),
            "CopySource": source,
            "MetadataDirective": "REPLACE",
            "TaggingDirective": "REPLACE",
            **self._labels(key, sha256),
        }
        self._send("write", key, self._client.copy_object, **arguments)
        return True

    def read(self, key: str) -> bytes | None:
        try:
            arguments = {"Key": joined(self._folder, key)} | self._upload.boto3_read()
            answer = self._send("read", key, self._client.get_object, **arguments)
        except NotFound:
            return None
        return bytes(answer["Body"].read())

    @cached_property
    def keeps_versions(self) -> bool:
        answer = self._send("read the versioning of", "", self._client.get_bucket_versioning)
        return bool(answer.get("Status") == "Enabled")

    def find(self, key: str) -> There | None:
        try:
            arguments = {"Key": joined(self._folder, key)} | self._upload.boto3_read()
            head = self._send("read", key, self._client.head_object, **arguments)
        except NotFound:
            return None
        sha256 = head["Metadata"].get("sha256", "")
        return There(head["ContentLength"], sha256, head.get("VersionId"), head["ETag"].strip('"'))

    def delete(self, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), _PAGE):
            objects = [{"Key": joined(self._folder, key)} for key in keys[at : at + _PAGE]]
            wanted = {"Objects": objects, "Quiet": True}
            self._send("delete", keys[at], self._client.delete_objects, Delete=wanted)

    def _labels(self, key: str, sha256: str) -> dict[str, Any]:
        return {
            "ContentType": media_type(key),
            "ContentDisposition": attachment(key.rpartition("/")[2]),
            **self._upload.boto3_write(),
            "Metadata": self._upload.metadata | {"sha256": sha256},
        }

    def _send(self, action: str, key: str, send: Callable[..., Any], **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        inside = joined(self._folder, key)
        try:
            return send(Bucket=self._bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            raise error_for(answer_of(error), Request(action, f"s3://{self._bucket}", inside)) from error


class FolderDestination(Destination):
    """A local folder.

    Args:
        folder: The folder; made where it is missing.
    """

    def __init__(self, folder: str):
        self._folder = os.path.abspath(folder)
        self.uri = self._folder

    def write(self, key: str, file: Readable, sha256: str) -> None:  # noqa: ARG002 - files have no labels
        path = os.path.join(self._folder, *key.split("/"))
        part = f"{path}.{secrets.token_hex(4)}.part"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                with open(part, "wb") as out:
                    shutil.copyfileobj(file, out, _PIECE_BYTES)
                os.replace(part, path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)
        except OSError as error:
            if isinstance(error, LocalStorageFailed) or hasattr(error, "kind"):
                raise
            raise LocalStorageFailed(
                f"{path} cannot be written: {error.strerror}. Check the folder.", key=path
            ) from error

    def copy(self, key: str, store: str, native: Native, size: int, sha256: str) -> bool:  # noqa: ARG002
        """Return False: there is no server to copy."""
        return False

    def read(self, key: str) -> bytes | None:
        try:
            with open(os.path.join(self._folder, *key.split("/")), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalStorageFailed(f"{error.filename} cannot be read: {error.strerror}.", key=key) from error

    def find(self, key: str) -> There | None:
        try:
            with open(os.path.join(self._folder, *key.split("/")), "rb") as file:
                return There(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalStorageFailed(f"{error.filename} cannot be read: {error.strerror}.", key=key) from error

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._folder, *key.split("/")))


class FsspecDestination(Destination):
    """A place that an fsspec file system reaches.

    Args:
        uri: The place.

    Raises:
        InvalidInput: fsspec knows no such scheme, or lacks what it takes.
    """

    def __init__(self, uri: str):
        import fsspec

        try:
            self._system, folder = fsspec.core.url_to_fs(uri)
        except (ImportError, ValueError) as error:
            raise InvalidInput(f"{uri} cannot be opened: {error}.") from error
        self.uri = uri.rstrip("/")
        self._folder = folder.rstrip("/")

    def write(self, key: str, file: Readable, sha256: str) -> None:  # noqa: ARG002 - not every system has labels
        try:
            self._system.makedirs(f"{self._folder}/{key}".rpartition("/")[0], exist_ok=True)
            with self._system.open(f"{self._folder}/{key}", "wb") as out:
                shutil.copyfileobj(file, out, _PIECE_BYTES)
        except OSError as error:
            if hasattr(error, "kind"):
                raise
            raise Unavailable(f"{self.uri}/{key} could not be written: {error}", key=key) from error

    def copy(self, key: str, store: str, native: Native, size: int, sha256: str) -> bool:  # noqa: ARG002
        """Return False: fsspec has no copy of an exact object version."""
        return False

    def read(self, key: str) -> bytes | None:
        try:
            return bytes(self._system.cat_file(f"{self._folder}/{key}"))
        except FileNotFoundError:
            return None

    def find(self, key: str) -> There | None:
        try:
            with self._system.open(f"{self._folder}/{key}", "rb") as file:
                return There(int(file.size), hashlib.file_digest(file, "sha256").hexdigest())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self.uri}/{key} could not be read: {error}", key=key) from error

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._system.rm_file(f"{self._folder}/{key}")
