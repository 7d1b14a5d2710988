"""Request bodies: short ones kept until they are complete, long ones stored while they arrive."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlflow_versioned_store.mlflow_plugin import streams
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
from mlflow_versioned_store.store import Stream

SIZES = [0, 1, streams.KEPT_BYTES_MAX, streams.KEPT_BYTES_MAX + 1, 20 * 1024 * 1024 + 7]


async def _chunks(data: bytes, size: int = 256 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _read_all(body: bytes | Stream) -> bytes:
    if isinstance(body, bytes):
        return body
    pieces = []
    while piece := body.read(300_000):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_comes_back_whole(size: int) -> None:
    """Whether it is short enough to be kept or not."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    read: list[bytes] = []
    streams.log_stream(io.BytesIO(data), lambda body: read.append(_read_all(body)))
    asyncio.run(streams.log_async(_chunks(data), lambda body: read.append(_read_all(body))))
    assert read == [data, data]


def test_a_large_body_is_stored_off_the_event_loop_while_it_arrives() -> None:
    """The loop serves other requests, and no more than is bounded waits in memory."""
    ahead: list[int] = []
    read = 0

    async def counted() -> AsyncIterator[bytes]:
        for at in range(200):
            ahead.append(at * 256 * 1024 - read)
            yield bytes(256 * 1024)

    def slowly(body: bytes | Stream) -> None:
        nonlocal read
        assert not isinstance(body, bytes)
        assert threading.current_thread() is not threading.main_thread()
        while piece := body.read(1024 * 1024):
            read += len(piece)

    asyncio.run(streams.log_async(counted(), slowly))
    assert read == 200 * 256 * 1024
    assert max(ahead) <= 10 * 1024 * 1024


def test_senders_that_stall_hold_up_nobody_else(repository: VersionedArtifactRepository) -> None:
    """Neither the threads of the event loop nor the memory that uploads share; they all arrive in the end."""

    async def serve() -> None:
        goes_on = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            async for chunk in _chunks(os.urandom(12 * 1024 * 1024)):
                yield chunk
            await goes_on.wait()

        log = repository.log_artifact_from_async_stream
        stalled = [asyncio.create_task(log(stalling(), f"stalled-{n}.bin")) for n in range(8)]
        await asyncio.sleep(0.1)
        for size in (1000, 20 * 1024 * 1024):
            await asyncio.wait_for(log(_chunks(os.urandom(size)), f"{size}.bin"), 60)
        goes_on.set()
        await asyncio.gather(*stalled)

    asyncio.run(serve())
    assert len(repository.list_artifacts()) == 10


def test_large_bodies_at_once_come_back_whole() -> None:
    """The one that is stored while it arrives, and those that wait in files; through both kinds of stream."""
    data = [os.urandom(3 * 1024 * 1024 + n) for n in range(4)]
    read: set[bytes] = set()
    started = threading.Barrier(4, timeout=60)

    def log(body: bytes | Stream) -> None:
        started.wait()
        read.add(_read_all(body))

    async def all_of_them() -> None:
        sync = (asyncio.to_thread(streams.log_stream, io.BytesIO(body), log) for body in data[:2])
        await asyncio.gather(*sync, *(streams.log_async(_chunks(body), log) for body in data[2:]))

    asyncio.run(all_of_them())
    assert read == set(data)


@pytest.mark.parametrize("size", [5, 3 * 1024 * 1024])
def test_a_store_that_fails_ends_the_upload_with_its_error(size: int) -> None:
    """Also while the body still arrives; the sender is not left waiting."""

    def refuse(_: bytes | Stream) -> None:
        raise PermissionError("no")

    with pytest.raises(PermissionError, match="no"):
        asyncio.run(streams.log_async(_chunks(bytes(size)), refuse))


def test_a_large_upload_that_breaks_off_logs_nothing(repository: VersionedArtifactRepository) -> None:
    """Half a file never becomes a version, though half of it was stored."""

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield os.urandom(1024 * 1024)
        raise ConnectionResetError("the client went away")

    with pytest.raises(Exception, match="went away"):
        asyncio.run(repository.log_artifact_from_async_stream(broken(), "a.bin"))
    assert repository.list_artifacts() == []


def test_an_upload_that_breaks_off_logs_nothing(repository: VersionedArtifactRepository) -> None:
    """Half a file never becomes a version."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError("the client went away")

    with pytest.raises(Exception, match="went away"):
        asyncio.run(repository.log_artifact_from_async_stream(broken(), "a.bin"))
    assert repository.list_artifacts() == []


def test_streams_are_logged_under_their_own_name(repository: VersionedArtifactRepository, tmp_path: Path) -> None:
    """Folders in front of the name are ignored, as MLflow asks."""
    repository.log_artifact_from_stream(io.BytesIO(b"sync"), "some/where/a.bin", "d")
    asyncio.run(repository.log_artifact_from_async_stream(_chunks(b"async"), "b.bin", "d"))
    folder = Path(repository.download_artifacts("d", tmp_path))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.bin": b"sync", "b.bin": b"async"}


def test_a_replayed_stream_makes_no_new_version(repository: VersionedArtifactRepository) -> None:
    """MLflow's client sends a PUT again when the answer was lost."""
    for _ in range(3):
        repository.log_artifact_from_stream(io.BytesIO(b"same"), "a.bin")
    assert Path(repository.download_artifacts("a.bin@v1")).read_bytes() == b"same"
    with pytest.raises(Exception, match="v2"):
        repository.download_artifacts("a.bin@v2")


def test_many_clients_at_once_all_arrive(repository: VersionedArtifactRepository) -> None:
    """One event loop, many bodies in flight."""

    async def all_of_them() -> None:
        await asyncio.gather(
            *(repository.log_artifact_from_async_stream(_chunks(b"%d" % n), f"{n}.txt") for n in range(20))
        )

    asyncio.run(all_of_them())
    assert len(repository.list_artifacts()) == 20
