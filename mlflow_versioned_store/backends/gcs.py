"""A bucket of Google Cloud Storage: through obstore; through gcsfs on an emulator and after a fork."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from typing import Any

from mlflow_versioned_store.backends.clock import server_time
from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.forks import ForkAwareBackend, obstore_lost
from mlflow_versioned_store.backends.fsspec_objects import FsspecBackend
from mlflow_versioned_store.backends.gcs_versions import GcsVersions
from mlflow_versioned_store.backends.objects import ObstoreBackend, Stores
from mlflow_versioned_store.errors import CredentialsMissing, Unsupported

_URL = "https://storage.googleapis.com"
_CAPABILITIES = Capabilities(ordered_list=True, object_versions=True, durable=True, remote=True)
_SECONDS_MAX = 10


def open_gcs(bucket: str) -> Backend:
    """Return a bucket, with application default credentials. No request.

    `STORAGE_EMULATOR_HOST` names an emulator, which is used without credentials.

    Raises:
        CredentialsMissing: There are none.
        Unsupported: gcsfs is needed and not installed.
    """
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")

    def make() -> Backend:
        # Emulators speak the JSON interface, which obstore does not use.
        return _gcsfs(bucket, emulator) if emulator or obstore_lost() else _obstore(bucket)

    return ForkAwareBackend(make)


def _obstore(bucket: str) -> Backend:
    from obstore.exceptions import BaseError
    from obstore.store import GCSStore

    stall, transfer = timedelta(seconds=_SECONDS_MAX), timedelta(seconds=600)
    retries: Any = {"max_retries": 0, "retry_timeout": stall}
    try:
        quick = GCSStore(bucket, client_options={"read_timeout": stall, "timeout": transfer}, retry_config=retries)
    except BaseError as error:
        raise CredentialsMissing(
            f"No credentials for gs://{bucket} can be used: {str(error).partition(chr(10))[0]}. Set "
            "GOOGLE_APPLICATION_CREDENTIALS, or log in (gcloud auth application-default login)."
        ) from error
    bulk = partial(GCSStore, bucket, client_options={"timeout": transfer}, retry_config=retries)
    return ObstoreBackend(
        Stores(quick, quick, bulk),
        location=f"gs://{bucket}",
        capabilities=_CAPABILITIES,
        clock=partial(server_time, _URL),
    )


def _gcsfs(bucket: str, emulator: str | None) -> Backend:
    # gcsfs would ask, over another protocol and for up to a minute, whether a bucket is of a kind not used here.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    try:
        from gcsfs import GCSFileSystem
    except ImportError as error:
        raise Unsupported(f"gs://{bucket} needs gcsfs here: pip install mlflow-versioned-store[gcs].") from error

    class Once(GCSFileSystem):  # type: ignore[misc]
        """Sends each request once; a create that is sent again could take itself for somebody else's."""

        _request = GCSFileSystem._request.__wrapped__  # noqa: SLF001 - there is no setting for it

    options: dict[str, Any] = {"endpoint_url": emulator, "token": "anon"} if emulator else {}
    filesystem = Once(**options, use_listings_cache=False, skip_instance_cache=True, requests_timeout=_SECONDS_MAX)
    clock = partial(server_time, emulator or _URL)
    return FsspecBackend(filesystem, bucket, location=f"gs://{bucket}", clock=clock, versions=GcsVersions(bucket))
