"""Which storage account of Azure is meant."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.backends.azure import open_azure
from mlflow_versioned_store.backends.azure_account import AzureAccount, account_from_environment
from mlflow_versioned_store.errors import CredentialsMissing

ENDPOINT = "https://ann.blob.core.windows.net"


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"])
@pytest.mark.parametrize(
    ("secret", "found"),
    [
        ("AZURE_STORAGE_ACCESS_KEY", AzureAccount("ann", ENDPOINT, key="c2VjcmV0")),
        ("AZURE_STORAGE_KEY", AzureAccount("ann", ENDPOINT, key="c2VjcmV0")),
        ("AZURE_STORAGE_SAS_TOKEN", AzureAccount("ann", ENDPOINT, sas="sig=c2VjcmV0")),
    ],
)
def test_an_account_comes_from_its_variables(
    monkeypatch: pytest.MonkeyPatch, name: str, secret: str, found: AzureAccount
) -> None:
    """One variable names the account, another one its key or signature; no message shows those."""
    monkeypatch.setenv(name, "ann")
    monkeypatch.setenv(secret, found.key or found.sas or "")
    assert account_from_environment() == found
    assert "c2VjcmV0" not in repr(found)
    assert open_azure("box").location == "az://box"


def test_a_connection_string_says_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before the other variables."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "ben")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=ann;AccountKey=c2VjcmV0;EndpointSuffix=example")
    assert account_from_environment() == AzureAccount("ann", "https://ann.blob.example", key="c2VjcmV0")


def test_without_an_account_the_variables_are_named() -> None:
    """The error says what to set."""
    with pytest.raises(CredentialsMissing, match="AZURE_STORAGE_ACCOUNT"):
        account_from_environment()
