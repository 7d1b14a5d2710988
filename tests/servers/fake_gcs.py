"""fake-gcs-server: the JSON API of Google Cloud Storage."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.binaries import FAKE_GCS
from tests.servers.process import Process, free_port, listens


class FakeGcs:
    """A fake-gcs-server.

    Args:
        folder: Where its data and its log go.
        versioned: It can keep generations that are replaced, and keeps everything in memory for that.

    Attributes:
        endpoint: Its URL.
        options: The arguments of a `gcsfs.GCSFileSystem` on it.
    """

    name = "fake-gcs"

    def __init__(self, folder: Path, *, versioned: bool = False) -> None:
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
                "memory" if versioned else "filesystem",
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

    def new_bucket(self, *, versioned: bool = False) -> str:
        """Create an empty bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:20]}"
        described = {"name": name, "versioning": {"enabled": versioned}}
        self._send("POST", "b?project=test", json.dumps(described).encode(), {"Content-Type": "application/json"})
        return name

    def keep_versions(self, bucket: str, *, on: bool) -> None:
        """Switch versioning on or off."""
        described = json.dumps({"versioning": {"enabled": on}}).encode()
        self._send("PATCH", f"b/{bucket}", described, {"Content-Type": "application/json"})

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return what a plain reader of an object gets; None where there is nothing."""
        try:
            return self._send("GET", f"b/{bucket}/o/{quote(key, safe='')}?alt=media")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def keys(self, bucket: str) -> list[str]:
        """Return the names of all objects that have a live generation."""
        return sorted(item["name"] for item in self._list(bucket, ""))

    def versions(self, bucket: str, key: str) -> list[str]:
        """Return the generations of an object, oldest first."""
        listed = self._list(bucket, f"?versions=true&prefix={quote(key, safe='')}")
        return sorted(item["generation"] for item in listed if item["name"] == key)

    def overwrite(self, bucket: str, key: str, data: bytes) -> None:
        """Write as somebody does who knows nothing of stores."""
        self._send("POST", f"b/{bucket}/o?uploadType=media&name={quote(key, safe='')}", data, service="upload/")

    def remove(self, bucket: str, keys: Iterable[str]) -> None:
        """Delete as somebody does who knows nothing of stores."""
        for key in keys:
            self._send("DELETE", f"b/{bucket}/o/{quote(key, safe='')}")

    def _list(self, bucket: str, query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._send("GET", f"b/{bucket}/o{query}")).get("items", [])
        return found

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        service: str = "",
    ) -> bytes:
        url = f"{self.endpoint}/{service}storage/v1/{path}"
        request = urllib.request.Request(url, data, dict(headers or {}), method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: bytes = answer.read()
        return body

    def environment(self) -> dict[str, str]:
        """Return the variables that send GCS clients here.

        The last one keeps gcsfs from asking, over gRPC and for a minute, what kind of bucket it has.
        """
        return {"STORAGE_EMULATOR_HOST": self.endpoint, "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
