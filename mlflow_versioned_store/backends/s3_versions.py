"""Objects of an S3 bucket in exactly one of their versions: written, copied, found and removed, through boto3."""

from __future__ import annotations

import base64
import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC
from functools import cached_property
from typing import Any

from mlflow_versioned_store.backends.boto3_objects import answer_of, check_deleted, s3_client
from mlflow_versioned_store.backends.contract import check_key
from mlflow_versioned_store.backends.object_versions import (
    Described,
    Labels,
    ObjectVersion,
    ObjectVersions,
    Sender,
    say_that_versions_are_kept,
)
from mlflow_versioned_store.backends.objects import Stores
from mlflow_versioned_store.backends.objects import answer_of as obstore_answer_of
from mlflow_versioned_store.backends.provider_errors import Request, error_for
from mlflow_versioned_store.backends.s3 import bulk_stores, refuses_checksum
from mlflow_versioned_store.backends.s3_config import S3Config
from mlflow_versioned_store.errors import AccessDenied, NotFound, Unsupported, VersionedStoreError

PARTS_MAX = 10_000
_PARTS_AHEAD = 8
_COPY_BYTES_MAX = 5 << 30
_COPIED_PART_BYTES = 1 << 30
_PAGE = 1000
_ATTEMPTS = 6


class _ChecksumRefusedError(Exception):
    """The server does not know CRC64NVME; nothing was written."""


class _Begun(Iterator[bytes]):
    """Parts, of which the first can be had again: as many as are on their way before the first of them has arrived."""

    def __init__(self, parts: Iterable[bytes], ahead: int):
        self._parts = iter(parts)
        self._first: list[bytes] = []
        self._ahead = ahead
        self.is_under_way = False

    def __next__(self) -> bytes:
        part = next(self._parts)
        self.is_under_way = self.is_under_way or len(self._first) > self._ahead
        if self.is_under_way:
            self._first.clear()
        else:
            self._first.append(part)
        return part

    def again(self) -> Iterator[bytes]:
        """Yield all parts from the first on, while not more than those were asked for."""
        while self._first:
            yield self._first.pop(0)
        yield from self._parts


class S3Versions(ObjectVersions):
    """A store in an S3 bucket that keeps object versions.

    Args:
        bucket: The bucket.
        folder: The store's folder in it; "" is all of the bucket.
        config: How to reach it.
    """

    uncovers = True
    dates_deletions = True
    at_once = 1000

    def __init__(self, bucket: str, folder: str, config: S3Config):
        self._bucket = bucket
        self._config = config
        self._prefix = f"{folder}/" if folder else ""
        owner = {"ExpectedBucketOwner": config.expected_bucket_owner} if config.expected_bucket_owner else {}
        self._where = {"Bucket": bucket} | owner
        self._upload = config.upload
        self._read = self._where | config.upload.boto3_read()
        self._kept = False
        self._knows_crc64nvme = True
        self._list = self._where | ({"RequestPayer": "requester"} if config.upload.text("RequestPayer") else {})

    @cached_property
    def _client(self) -> Any:
        # Making one takes as long as reading half a gigabyte, and what is stored already needs none.
        return s3_client(self._config, attempts=_ATTEMPTS, sign_payloads=False)

    def put(self, key: str, data: bytes, labels: Labels) -> str:
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        answer = self._send(
            "write", key, self._client.put_object, **self._written(key, labels), Body=data, ChecksumSHA256=checksum
        )
        return self._version_of(key, answer)

    def put_parts(
        self, key: str, parts: Iterable[bytes], labels: Labels, sender: Sender, *, part_bytes: int, ahead: int
    ) -> str:
        stores = bulk_stores(self._bucket, self._config, retries=_ATTEMPTS - 1) if self._knows_crc64nvme else None
        if stores is not None:
            begun = _Begun(parts, ahead)
            try:
                return self._put_bulk(stores, key, begun, labels, part_bytes, ahead)
            except _ChecksumRefusedError:
                self._knows_crc64nvme = False
                parts = begun.again()

        def send(upload: dict[str, str], number: int, data: bytes) -> dict[str, Any]:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            arguments = {"PartNumber": number, "Body": data, "ChecksumSHA256": digest}
            answer = self._send("write", key, self._client.upload_part, **self._read, **upload, **arguments)
            return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": digest}

        return self._multipart(key, labels, parts, send, sender, ahead, ChecksumAlgorithm="SHA256")

    def begin_parts(self, key: str, labels: Labels, **options: str) -> str:
        """Begin an object that comes in parts, and return the id of its upload. One request.

        Args:
            key: The key.
            labels: What goes with it.
            options: More arguments of boto3's `create_multipart_upload`.
        """
        begun = self._send("write", key, self._client.create_multipart_upload, **self._written(key, labels), **options)
        return str(begun["UploadId"])

    def link_part(self, key: str, upload: str, number: int, seconds: int) -> str:
        """Return a link to which anybody can PUT one part of an upload for some time. No request."""
        part = {"Bucket": self._bucket, "Key": self._prefix + key, "UploadId": upload, "PartNumber": number}
        arguments: dict[str, Any] = {"ClientMethod": "upload_part", "Params": part, "ExpiresIn": seconds}
        return str(self._send("write", key, self._client.generate_presigned_url, **arguments))

    def finish_parts(self, key: str, upload: str, parts: Sequence[Mapping[str, Any]]) -> str:
        """Make one object of its parts and return its version. One request.

        Args:
            key: The key.
            upload: The id of the upload.
            parts: `PartNumber`, `ETag` and checksum of each, in order.

        Raises:
            NotFound: There is no such upload: it never was, was finished already, or was given up.
            Unsupported: The bucket keeps no versions.
        """
        sent = {"Key": self._prefix + key, "UploadId": upload, "MultipartUpload": {"Parts": parts}}
        answer = self._send("write", key, self._client.complete_multipart_upload, **self._read, **sent)
        return self._version_of(key, answer)

    def abandon_parts(self, key: str, upload: str) -> None:
        """Give up an upload and remove the parts that came. One request.

        Raises:
            NotFound: There is no such upload.
        """
        named = {"Key": self._prefix + key, "UploadId": upload}
        self._send("delete", key, self._client.abort_multipart_upload, **self._list, **named)

    def copy(self, source: str, s3_version_id: str, key: str, size: int, labels: Labels, sender: Sender) -> str:
        origin: dict[str, Any] = {
            "CopySource": {"Bucket": self._bucket, "Key": self._prefix + source, "VersionId": s3_version_id},
            **{f"CopySource{name}": value for name, value in self._upload.boto3_read(payer=False).items()},
        }
        if size <= _COPY_BYTES_MAX:
            written = self._written(key, labels) | {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
            return self._version_of(key, self._send("write", key, self._client.copy_object, **written, **origin))

        def send(upload: dict[str, str], number: int, part: tuple[int, int]) -> dict[str, Any]:
            arguments = {"PartNumber": number, "CopySourceRange": f"bytes={part[0]}-{part[1] - 1}"} | origin
            answer = self._send("write", key, self._client.upload_part_copy, **self._read, **upload, **arguments)
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

        ranges = [(at, min(size, at + _COPIED_PART_BYTES)) for at in range(0, size, _COPIED_PART_BYTES)]
        return self._multipart(key, labels, ranges, send, sender, _PARTS_AHEAD)

    def tag(self, key: str, s3_version_id: str, tags: Mapping[str, str]) -> None:
        named = [{"Key": name, "Value": value} for name, value in (self._upload.tags | dict(tags)).items()]
        arguments = {"Key": self._prefix + key, "VersionId": s3_version_id, "Tagging": {"TagSet": named}}
        self._send("write", key, self._client.put_object_tagging, **self._list, **arguments)

    def describe(self, key: str, s3_version_id: str | None = None) -> Described | None:
        version = {"VersionId": s3_version_id} if s3_version_id is not None else {}
        try:
            answer = self._send(
                "look up", key, self._client.head_object, **self._read, Key=self._prefix + key, **version
            )
        except NotFound:
            return None
        labels = Labels(answer.get("ContentType", ""), answer.get("ContentDisposition", ""), answer["Metadata"])
        modified, version = answer["LastModified"].astimezone(UTC), answer.get("VersionId", "null")
        return Described(version, modified, labels, answer["ContentLength"], answer["ETag"])

    def list(self, folder: str, *, exactly: bool = False) -> Iterator[ObjectVersion]:
        prefix = self._prefix + folder + ("/" if folder and not exactly else "")
        more: dict[str, str] = {}
        while True:
            page = self._send("list", folder, self._client.list_object_versions, **self._list, Prefix=prefix, **more)
            versions = ((item, False) for item in page.get("Versions", []))
            markers = ((item, True) for item in page.get("DeleteMarkers", []))
            for item, deleted in heapq.merge(versions, markers, key=lambda found: str(found[0]["Key"])):
                key = item["Key"].removeprefix(self._prefix)
                if not exactly or key == folder:
                    yield _version(key, item, deleted=deleted)
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"]}
            if "NextVersionIdMarker" in page:
                more["VersionIdMarker"] = page["NextVersionIdMarker"]

    def delete(self, versions: Sequence[tuple[str, str | None]]) -> None:
        for at in range(0, len(versions), _PAGE):
            wanted = [
                {"Key": self._prefix + check_key(key)} | ({"VersionId": version} if version is not None else {})
                for key, version in versions[at : at + _PAGE]
            ]
            arguments = self._list | {"Delete": {"Objects": wanted, "Quiet": True}}
            answer = self._send("delete", versions[at][0], self._client.delete_objects, **arguments)
            check_deleted(answer, self._location)

    def keep_versions(self) -> str:
        try:
            status = self._send("look up", "", self._client.get_bucket_versioning, **self._where).get("Status")
            if status != "Enabled":
                enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
                self._send("write", "", self._client.put_bucket_versioning, **self._where, **enabled)
                say_that_versions_are_kept(self._location)
        except VersionedStoreError as error:
            raise Unsupported(
                f"The native layout needs a bucket that keeps object versions, and versioning of {self._location} "
                f"cannot be switched on: {error} Have an administrator switch it on, or leave paths packed."
            ) from error
        return ""

    def are_usable(self) -> bool:
        # A bucket that keeps none is refused, by `check_kept`: here every key that any tool expects is a promise.
        return True

    def check_kept(self) -> None:
        if self._kept:
            return
        try:
            status = self._send("look up", "", self._client.get_bucket_versioning, **self._where).get("Status", "off")
        except AccessDenied:
            status = "Enabled"
        if status != "Enabled":
            raise Unsupported(
                f"The native layout needs a bucket that keeps object versions, but versioning of {self._location} is "
                f"{status.lower()}. Switch it on, or take the setting `native` back."
            )
        self._kept = True

    @property
    def _location(self) -> str:
        return f"s3://{self._bucket}"

    def _put_bulk(self, stores: Stores, key: str, parts: _Begun, labels: Labels, part_bytes: int, ahead: int) -> str:
        """Write an object through obstore, which checks CRC64NVME, at a third of boto3's cost."""
        import obstore

        named = {"Content-Type": labels.content_type, "Content-Disposition": labels.content_disposition}
        attributes = named | dict(stores.attributes) | dict(labels.metadata)
        request = Request("write", self._location, self._prefix + check_key(key))
        try:
            written = obstore.put(
                stores.write_bulk,
                request.key,
                parts,
                use_multipart=True,
                chunk_size=part_bytes,
                max_concurrency=ahead,
                attributes=attributes,
                tags=dict(stores.tags) or None,
            )
        except Exception as error:
            answer = obstore_answer_of(error)
            if refuses_checksum(answer) and not parts.is_under_way:
                raise _ChecksumRefusedError from error
            raise error_for(answer, request) from error
        return self._version_of(key, {"VersionId": written["version"]})

    def _multipart(
        self,
        key: str,
        labels: Labels,
        parts: Iterable[Any],
        send: Callable[[dict[str, str], int, Any], dict[str, Any]],
        sender: Sender,
        ahead: int,
        **options: str,
    ) -> str:
        upload = self.begin_parts(key, labels, **options)
        named = {"Key": self._prefix + key, "UploadId": upload}
        running: deque[Future[dict[str, Any]]] = deque()
        sent: list[dict[str, Any]] = []
        try:
            for number, part in enumerate(parts, 1):
                if number > PARTS_MAX:
                    raise Unsupported(
                        f"{key} has more than {PARTS_MAX} parts, which no S3 server takes; leave it packed."
                    )
                running.append(sender.submit(send, named, number, part))
                del part
                if len(running) >= ahead:
                    sent.append(running.popleft().result())
            sent += [future.result() for future in running]
            return self.finish_parts(key, upload, sent)
        except BaseException:
            self._abort(key, upload, running)
            raise

    def _abort(self, key: str, upload: str, running: Iterable[Future[Any]]) -> None:
        # A part that arrives after the end of its upload stays, and costs, until a lifecycle rule takes it.
        for future in running:
            if not future.cancel():
                future.exception()
        try:
            self.abandon_parts(key, upload)
        except VersionedStoreError:
            # What made the upload fail is what its caller must hear of.
            return

    def _written(self, key: str, labels: Labels) -> dict[str, Any]:
        # What every upload is asked to have comes before what we would say of this one.
        named = {"ContentType": labels.content_type, "ContentDisposition": labels.content_disposition}
        metadata = {"Metadata": self._upload.metadata | dict(labels.metadata)}
        return named | self._upload.boto3_write() | metadata | self._where | {"Key": self._prefix + check_key(key)}

    def _version_of(self, key: str, answer: Mapping[str, Any]) -> str:
        version = answer.get("VersionId")
        if not isinstance(version, str) or version in ("", "null"):
            raise Unsupported(
                f"The bucket {self._bucket} gave {key} no version of its own: versioning is off or suspended, so the "
                "next writer would destroy it. Switch bucket versioning on, or leave this path packed."
            )
        return version

    def _send(self, action: str, key: str, send: Callable[..., Any], **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return send(**arguments)
        except (BotoCoreError, ClientError) as error:
            raise error_for(answer_of(error), Request(action, self._location, self._prefix + key)) from error


def _version(key: str, item: Mapping[str, Any], *, deleted: bool) -> ObjectVersion:
    modified = item["LastModified"].astimezone(UTC)
    size, e_tag = item.get("Size", 0), item.get("ETag", "").strip('"') or None
    return ObjectVersion(key, item["VersionId"], size, modified, item["IsLatest"], deleted, e_tag)
