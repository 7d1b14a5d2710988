"""What the way to Azure needs beside what every provider does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mlflow_versioned_store.backends.azure_account import account_from_environment
from mlflow_versioned_store.backends.azure_versions import AzureVersions
from mlflow_versioned_store.backends.object_versions import Labels
from mlflow_versioned_store.content.workers import sending
from mlflow_versioned_store.errors import Unavailable, Unsupported
from tests.conftest import StorageServer
from tests.servers.azure_double import AzureDouble

PART = 1 << 20


@pytest.fixture
def container(azure_double: AzureDouble, use_server: Callable[[StorageServer], None]) -> str:
    """A container of an account that keeps versions."""
    use_server(azure_double)
    return azure_double.new_bucket()


@pytest.fixture
def versions(container: str) -> AzureVersions:
    """Its object versions, below a folder."""
    return AzureVersions(container, "lake", account_from_environment())


def test_writers_of_one_key_do_not_mix_their_blocks(
    versions: AzureVersions, azure_double: AzureDouble, container: str
) -> None:
    """Who commits first wins whole; the other one hears of it."""

    def parts() -> Iterator[bytes]:
        yield b"a" * PART
        versions.put_parts("t", iter([b"b" * PART, b"c"]), Labels(), sending, part_bytes=PART, ahead=1)
        yield b"d"

    with pytest.raises(Unavailable, match="same time"):
        versions.put_parts("t", parts(), Labels(), sending, part_bytes=PART, ahead=1)
    assert azure_double.read(container, "lake/t") == b"b" * PART + b"c"


def test_metadata_has_names_that_azure_takes(
    versions: AzureVersions, azure_double: AzureDouble, container: str
) -> None:
    """Hyphens are underscores there, and hyphens again for whoever looks."""
    version = versions.put("t", b"", Labels(metadata={"mvs-store": "s"}))
    assert azure_double.find(container, "lake/t", version).metadata == {"mvs_store": "s"}
    found = versions.describe("t")
    assert found is not None
    assert found.metadata == {"mvs-store": "s"}


def test_tags_are_those_of_the_version(versions: AzureVersions, azure_double: AzureDouble, container: str) -> None:
    """They are index tags of exactly that one."""
    first, second = versions.put("t", b"one", Labels()), versions.put("t", b"two", Labels())
    versions.tag("t", first, {"mvs-run": "r"})
    assert "<Key>mvs-run</Key><Value>r</Value>" in azure_double.find(container, "lake/t", first).tags
    assert azure_double.find(container, "lake/t", second).tags == ""


def test_an_account_that_keeps_none_is_told_by_what_was_written(azure_double: AzureDouble, container: str) -> None:
    """Everybody learns it from what `keep_versions` wrote, and again when that is written anew."""

    def opened() -> AzureVersions:
        return AzureVersions(container, "lake", account_from_environment())

    assert not opened().are_usable()
    assert opened().keep_versions() == ""
    assert opened().are_usable()
    azure_double.keep_versions(container, on=False)
    with pytest.raises(Unsupported, match="versioning of the storage account is off"):
        opened().put("t", b"one", Labels())
    assert "--enable-versioning true" in opened().keep_versions()
    assert not opened().are_usable()


def test_what_was_written_without_versions_is_the_current_one(
    versions: AzureVersions, azure_double: AzureDouble, container: str
) -> None:
    """A listing shows it above those that were kept before."""
    first = versions.put("t", b"one", Labels())
    azure_double.keep_versions(container, on=False)
    azure_double.overwrite(container, "lake/t", b"two")
    assert [(one.s3_version_id, one.current) for one in versions.list("t", exactly=True)] == [
        ("", True),
        (first, False),
    ]
