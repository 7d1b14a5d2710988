"""Objects of a bucket of Google Cloud Storage in exactly one of their generations, through google-cloud-storage."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlflow_versioned_store.backends.client_versions import CONNECTIONS, ClientVersions
from mlflow_versioned_store.backends.object_versions import (
    Described,
    Labels,
    Listed,
    ObjectVersion,
    Remembered,
    Sender,
    say_that_versions_are_kept,
)
from mlflow_versioned_store.errors import AccessDenied, CredentialsMissing, NotFound, Unsupported

# What a resumable upload sends with a request is a multiple of 256 KiB.
_PIECE_BYTES = 8 << 20


class GcsVersions(ClientVersions):
    """A store in a bucket of Google Cloud Storage.

    Every object there has a generation, whether or not the bucket keeps those that are replaced. So that is asked of
    the bucket, and who may not ask takes it that it does not.

    Args:
        bucket: The bucket.
        folder: The store's folder in it; "" is all of the bucket.

    Raises:
        CredentialsMissing: There are none.
        Unsupported: gcsfs, which brings the client, is not installed.
    """

    dates_deletions = True

    def __init__(self, bucket: str, folder: str = ""):
        super().__init__(f"gs://{bucket}", folder)
        self._client = _client(self._location)
        self._bucket = self._client.bucket(bucket)
        self._keeps = Remembered(self._ask)

    def are_usable(self) -> bool:
        return self._keeps()

    def check_kept(self) -> None:
        if not self._keeps():
            raise Unsupported(
                f"Object versioning of {self._location} was switched off, so the next writer would destroy what is "
                "written. Log the artifact again: each version gets a key of its own then."
            )

    def keep_versions(self) -> str:
        try:
            bucket = self._send("look up", "", self._client.get_bucket, self._bucket.name)
            if not bucket.versioning_enabled:
                bucket.versioning_enabled = True
                self._send("write", "", bucket.patch)
                say_that_versions_are_kept(self._location)
        except AccessDenied as error:
            return f"{error} Have an administrator run `gcloud storage buckets update {self._location} --versioning`."
        self._keeps.forget()
        return ""

    def put(self, key: str, data: bytes, labels: Labels) -> str:
        return self._upload(key, "upload_from_string", data, labels)

    def put_parts(
        self,
        key: str,
        parts: Iterable[bytes],
        labels: Labels,
        sender: Sender,  # noqa: ARG002 - pieces go one after another
        *,
        part_bytes: int,  # noqa: ARG002 - of a size of their own
        ahead: int,  # noqa: ARG002
    ) -> str:
        return self._upload(key, "upload_from_file", _Stream(parts), labels)

    def copy(
        self,
        source: str,
        s3_version_id: str,
        key: str,
        size: int,  # noqa: ARG002 - of any size
        labels: Labels,
        sender: Sender,  # noqa: ARG002 - pieces go one after another
    ) -> str:
        from google.cloud.storage.retry import DEFAULT_RETRY

        origin, blob = self._blob(source, s3_version_id), self._labelled(key, labels)
        blob.content_type = labels.content_type
        token = None
        while True:
            # Across locations the server copies a piece with each request.
            token, _, _ = self._send("write", source, blob.rewrite, origin, token=token, retry=DEFAULT_RETRY)
            if token is None:
                return str(blob.generation)

    def tag(self, key: str, s3_version_id: str, tags: Mapping[str, str]) -> None:
        # Objects have no tags here; their metadata can be changed without a new generation.
        blob = self._blob(key, s3_version_id)
        blob.metadata = dict(tags)
        with contextlib.suppress(AccessDenied):
            self._send("write", key, blob.patch)

    def describe(self, key: str, s3_version_id: str | None = None) -> Described | None:
        generation = None if s3_version_id is None else self._generation(key, s3_version_id)
        blob = self._send("look up", key, self._bucket.get_blob, self._prefix + key, generation=generation)
        if blob is None:
            return None
        labels = Labels(blob.content_type or "", blob.content_disposition or "", blob.metadata or {})
        return Described(str(blob.generation), blob.time_created, labels, blob.size, blob.etag)

    def read(self, key: str, s3_version_id: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of one version, which are some and inside it. One request."""
        blob = self._blob(key, s3_version_id)
        data: bytes = self._send(
            "read", key, blob.download_as_bytes, start=start, end=stop - 1, raw_download=True, checksum=None
        )
        return data

    def _ask(self) -> bool:
        try:
            return bool(self._send("look up", "", self._client.get_bucket, self._bucket.name).versioning_enabled)
        except AccessDenied:
            return False

    def _pages(self, prefix: str) -> Iterator[Any]:
        # The client would write True as Python does, which not every server understands.
        pages: Iterator[Any] = self._client.list_blobs(self._bucket, prefix=prefix or None, versions="true").pages
        return pages

    def _listed(self, blob: Any) -> Listed:
        key, version, ended = blob.name.removeprefix(self._prefix), str(blob.generation), blob.time_deleted
        found = ObjectVersion(
            key, version, blob.size, blob.time_created, current=ended is None, deleted=False, e_tag=blob.md5_hash
        )
        return Listed(found, blob.generation, ended)

    def _delete(self, key: str, version: str | None) -> None:
        blob = self._bucket.blob(self._name(key)) if version is None else self._blob(key, version)
        self._send("delete", key, blob.delete)

    def _upload(self, key: str, how: str, body: Any, labels: Labels) -> str:
        from google.cloud.storage.retry import DEFAULT_RETRY

        blob = self._labelled(key, labels)
        blob.chunk_size = _PIECE_BYTES
        options = {"content_type": labels.content_type, "checksum": "crc32c", "retry": DEFAULT_RETRY}
        self._send("write", key, getattr(blob, how), body, **options)
        return str(blob.generation)

    def _labelled(self, key: str, labels: Labels) -> Any:
        blob = self._bucket.blob(self._name(key))
        blob.content_disposition = labels.content_disposition
        blob.metadata = dict(labels.metadata)
        return blob

    def _blob(self, key: str, version: str) -> Any:
        return self._bucket.blob(self._name(key), generation=self._generation(key, version))

    def _generation(self, key: str, version: str) -> int:
        if not version.isdecimal():
            raise NotFound(f"{self._location}/{self._prefix}{key} has no generation {version!r:.40}.", key=key)
        return int(version)


class _Stream:
    """Parts in a row as a file, of which what was read last can be read again."""

    def __init__(self, parts: Iterable[bytes]):
        self._parts = iter(parts)
        self._kept = b""
        self._begin = 0
        self._at = 0

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._at

    def seek(self, offset: int) -> int:
        """Go back to a byte of what was read last."""
        assert self._begin <= offset <= self._begin + len(self._kept), "only what was read last is kept"
        self._at = offset
        return offset

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer at the end."""
        pieces = [self._kept[self._at - self._begin :]]
        found = len(pieces[0])
        while found < size and (part := next(self._parts, b"")):
            pieces.append(part)
            found += len(part)
        self._kept, self._begin = b"".join(pieces), self._at
        self._at += min(size, found)
        return self._kept[:size]


def _client(location: str) -> Any:
    try:
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud import storage
        from requests.adapters import HTTPAdapter
    except ImportError as error:
        raise Unsupported(
            f"Object versions of {location} need google-cloud-storage: pip install mlflow-versioned-store[gcs]."
        ) from error
    try:
        anonymous = "STORAGE_EMULATOR_HOST" in os.environ
        client = storage.Client.create_anonymous_client() if anonymous else storage.Client(project=None)
    except DefaultCredentialsError as error:
        raise CredentialsMissing(
            f"No credentials for {location} can be used: {error} Set GOOGLE_APPLICATION_CREDENTIALS, or log in "
            "(gcloud auth application-default login)."
        ) from error
    session = client._http  # noqa: SLF001 - there is no setting for its connections
    if not session.is_mtls:
        session.mount("https://", HTTPAdapter(pool_maxsize=CONNECTIONS))
    return client
