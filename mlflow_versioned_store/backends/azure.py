"""A container of Azure Blob Storage: through obstore, and through adlfs after a fork."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from mlflow_versioned_store.backends.azure_account import AzureAccount, account_from_environment
from mlflow_versioned_store.backends.azure_versions import AzureVersions
from mlflow_versioned_store.backends.clock import server_time
from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.forks import ForkAwareBackend, obstore_lost
from mlflow_versioned_store.backends.fsspec_objects import FsspecBackend
from mlflow_versioned_store.backends.objects import ObstoreBackend, Stores
from mlflow_versioned_store.errors import Unsupported

_CAPABILITIES = Capabilities(ordered_list=True, object_versions=True, durable=True, remote=True)
_SECONDS_MAX = 10


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
    versions = AzureVersions(container, "", account)
    return FsspecBackend(filesystem, container, location=f"az://{container}", clock=clock, versions=versions)
