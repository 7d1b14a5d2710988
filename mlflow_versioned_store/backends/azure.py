"""A container of Azure Blob Storage: through obstore, and through adlfs after a fork."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from mlflow_versioned_store.backends.clock import server_time
from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.forks import ForkAwareBackend, obstore_lost
from mlflow_versioned_store.backends.fsspec_objects import FsspecBackend
from mlflow_versioned_store.backends.objects import ObstoreBackend, Stores
from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput, Unsupported

_CAPABILITIES = Capabilities(ordered_list=True, object_versions=False, durable=True, remote=True)
_SECONDS_MAX = 12


@dataclass(frozen=True, slots=True)
class AzureAccount:
    """A storage account, from the variables that MLflow and the Azure command line read.

    Args:
        name: The account.
        endpoint: Its URL.
        key: Its shared key.
        sas: A shared access signature, as in a URL's query.
    """

    name: str
    endpoint: str
    key: str | None = None
    sas: str | None = None

    def __repr__(self) -> str:
        return f"AzureAccount({self.name!r}, {self.endpoint!r})"


def account_from_environment() -> AzureAccount:
    """Return the account of `AZURE_STORAGE_CONNECTION_STRING`, or of `AZURE_STORAGE_ACCOUNT` and its companions.

    Raises:
        CredentialsMissing: No variable names an account.
        InvalidInput: The connection string lacks a part.
    """
    environ = os.environ
    connection = environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if connection:
        parts = dict(item.strip().partition("=")[::2] for item in connection.split(";") if item.strip())
        name, key, sas = parts.get("AccountName"), parts.get("AccountKey"), parts.get("SharedAccessSignature")
        endpoint = parts.get("BlobEndpoint")
        if name is None and endpoint:
            name = endpoint.partition("://")[2].partition(".")[0]
        if not name:
            raise InvalidInput("AZURE_STORAGE_CONNECTION_STRING names neither an account nor a blob endpoint.")
        protocol = parts.get("DefaultEndpointsProtocol", "https")
        suffix = parts.get("EndpointSuffix", "core.windows.net")
        return AzureAccount(name, endpoint or f"{protocol}://{name}.blob.{suffix}", key, sas)
    name = environ.get("AZURE_STORAGE_ACCOUNT") or environ.get("AZURE_STORAGE_ACCOUNT_NAME")
    if not name:
        raise CredentialsMissing(
            "No Azure storage account is configured. Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT "
            "with AZURE_STORAGE_ACCESS_KEY, AZURE_STORAGE_SAS_TOKEN or a login."
        )
    key = environ.get("AZURE_STORAGE_ACCESS_KEY") or environ.get("AZURE_STORAGE_KEY")
    return AzureAccount(name, f"https://{name}.blob.core.windows.net", key, environ.get("AZURE_STORAGE_SAS_TOKEN"))


def open_azure(container: str) -> Backend:
    """Return a container of the account that the environment names. No request.

    Raises:
        CredentialsMissing: No variable names an account.
        Unsupported: After a fork adlfs is needed and not installed.
    """
    account = account_from_environment()
    return ForkAwareBackend(lambda: _adlfs(container, account) if obstore_lost() else _obstore(container, account))


def _obstore(container: str, account: AzureAccount) -> Backend:
    from obstore.store import AzureStore

    stall, transfer = timedelta(seconds=_SECONDS_MAX), timedelta(seconds=600)
    config: Any = {"account_name": account.name, "endpoint": account.endpoint}
    if account.key:
        config["account_key"] = account.key
    elif account.sas:
        config["sas_key"] = account.sas.lstrip("?")
    options: Any = {"allow_http": account.endpoint.startswith("http://"), "timeout": transfer}
    retries: Any = {"max_retries": 0, "retry_timeout": stall}
    bulk = partial(AzureStore, container, config=config, client_options=options, retry_config=retries)
    quick = AzureStore(container, config=config, client_options=options | {"read_timeout": stall}, retry_config=retries)
    return ObstoreBackend(
        Stores(quick, quick, bulk),
        location=f"az://{container}",
        capabilities=_CAPABILITIES,
        clock=partial(server_time, account.endpoint),
    )


def _adlfs(container: str, account: AzureAccount) -> Backend:
    try:
        from adlfs import AzureBlobFileSystem
    except ImportError as error:
        raise Unsupported(
            f"A process forked after az://{container} was used needs adlfs: pip install mlflow-versioned-store[azure]."
        ) from error
    options: dict[str, Any] = {"account_name": account.name}
    if account.key:
        protocol = account.endpoint.partition("://")[0]
        options["connection_string"] = (
            f"DefaultEndpointsProtocol={protocol};AccountName={account.name};AccountKey={account.key};"
            f"BlobEndpoint={account.endpoint};"
        )
    elif account.sas:
        options |= {"sas_token": account.sas, "account_host": account.endpoint.partition("://")[2]}
    else:
        options["anon"] = False
    filesystem = AzureBlobFileSystem(**options, use_listings_cache=False, skip_instance_cache=True)
    clock = partial(server_time, account.endpoint)
    return FsspecBackend(filesystem, container, location=f"az://{container}", clock=clock)
