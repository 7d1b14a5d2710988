"""Reading an object by S3: stock from MinIO itself, ours through `mvs serve-s3`, a process of its own on this machine.

The client is the same, and so is what it reads; memory is all that the gateway's process has, at its highest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PIECE_BYTES = 1 << 20
KEY = {"MVS_GATEWAY_ACCESS_KEY": "reader", "MVS_GATEWAY_SECRET_KEY": "secret-of-the-reader"}
Work = Callable[[], "dict[str, Any]"]


@dataclass(frozen=True)
class _Object:
    """An object, the client that reads it, and the gateway's process, where there is one."""

    client: Any
    bucket: str
    key: str
    process: int | None

    def read(self, start: int, stop: int) -> float:
        """Read [start, stop) to its end; return the seconds to the first byte."""
        began = time.perf_counter()
        body = self.client.get_object(Bucket=self.bucket, Key=self.key, Range=f"bytes={start}-{stop - 1}")["Body"]
        size, first = len(body.read(1)), time.perf_counter() - began
        while piece := body.read(PIECE_BYTES):
            size += len(piece)
        if size != stop - start:
            raise RuntimeError(f"{size:,} bytes came back of {stop - start:,}")
        return first

    def memory(self) -> dict[str, int]:
        """The most memory that the gateway has had."""
        if self.process is None:
            return {}
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{self.process}/status").read_text(), re.MULTILINE)
        return {"memory": int(found[1]) * 1024} if found else {}


def read_object(order: dict[str, Any]) -> Work:
    """All of it, one piece after another."""
    return _measured(order, lambda found: found.read(0, order["size"]))


def first_byte(order: dict[str, Any]) -> Work:
    """The first byte of all of it, of a gateway that has read nothing yet."""

    def work(found: _Object) -> dict[str, Any]:
        return {"seconds": found.read(0, order["size"])}

    return _measured(order, work)


def read_at_once(order: dict[str, Any]) -> Work:
    """Equal shares of it by many readers that start at once."""
    share = order["size"] // order["readers"]

    def work(found: _Object) -> None:
        with ThreadPoolExecutor(order["readers"]) as pool:
            list(pool.map(lambda number: found.read(number * share, (number + 1) * share), range(order["readers"])))

    return _measured(order, work)


def _measured(order: dict[str, Any], work: Callable[[_Object], Any]) -> Work:
    opened = contextlib.ExitStack()
    found = opened.enter_context(_served(order))

    def measured() -> dict[str, Any]:
        with opened:
            start = time.perf_counter()
            detail = work(found)
            seconds = {"seconds": time.perf_counter() - start}
            return seconds | (detail if isinstance(detail, dict) else {}) | found.memory()

    return measured


@contextmanager
def _served(order: dict[str, Any]) -> Iterator[_Object]:
    import boto3
    import mlflow
    from botocore.config import Config

    uri = mlflow.get_artifact_uri()
    config = Config(max_pool_connections=64, retries={"max_attempts": 1})
    if order["scheme"] == "s3":
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], config=config)
        yield _Object(client, bucket, f"{key}/{order['name']}", None)
        return
    command = [sys.executable, "-m", "mlflow_versioned_store", "serve-s3", f"run={uri}", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--access-log", os.devnull], stdout=subprocess.PIPE, text=True, env=os.environ | KEY
    ) as process:
        try:
            assert process.stdout is not None
            endpoint = json.loads(process.stdout.readline())["endpoint"]
            name, secret = KEY.values()
            client = boto3.client(
                "s3", endpoint_url=endpoint, config=config, aws_access_key_id=name, aws_secret_access_key=secret
            )
            yield _Object(client, "run", order["name"], process.pid)
        finally:
            process.terminate()


OPERATIONS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "read_object": read_object,
    "first_byte": first_byte,
    "read_at_once": read_at_once,
}
