"""Reading in windows: the right bytes with however little memory, and nobody waits for those who stop."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.errors import ObjectMissing
from mlflow_versioned_store.gateway.windows import Blocks, pieces
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.keys import DATA
from mlflow_versioned_store.testing.clients import new_store
from tests.content.making import Weighing
from tests.gateway.asking import signed
from tests.gateway.conftest import BUCKET, CONTEXT, LOOPBACK, RUN, Endpoint

MIB = 1 << 20
CONTENT = random.Random(7).randbytes(36 * MIB + 3)
STALLED = 60


@pytest.fixture(scope="module")
def weighing() -> Weighing:
    """A store that counts what is read from it."""
    return Weighing(open_memory("windows"))


@pytest.fixture(scope="module")
def root(weighing: Weighing) -> ArtifactRoot:
    """An artifact root with one file."""
    root = new_store(weighing).root(RUN)
    root.upload([Item("f", CONTENT)], context=CONTEXT)
    return root


@pytest.fixture(scope="module")
def version(root: ArtifactRoot) -> Version:
    """The file's version."""
    found = root.resolve("f")
    assert isinstance(found, Version)
    return found


async def joined(root: ArtifactRoot, version: Version, start: int, stop: int, blocks: Blocks) -> bytes:
    """Read a range to its end."""
    return b"".join([piece async for piece in pieces(root, version, start, stop, blocks)])


@settings(max_examples=30, deadline=None)
@given(
    start=st.integers(0, len(CONTENT)),
    size=st.one_of(st.integers(0, 300_000), st.just(len(CONTENT))),
    count=st.integers(0, 8),
)
@example(0, len(CONTENT), 24)
@example(0, len(CONTENT), 0)
def test_any_range_with_any_memory(root: ArtifactRoot, version: Version, start: int, size: int, count: int) -> None:
    """A read gives exactly its bytes, whether there are many blocks or none, and gives all blocks back."""
    blocks, stop = Blocks(count), min(start + size, len(CONTENT))
    assert asyncio.run(joined(root, version, start, stop, blocks)) == CONTENT[start:stop]
    until(lambda: blocks.free == count)


def test_a_long_read_takes_few_requests(root: ArtifactRoot, version: Version, weighing: Weighing) -> None:
    """Once windows have grown each pack is one request, and hardly a byte is read twice."""
    weighing.reads.clear()
    assert asyncio.run(joined(root, version, 0, version.size, Blocks())) == CONTENT
    packs = len(root.seams(version))
    assert packs >= 3
    assert len(weighing.reads) <= packs + 6
    assert sum(size for _, _, size in weighing.reads) < 1.02 * len(CONTENT)


def test_those_who_stop_hold_up_nobody(root: ArtifactRoot, version: Version) -> None:
    """However many reads stop in the middle, they share the blocks, and another read goes on."""
    blocks = Blocks(4)

    async def stall_and_read() -> None:
        stalled = [pieces(root, version, 0, version.size, blocks) for _ in range(STALLED)]
        for one in stalled:
            for _ in range(3):
                await anext(one)
        assert 0 <= blocks.free < 4
        assert await joined(root, version, 0, version.size, blocks) == CONTENT
        for one in stalled:
            await one.aclose()

    asyncio.run(stall_and_read())
    until(lambda: blocks.free == 4)


def test_a_failed_read_gives_its_blocks_back() -> None:
    """An error ends a read, and nothing is lost but the read."""
    backend = open_memory("windows-failing")
    root, blocks = new_store(backend).root(RUN), Blocks()
    root.upload([Item("f", CONTENT)], context=CONTEXT)
    version = root.resolve("f")
    assert isinstance(version, Version)
    backend.delete([entry.key for entry in backend.list(DATA)])
    with pytest.raises(ObjectMissing):
        asyncio.run(joined(root, version, 0, version.size, blocks))
    until(lambda: blocks.free == Blocks().free)


@pytest.fixture
def open_request(scratch: Endpoint) -> Iterator[Callable[[], socket.socket]]:
    """Ask for a file that is larger than what the system buffers for a connection, and read none of it yet."""
    scratch.store.root(RUN).upload([Item("large", CONTENT)], context=CONTEXT)
    raw = signed("GET", f"{scratch.url}/{BUCKET}/{RUN}/large")
    lines = [f"GET {raw.target} HTTP/1.1", *(f"{name}: {value}" for name, value in raw.headers.items()), "", ""]
    with ExitStack() as closing:

        def connect() -> socket.socket:
            connection = closing.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.connect((LOOPBACK, scratch.port))
            connection.sendall("\r\n".join(lines).encode())
            return connection

        yield connect


def test_clients_that_stop_reading(scratch: Endpoint, open_request: Callable[[], socket.socket]) -> None:
    """Many of them, and another client reads as before; when they are gone so are their blocks and their reads."""
    blocks, s3 = scratch.gateway.blocks, scratch.s3()
    whole = blocks.free
    stalled = [open_request() for _ in range(STALLED)]
    until(lambda: blocks.free < whole)
    for _ in range(3):
        assert s3.get_object(Bucket=BUCKET, Key=f"{RUN}/large")["Body"].read() == CONTENT
    for connection in stalled:
        connection.close()
    until(lambda: blocks.free == whole)
    until(lambda: sum(not record.complete for record in scratch.records()) == STALLED)
    s3.close()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, which other threads bring about."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
