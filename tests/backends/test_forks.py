"""A child forked after obstore was used goes on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import pytest

from mlflow_versioned_store.backends import forks
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.errors import Conflict
from tests.conftest import StorageServer
from tests.servers.azurite import Azurite
from tests.servers.fake_gcs import FakeGcs
from tests.servers.s3 import S3Server

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # That forking a process with threads is dangerous is what these tests are about.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]

Environment = Callable[[S3Server], None]
Forked = Callable[[Callable[[], bytes]], bytes]


def test_s3(minio: S3Server, s3_env: Environment, forked: Forked) -> None:
    """It reads, writes, creates, lists and deletes; parent and child see each other's objects."""
    s3_env(minio)
    bucket = minio.new_bucket()
    backend, _ = open_container(f"versioned-s3://{bucket}")
    backend.put("parent", b"from the parent")

    def work() -> bytes:
        read = bytes(backend.get("parent").data)
        backend.put("child", read, create=True)
        try:
            backend.put("child", b"", create=True)
        except Conflict:
            read += b", conflict"
        backend.delete(["parent"])
        fresh, _ = open_container(f"versioned-s3://{bucket}/x")
        return read + b", " + ",".join(info.key for info in fresh.list("")).encode()

    assert forked(work) == b"from the parent, conflict, child"
    assert bytes(backend.get("child").data) == b"from the parent"


def test_grandchildren(minio: S3Server, s3_env: Environment, forked: Forked) -> None:
    """A child's child opens connections of its own."""
    s3_env(minio)
    bucket = minio.new_bucket()
    backend, _ = open_container(f"versioned-s3://{bucket}")
    backend.put("a", b"1")

    def work() -> bytes:
        backend.get("a")
        return forked(lambda: bytes(backend.get("a").data) + b"2")

    assert forked(work) == b"12"


def test_memory_says_that_it_cannot(forked: Forked) -> None:
    """A memory store belongs to its process, and a child is told so."""
    backend, _ = open_container("versioned-memory://forked")
    backend.put("a", b"1")
    assert b"Unsupported" in forked(lambda: bytes(backend.get("a").data))


def test_azure(azurite: Azurite, monkeypatch: pytest.MonkeyPatch, forked: Forked) -> None:
    """On Azure a child goes on through adlfs."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    backend, _ = open_container(f"versioned-az://{azurite.new_bucket()}")
    backend.put("parent", b"from the parent")

    def work() -> bytes:
        backend.put("child", bytes(backend.get("parent").data), create=True)
        try:
            backend.put("child", b"", create=True)
        except Conflict:
            return b"conflict"
        return b"no conflict"

    assert forked(work) == b"conflict"
    assert bytes(backend.get("child").data) == b"from the parent"


def test_gcs(fake_gcs: FakeGcs, use_server: Callable[[StorageServer], None], forked: Forked) -> None:
    """On Google Cloud Storage a child makes a gcsfs of its own."""
    use_server(fake_gcs)
    backend, _ = open_container(f"versioned-gs://{fake_gcs.new_bucket()}")
    backend.put("parent", b"from the parent")

    def work() -> bytes:
        backend.put("child", bytes(backend.get("parent").data), create=True)
        return b"done"

    assert forked(work) == b"done"
    assert bytes(backend.get("child").data) == b"from the parent"


def test_a_child_of_a_process_without_obstore_may_use_it(monkeypatch: pytest.MonkeyPatch, forked: Forked) -> None:
    """Nothing is lost where obstore was never loaded."""
    without = {name: module for name, module in sys.modules.items() if name != "obstore"}
    monkeypatch.setattr(sys, "modules", without)
    assert forked(lambda: str(forks.obstore_lost()).encode()) == b"False"
    monkeypatch.undo()
    import obstore

    assert obstore is not None
    assert forked(lambda: str(forks.obstore_lost()).encode()) == b"True"
    assert not forks.obstore_lost()


def test_locks_are_free_in_a_child(forked: Forked) -> None:
    """A lock that another thread held at the fork does not stop the child."""
    lock = fork_safe_lock()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    assert forked(lambda: str(lock.acquire(timeout=5)).encode()) == b"True"
    done.set()
    holder.join()
