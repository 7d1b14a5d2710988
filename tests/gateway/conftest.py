"""An endpoint in front of an embedded store, and the same objects in a MinIO bucket beside it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.gateway.access_keys import AccessKey
from mlflow_versioned_store.gateway.access_records import AccessRecord, AccessRecords
from mlflow_versioned_store.gateway.app import Gateway
from mlflow_versioned_store.gateway.bucket import Bucket
from mlflow_versioned_store.gateway.serving import listen, server
from mlflow_versioned_store.store import Store, create_store

LOOPBACK = "127.0.0.1"
RUN, OTHER = "1/" + "a" * 32 + "/artifacts", "1/" + "b" * 32 + "/artifacts"
BUCKET = "store"
KEY = AccessKey("reader", "secret-of-the-reader")
NARROW = AccessKey("narrow", "secret-of-the-narrow-one", (f"{BUCKET}/{RUN}/data/",))
CONTEXT = Context()
LARGE = bytes(range(256)) * 20_000
# Names that sort differently by component and by byte, and names that need encoding.
NAMES = [
    "a-b.txt",
    "a.txt",
    "a/b.txt",
    "a/c/d.txt",
    "a b.txt",
    "a+b&c=d.txt",
    "a%20b.txt",
    "Ünïcode/日本語.txt",
    "quote'\"<>.txt",
    "data/one.csv",
    "data/two.csv",
    "zz~tilde.txt",
    "page.html",
]


class Endpoint:
    """A running endpoint.

    Args:
        store: What it serves, as the bucket "store".
    """

    def __init__(self, store: Store):
        self.store = store
        listening = listen(LOOPBACK, 0)
        self.port = listening.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._records = io.BytesIO()
        keys = {key.name: key for key in (KEY, NARROW)}
        self.gateway = Gateway({BUCKET: Bucket(BUCKET, store)}, keys, AccessRecords(self._records))
        self._server = server(self.gateway)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def s3(self, key: AccessKey = KEY, **options: Any) -> Any:
        """Return a boto3 client."""
        import boto3
        from botocore.config import Config

        style = options.pop("addressing_style", "path")
        return boto3.client(
            "s3",
            endpoint_url=options.pop("endpoint_url", self.url),
            aws_access_key_id=key.name,
            aws_secret_access_key=options.pop("secret", key.secret),
            region_name="us-east-1",
            config=Config(s3={"addressing_style": style}, retries={"max_attempts": 1}, signature_version="s3v4"),
            **options,
        )

    def records(self) -> list[AccessRecord]:
        """Return the reads so far."""
        return [msgspec.json.decode(line, type=AccessRecord) for line in self._records.getvalue().splitlines()]

    def stop(self) -> None:
        """Stop it."""
        self._server.should_exit = True
        self._thread.join()


def fill(store: Store) -> None:
    """Log two runs: odd names, several versions, a deletion, a large file, and one file of the store's own root."""
    root = store.root(RUN)
    root.upload([Item(name, f"one {name}".encode()) for name in NAMES], context=CONTEXT)
    root.upload([Item("data/one.csv", b"two"), Item("large.bin", LARGE), Item("empty", b"")], context=CONTEXT)
    root.upload([Item("gone.txt", b"gone")], context=CONTEXT)
    root.delete("gone.txt", context=CONTEXT)
    store.root(OTHER).upload([Item("x.txt", b"x")], context=CONTEXT)
    store.root("").upload([Item("1/note.txt", b"note"), Item("readme", b"readme")], context=CONTEXT)


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint in front of a store on local files."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    store = create_store(f"versioned-file://{folder}/store")
    fill(store)
    running = Endpoint(store)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint in front of an empty store, for tests that log something."""
    running = Endpoint(create_store(f"versioned-file://{tmp_path_factory.mktemp('scratch')}/store"))
    yield running
    running.stop()


@pytest.fixture
def s3(endpoint: Endpoint) -> Iterator[Any]:
    """A boto3 client of it."""
    client = endpoint.s3()
    yield client
    client.close()
