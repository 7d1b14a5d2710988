"""Request bodies, kept until they are complete."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlflow_versioned_store.mlflow_plugin import streams
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

SIZES = [0, 1, 1024 * 1024, streams.MEMORY_BYTES_MAX, streams.MEMORY_BYTES_MAX + 1]


async def _chunks(data: bytes, size: int = 256 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", SIZES)
def test_a_stream_comes_back_whole(size: int) -> None:
    """Whether it fits in memory or not."""
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with streams.received(io.BytesIO(data)) as body:
        assert body.read() == data
    with asyncio.run(streams.received_async(_chunks(data))) as body:
        assert body.read() == data


def test_a_large_body_is_written_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop serves other requests while a disk is slow."""
    threads: set[int] = set()
    body = streams._body()
    write = body.writelines

    def noted(lines: list[bytes]) -> None:
        threads.add(threading.get_ident())
        write(lines)

    monkeypatch.setattr(streams, "_body", lambda: body)
    monkeypatch.setattr(body, "writelines", noted)
    asyncio.run(streams.received_async(_chunks(b"x" * (3 * 1024 * 1024))))
    assert threads
    assert threading.get_ident() not in threads


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
