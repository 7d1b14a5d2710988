"""Which storage account of Azure is used, and with which credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mlflow_versioned_store.errors import CredentialsMissing, InvalidInput


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
