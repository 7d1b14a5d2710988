"""Presigned links: whoever has one reads one exact version, for as long as it holds, without credentials."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.boto3_objects import s3_client
from mlflow_versioned_store.content.locations import Native, Reference
from mlflow_versioned_store.direct.destinations import Destination
from mlflow_versioned_store.direct.materializing import manifest_of
from mlflow_versioned_store.errors import InvalidInput, Unsupported
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.http_headers import attachment, media_type
from mlflow_versioned_store.references import open_reference
from mlflow_versioned_store.roots import clean_path, joined

# What Signature Version 4 allows.
SECONDS_MAX = 7 * 24 * 3600


def link(
    root: ArtifactRoot, version: Version, seconds: int, *, store_id: str, copies: Destination | None = None
) -> str:
    """Return a link that reads a version for some time, as a file of its real name and type.

    A native version, and one that is referred to, is read where it is; a packed one only where it was materialised. No
    request, but one for the manifest of copies.

    Args:
        root: The artifact root.
        version: The version.
        seconds: How long it holds, up to seven days.
        store_id: The id of the root's store.
        copies: Where versions were materialised.

    Raises:
        InvalidInput: It cannot hold that long.
        NotFound: There is no copy of the version there.
        Unsupported: The version is packed, or the store makes no links.
    """
    if copies is None:
        return link_in_place(root, version, seconds)
    manifest = manifest_of(root, version, copies, store_id=store_id)
    return _signed(joined(copies.uri, manifest.prefix, manifest.files[0].name), None, version, seconds)


def link_in_place(root: ArtifactRoot, version: Version, seconds: int) -> str:
    """Return a link that reads a version where it is, for some time. At most one request.

    Args:
        root: The artifact root.
        version: The version.
        seconds: How long it holds, up to seven days.

    Raises:
        InvalidInput: It cannot hold that long.
        AccessDenied: The version is an object to which this reader follows no reference.
        Unsupported: The version is packed, or the store makes no links.
    """
    match root.location(version):
        case Native(key, s3_version_id):
            return _signed(joined(root.store_location, clean_path(key)), s3_version_id, version, seconds)
        case Reference(uri, s3_version_id, _) if s3_version_id is not None:
            # Who writes a commit must not get links to whatever our credentials may read.
            open_reference(uri, root.store_location)
            return _signed(uri, s3_version_id, version, seconds)
    name = format_address(version.path, version.number)
    raise Unsupported(
        f"{name} is packed, so there is no object that a link could lead to. Write a copy with `mvs materialize` and "
        "say where it is, serve the store with `mvs serve-s3`, or keep such paths natively."
    )


def _signed(uri: str, s3_version_id: str | None, version: Version, seconds: int) -> str:
    if not 0 < seconds <= SECONDS_MAX:
        raise InvalidInput(f"A link holds for 1 to {SECONDS_MAX} seconds (seven days), not {seconds}.")
    scheme, _, place = uri.partition("://")
    if scheme != "s3":
        raise Unsupported(f"{uri} is not in an S3 bucket; only these give links.")
    bucket, _, key = place.partition("/")
    name = version.path.rpartition("/")[2]
    parameters: dict[str, Any] = {
        "Bucket": bucket,
        "Key": key,
        "ResponseContentDisposition": attachment(name),
        "ResponseContentType": media_type(name),
    }
    if s3_version_id is not None:
        parameters["VersionId"] = s3_version_id
    client = _signer(s3_config.fingerprint())
    return str(client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))


@lru_cache(maxsize=1)
def _signer(_configuration: tuple[object, ...]) -> Any:
    """Return a client to sign with; making one takes longer than to read a small file, so it is kept."""
    return s3_client(s3_config.resolve())
