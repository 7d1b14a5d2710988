"""Blobs of an Azure container in exactly one of their versions, through azure-storage-blob."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from mlflow_versioned_store.backends.azure_account import AzureAccount
from mlflow_versioned_store.backends.client_versions import CONNECTIONS, ClientVersions
from mlflow_versioned_store.backends.object_versions import Described, Labels, Listed, ObjectVersion, Remembered, Sender
from mlflow_versioned_store.errors import AccessDenied, InvalidInput, NotFound, Unavailable, Unsupported
from mlflow_versioned_store.keys import VERSIONS_WITNESS
from mlflow_versioned_store.pools import in_order

_COPY_PAUSE_SECONDS = 0.5
_CURRENT = "OperationNotAllowedOnRootBlob"
_BLOCKS_GONE = "InvalidBlockList"


class AzureVersions(ClientVersions):
    """A store in a container of an Azure storage account.

    Whether the account keeps versions only its administrators may ask. So `keep_versions` writes an object, and whether
    that was given a version tells it to everybody.

    Args:
        container: The container.
        folder: The store's folder in it; "" is all of the container.
        account: The storage account.

    Raises:
        Unsupported: adlfs, which brings the client, is not installed.
    """

    dates_deletions = False

    def __init__(self, container: str, folder: str, account: AzureAccount):
        super().__init__(f"az://{container}", folder)
        self._container = _client(container, account)
        self._signature = f"&{account.sas.lstrip('?')}" if account.sas and not account.key else ""
        self._keeps = Remembered(self._ask)

    def are_usable(self) -> bool:
        return self._keeps()

    def check_kept(self) -> None:
        """Do nothing: the answer to each write tells."""

    def keep_versions(self) -> str:
        self._keeps.forget()
        try:
            self.put(VERSIONS_WITNESS, b"", Labels())
        except Unsupported as error:
            return (
                f"{error} Have an administrator run `az storage account blob-service-properties update "
                "--enable-versioning true`, then run `mvs init` with the same patterns again."
            )
        return ""

    def put(self, key: str, data: bytes, labels: Labels) -> str:
        written = self._send(
            "write", key, self._blob(key).upload_blob, data, overwrite=True, validate_content=True, **_options(labels)
        )
        return self._version_of(key, written)

    def put_parts(
        self,
        key: str,
        parts: Iterable[bytes],
        labels: Labels,
        sender: Sender,
        *,
        part_bytes: int,  # noqa: ARG002 - each part is a block, whatever its size
        ahead: int,
    ) -> str:
        from azure.storage.blob import BlobBlock

        # Until they are committed, the blocks of all who write to a key lie together.
        blob, upload = self._blob(key), uuid4().hex

        def stage(numbered: tuple[int, bytes]) -> str:
            number, part = numbered
            block = f"{upload}{number:06}"
            self._send("write", key, blob.stage_block, block, part, validate_content=True)
            return block

        # Blocks of an upload that fails are no blob, and Azure drops them after a week.
        staged = in_order(lambda one: sender.submit(stage, one), enumerate(parts), at_once=ahead)
        blocks = [BlobBlock(block) for block in staged]
        try:
            written = self._send("write", key, blob.commit_block_list, blocks, **_options(labels))
        except InvalidInput as error:
            if _BLOCKS_GONE not in str(error):
                raise
            raise Unavailable(
                f"{self._location}/{self._name(key)} was written by somebody else at the same time, and Azure keeps "
                "the blocks of one writer only. Log the artifact again.",
                key=key,
            ) from error
        return self._version_of(key, written)

    def copy(
        self,
        source: str,
        s3_version_id: str,
        key: str,
        size: int,  # noqa: ARG002 - of any size
        labels: Labels,
        sender: Sender,  # noqa: ARG002 - the server works on by itself
    ) -> str:
        # The server keeps the headers of the source, whatever the labels say of them.
        url = f"{self._blob(source).url}?versionid={quote(s3_version_id, safe='')}{self._signature}"
        blob, metadata = self._blob(key), _encoded(labels.metadata)
        try:
            started = self._send("write", source, blob.start_copy_from_url, url, metadata=metadata)
        except AccessDenied as error:
            # Not everybody who may write may have the server read; then it has to be sent from here.
            raise NotFound(f"{source} cannot be copied by the server: {error}", key=source) from error
        version = self._version_of(key, started)
        status = started["copy_status"]
        while status == "pending":
            time.sleep(_COPY_PAUSE_SECONDS)
            copied = self._send("look up", key, self._blob(key, version).get_blob_properties).copy
            status = copied.status
        if status != "success":
            raise Unavailable(f"{self._location} did not copy {source} to {key}: {status}. Try again later.", key=key)
        return version

    def tag(self, key: str, s3_version_id: str, tags: Mapping[str, str]) -> None:
        # Who may write blobs may often not tag them; tags are only for reports and rules.
        with contextlib.suppress(AccessDenied):
            self._send("write", key, self._blob(key, s3_version_id).set_blob_tags, dict(tags))

    def describe(self, key: str, s3_version_id: str | None = None) -> Described | None:
        try:
            found = self._send("look up", key, self._blob(key, s3_version_id).get_blob_properties)
        except NotFound:
            return None
        settings = found.content_settings
        labels = Labels(settings.content_type or "", settings.content_disposition or "", _decoded(found.metadata))
        return Described(found.version_id or "", found.last_modified, labels, found.size, found.etag)

    def read(self, key: str, s3_version_id: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of one version, which are some and inside it. One request."""
        blob = self._blob(key, s3_version_id)
        data: bytes = self._send("read", key, lambda: blob.download_blob(offset=start, length=stop - start).readall())
        return data

    def _delete(self, key: str, version: str | None) -> None:
        try:
            self._send("delete", key, self._blob(key, version).delete_blob)
        except AccessDenied as error:
            if version is None or _CURRENT not in str(error):
                raise
            self._uncover(key, version)
            self._send("delete", key, self._blob(key, version).delete_blob)

    def _uncover(self, key: str, version: str) -> None:
        """Leave a key without a current version, if that is still the one: as such it cannot be deleted for good."""
        from azure.core import MatchConditions

        current = self._send("look up", key, self._blob(key, version).get_blob_properties)
        with contextlib.suppress(InvalidInput, NotFound):
            # The condition does not hold where somebody wrote meanwhile, and then it is not current any more.
            condition = {"etag": current.etag, "match_condition": MatchConditions.IfNotModified}
            self._send("delete", key, self._blob(key).delete_blob, **condition)

    def _ask(self) -> bool:
        witness = self.describe(VERSIONS_WITNESS)
        return witness is not None and witness.s3_version_id != ""

    def _pages(self, prefix: str) -> Iterator[Any]:
        pages: Iterator[Any] = self._container.list_blobs(
            name_starts_with=prefix or None, include=["versions"]
        ).by_page()
        return pages

    def _listed(self, blob: Any) -> Listed:
        key, version, md5 = (
            blob.name.removeprefix(self._prefix),
            blob.version_id or "",
            blob.content_settings.content_md5,
        )
        # What was written while versions were not kept has no id, and is current.
        current = bool(blob.is_current_version) or not version
        e_tag = bytes(md5).hex() if md5 else None
        found = ObjectVersion(key, version, blob.size, blob.last_modified, current, deleted=False, e_tag=e_tag)
        return Listed(found, (current, version))

    def _blob(self, key: str, version: str | None = None) -> Any:
        return self._container.get_blob_client(self._name(key), version_id=version or None)

    def _version_of(self, key: str, answer: Mapping[str, Any]) -> str:
        version = answer.get("version_id")
        if not version:
            raise Unsupported(
                f"{self._location} gave {key} no version of its own: blob versioning of the storage account is off, so "
                "the next writer would destroy it."
            )
        return str(version)


def _client(container: str, account: AzureAccount) -> Any:
    try:
        from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
        from azure.core.pipeline.transport import RequestsTransport
        from azure.identity import DefaultAzureCredential
        from azure.storage.blob import ContainerClient, ExponentialRetry
        from requests import Session
        from requests.adapters import HTTPAdapter
    except ImportError as error:
        raise Unsupported(
            f"Object versions of az://{container} need azure-storage-blob: pip install mlflow-versioned-store[azure]."
        ) from error
    credential: Any
    if account.key:
        credential = AzureNamedKeyCredential(account.name, account.key)
    elif account.sas:
        credential = AzureSasCredential(account.sas.lstrip("?"))
    else:
        credential = DefaultAzureCredential()
    session = Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
    return ContainerClient(
        account.endpoint,
        container,
        credential,
        transport=RequestsTransport(session=session),
        retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=5),
    )


def _options(labels: Labels) -> dict[str, Any]:
    from azure.storage.blob import ContentSettings

    settings = ContentSettings(content_type=labels.content_type, content_disposition=labels.content_disposition)
    return {"content_settings": settings, "metadata": _encoded(labels.metadata)}


def _encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata by names that Azure takes: those of a programming language, without hyphens."""
    return {name.replace("-", "_"): value for name, value in metadata.items()}


def _decoded(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in metadata.items()}
