"""Transfers past a tracking server: its clients send native versions to the bucket, and read them there, by link.

MLflow's clients learn from the class of the server's repository that they may ask for links, and then ask for each
file. A path that is packed has no object to link to: it is answered so that they go through the server, as without.

MLflow's other way, a link to upload a whole file, is not offered: nobody tells the server when such an upload ends, so
it could never become a version.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from mlflow.entities.multipart_upload import (
    CreateMultipartUploadResponse,
    MultipartUploadCredential,
    MultipartUploadPart,
)
from mlflow.exceptions import MlflowException, _UnsupportedMultipartUploadException
from mlflow.store.artifact.artifact_repo import MultipartUploadMixin

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.opening import open_s3_versions
from mlflow_versioned_store.direct import uploads
from mlflow_versioned_store.direct.links import link_in_place
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.errors import InvalidInput, NoStore, Unsupported
from mlflow_versioned_store.mlflow_plugin import paths
from mlflow_versioned_store.mlflow_plugin.failures import code, translated
from mlflow_versioned_store.mlflow_plugin.origin import origin
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.settings import read_settings
from mlflow_versioned_store.store import Store, open_store

try:
    from mlflow.store.artifact.artifact_repo import MultipartDownloadMixin
except ImportError:

    class MultipartDownloadMixin:  # type: ignore[no-redef]
        """Stands in for MLflow's own before 3.11, whose server never asks for it."""


if TYPE_CHECKING:
    from mlflow.entities.presigned_download import PresignedDownloadUrlResponse

_PRESIGNED_ONLY = "MLFLOW_ARTIFACTS_PRESIGNED_ONLY"
_CLIENT = re.compile(r"\bmlflow-python-client/(\d+)\.(\d+)")
# From this release on clients go through the server where there is no link; before it, where a link has no size.
_ASKS_ON_AFTER_REFUSAL = (3, 18)


class PresignedArtifactRepository(MultipartUploadMixin, MultipartDownloadMixin, VersionedArtifactRepository):
    """The artifacts of a tracking server's destination, parts of which its clients reach by link."""

    def create_multipart_upload(
        self, local_file: str, num_parts: int = 1, artifact_path: str | None = None
    ) -> CreateMultipartUploadResponse:
        """Begin an upload that the client sends to the bucket.

        Args:
            local_file: The file at the client, or its name.
            num_parts: How many parts there will be.
            artifact_path: The folder to log it into.

        Raises:
            MlflowException: NOT_IMPLEMENTED, as MLflow words it, where the file is to be packed: the client then sends
                it to the server. A server that takes nothing says INVALID_PARAMETER_VALUE, and what to do.
        """
        with translated():
            store, path = self._target(local_file, artifact_path)
            try:
                begun = uploads.begin(store, path, num_parts)
            except Unsupported as error:
                if switch(_PRESIGNED_ONLY, default=False):
                    raise InvalidInput(f"This server takes no bytes, it only gives links. {error}") from error
                message = f"{_UnsupportedMultipartUploadException.MESSAGE}. {error}"
                raise MlflowException(message, error_code=code(error)) from error
        credentials = [MultipartUploadCredential(url, number, {}) for number, url in enumerate(begun.links, 1)]
        return CreateMultipartUploadResponse(begun.id, credentials)

    def complete_multipart_upload(
        self, local_file: str, upload_id: str, parts: list[MultipartUploadPart], artifact_path: str | None = None
    ) -> None:
        """Record what a client sent to the bucket as a version. Asked again, it makes no other one.

        Args:
            local_file: The file at the client, or its name.
            upload_id: Which upload.
            parts: What the bucket said of each part.
            artifact_path: The folder to log it into.

        Raises:
            MlflowException: There is no such upload, or parts are missing; nothing was logged.
        """
        with translated():
            store, path = self._target(local_file, artifact_path)
            sent = [{"PartNumber": part.part_number, "ETag": part.etag or ""} for part in parts]
            uploads.finish(store, path, upload_id, sent, origin(store.place(path).root))

    def abort_multipart_upload(self, local_file: str, upload_id: str, artifact_path: str | None = None) -> None:
        """Give up an upload and remove the parts that came; one that is over stays what it is.

        Args:
            local_file: The file at the client, or its name.
            upload_id: Which upload.
            artifact_path: The folder it was for.
        """
        with translated():
            store, path = self._target(local_file, artifact_path)
            uploads.give_up(store, path, upload_id)

    def get_download_presigned_url(self, artifact_path: str, expiration: int = 300) -> PresignedDownloadUrlResponse:
        """Return a link that reads a file, in exactly the version that the path or address means now.

        Args:
            artifact_path: The file or its address.
            expiration: How long the link holds, seconds.

        Raises:
            MlflowException: RESOURCE_DOES_NOT_EXIST where there is none; NOT_IMPLEMENTED where it is packed, upon which
                clients fetch it through the server.
        """
        from mlflow.entities.presigned_download import PresignedDownloadUrlResponse

        with translated():
            found = self._found(paths.reading(artifact_path))
            try:
                url = link_in_place(found.root, found.version, expiration)
            except Unsupported:
                if _client_release() >= _ASKS_ON_AFTER_REFUSAL:
                    raise
                return PresignedDownloadUrlResponse("", {}, None)
        return PresignedDownloadUrlResponse(url, {}, found.version.size)

    def _target(self, local_file: str, artifact_path: str | None) -> tuple[Store, str]:
        # Clients before 3.18 send the whole path, which may be one of Windows.
        there = PureWindowsPath(local_file)
        name = there.name if there.drive else os.path.basename(local_file)
        store, prefix = self._store_to_write()
        return store, joined(prefix, joined(paths.writing(artifact_path), name))


def repository_class(destination: str) -> type[VersionedArtifactRepository]:
    """Return what artifacts at a server's destination are kept with: it gives links where anything is native.

    As the settings are now: a server has to be started again where they change. Costs the look-up of the store.

    Raises:
        MlflowException: The store or its settings cannot be read.
    """
    with translated():
        return PresignedArtifactRepository if _gives_links(destination) else VersionedArtifactRepository


def _gives_links(destination: str) -> bool:
    try:
        store, _ = open_store(destination)
    except NoStore:
        return False
    if open_s3_versions(store.backend) is None or not read_settings(store.settings_log).native:
        return False
    # Clients would have to send the encryption key, or who pays, with each request.
    return not s3_config.resolve().upload.boto3_read()


def _client_release() -> tuple[int, int]:
    """Return the release of the client whose request the server answers; the newest where it does not tell."""
    flask: Any = sys.modules.get("flask")
    told = flask.request.user_agent.string if flask is not None and flask.has_request_context() else ""
    match = _CLIENT.search(told)
    return (int(match[1]), int(match[2])) if match else (sys.maxsize, 0)
