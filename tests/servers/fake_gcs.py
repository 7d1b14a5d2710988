"""fake-gcs-server: the JSON API of Google Cloud Storage."""

from __future__ import annotations

import json
import urllib.request
import uuid
from functools import partial
from pathlib import Path

from tests.servers.binaries import FAKE_GCS
from tests.servers.process import Process, free_port, listens


class FakeGcs:
    """A fake-gcs-server.

    Args:
        folder: Where its data and its log go.

    Attributes:
        endpoint: Its URL.
        options: The arguments of a `gcsfs.GCSFileSystem` on it.
    """

    name = "fake-gcs"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.options = {"endpoint_url": self.endpoint, "token": "anon", "project": "test"}
        self.process = Process(
            [
                str(FAKE_GCS.path()),
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
                "-port",
                str(port),
                "-backend",
                "filesystem",
                "-filesystem-root",
                str(folder / "data"),
                "-public-host",
                f"127.0.0.1:{port}",
                "-external-url",
                self.endpoint,
            ],
            log=folder / "fake-gcs.log",
            ready=partial(listens, port),
        )
        self.process.start()

    def stop(self) -> None:
        """Stop the server."""
        self.process.stop()

    def new_bucket(self) -> str:
        """Create an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:20]}"
        request = urllib.request.Request(
            f"{self.endpoint}/storage/v1/b?project=test",
            data=json.dumps({"name": name}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10):
            return name

    def environment(self) -> dict[str, str]:
        """Return the variables that send GCS clients here.

        The last one keeps gcsfs from asking, over gRPC and for a minute, what kind of bucket it has.
        """
        return {"STORAGE_EMULATOR_HOST": self.endpoint, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
