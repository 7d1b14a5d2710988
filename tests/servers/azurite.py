"""Azurite: an Azure Blob server."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

from tests.servers.binaries import AZURITE
from tests.servers.process import Process, free_port, listens


class Azurite:
    """An Azurite server.

    Args:
        folder: Where its data and its log go.

    Attributes:
        endpoint: The URL of its one account.
        access_key: The account's name, as an S3 server would have a key id.
        secret_key: The account's key. Every Azurite has this one.
        connection_string: All three in the form the Azure libraries take.
    """

    name = "azurite"
    access_key = "devstoreaccount1"
    secret_key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}/{self.access_key}"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={self.access_key};"
            f"AccountKey={self.secret_key};BlobEndpoint={self.endpoint};"
        )
        self.process = Process(
            [
                str(AZURITE.path()),
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                str(port),
                "--location",
                str(folder),
                "--silent",
                "--skipApiVersionCheck",
            ],
            log=folder / "azurite.log",
            ready=partial(listens, port),
        )
        self.process.start()

    def stop(self) -> None:
        """Stop the server."""
        self.process.stop()

    def new_bucket(self) -> str:
        """Create an empty container and return its name."""
        from azure.storage.blob import BlobServiceClient

        name = f"container-{uuid.uuid4().hex[:20]}"
        with BlobServiceClient.from_connection_string(self.connection_string) as service:
            service.create_container(name)
        return name

    def environment(self) -> dict[str, str]:
        """Return the variables that send Azure clients and MLflow here."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.connection_string}
