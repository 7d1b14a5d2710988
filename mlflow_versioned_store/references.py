"""Following a reference from a commit to an object outside the store's own layout.

A store may be hostile, so a reference leads only to where this reader's own configuration allows: the store's own
container, or a prefix listed in `MVS_ALLOWED_REFERENCES` (URIs, separated by commas). Local files are never followed.
"""

from __future__ import annotations

import os

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.errors import AccessDenied, InvalidInput


def open_reference(uri: str, store_location: str) -> tuple[Backend, str]:
    """Return the backend and key of a referenced object.

    Args:
        uri: Such as "s3://bucket/key", as a commit records it.
        store_location: Where the store is, such as "s3://bucket/prefix".

    Raises:
        AccessDenied: This reader's configuration does not allow it.
        InvalidInput: It is no URI of an object store.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme == "file" or ".." in rest.split("/"):
        raise InvalidInput(f"The reference {uri!r} is not one that is ever followed.")
    if not any(_is_below(uri, prefix) for prefix in (_container_of(store_location), *_allowed())):
        raise AccessDenied(
            f"The store refers to {uri}, outside of its own bucket. Add a prefix of it to MVS_ALLOWED_REFERENCES if "
            "you trust this store to make you read from there.",
            key=uri,
        )
    return open_container(f"versioned-{scheme}://{rest}")


def _allowed() -> list[str]:
    return [prefix.strip() for prefix in os.environ.get("MVS_ALLOWED_REFERENCES", "").split(",") if prefix.strip()]


def _container_of(location: str) -> str:
    scheme, _, rest = location.partition("://")
    return f"{scheme}://{rest.split('/', 1)[0]}"


def _is_below(uri: str, prefix: str) -> bool:
    return uri == prefix or uri.startswith(prefix.rstrip("/") + "/")
