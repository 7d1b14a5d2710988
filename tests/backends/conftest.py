"""Fixtures of the backends' tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from mlflow_versioned_store.backends import s3
from tests.backends.scripted import Proxy, Scripted, closing


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    """An HTTP server that answers what a test scripts, and the environment that sends S3 clients to it."""
    server = Scripted()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "some-secret")
    with closing(server):
        yield server


@pytest.fixture
def forked() -> Callable[[Callable[[], bytes]], bytes]:
    """Run a function in a forked child and return the bytes it returned, within 30 seconds."""

    def run(work: Callable[[], bytes]) -> bytes:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writer, work())
            except BaseException as error:  # noqa: BLE001 - a child must never return into pytest
                os.write(writer, repr(error).encode())
            os._exit(0)
        os.close(writer)
        deadline = time.monotonic() + 30
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the forked child hangs")
            time.sleep(0.02)
        with os.fdopen(reader, "rb") as answer:
            return answer.read()

    return run


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A forward proxy."""
    server = Proxy()
    with closing(server):
        yield server


@pytest.fixture(params=["obstore", "boto3"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both clients in turn."""
    if request.param == "boto3":
        monkeypatch.setattr(s3, "obstore_lost", lambda: True)
    name: str = request.param
    return name
