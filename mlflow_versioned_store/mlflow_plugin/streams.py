"""Request bodies: small ones are kept in memory until they are complete, large ones in a temporary file.

One large one at a time is stored while it arrives, which is faster. Not more: a sender that stalls then holds part of
the memory that all uploads of the process share, and two of them would hold up everybody else's.

In no case is anything logged of an upload that breaks off: what was stored by then is not visible without a commit.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import BinaryIO, cast

try:
    from mlflow.store.artifact.artifact_repo import StreamUploadMixin
except ImportError:

    class StreamUploadMixin:  # type: ignore[no-redef]
        """Stands in for MLflow's own before 3.15, whose server never asks for it."""


from mlflow_versioned_store.store import Stream

__all__ = ["KEPT_BYTES_MAX", "Stream", "StreamUploadMixin", "log_async", "log_stream"]

KEPT_BYTES_MAX = 1 << 20
_WAITING_BYTES_MAX = 8 << 20
# Reader and sender are woken for this much at a time: to wake a thread for every few kilobytes takes longer than to
# store them.
_WORTH_WAKING_BYTES = 1 << 20
_while_arriving = threading.BoundedSemaphore(1)

Log = Callable[[bytes | Stream], None]


def log_stream(stream: BinaryIO, log: Log) -> None:
    """Give all of `stream` to `log`: as bytes where it is short, else as a stream."""
    head = _read_fully(stream, KEPT_BYTES_MAX + 1)
    if len(head) <= KEPT_BYTES_MAX:
        log(head)
    elif _while_arriving.acquire(blocking=False):
        try:
            log(_Continued(head, stream))
        finally:
            _while_arriving.release()
    else:
        file = _temporary_file()
        try:
            file.write(head)
            shutil.copyfileobj(stream, file, length=KEPT_BYTES_MAX)
        except BaseException:
            file.close()
            raise
        _log_file(file, log)


async def log_async(chunks: AsyncIterable[bytes], log: Log) -> None:
    """Do the same for chunks that arrive on an event loop, which never waits for a disk or a store.

    `log` runs in a thread. While more than 8 MiB wait for it, the sender waits too.
    """
    kept: list[bytes] = []
    size = 0
    arriving = aiter(chunks)
    async for chunk in arriving:
        kept.append(chunk)
        size += len(chunk)
        if size > KEPT_BYTES_MAX:
            await _log_large(kept, arriving, log)
            return
    await asyncio.to_thread(log, b"".join(kept))


async def _log_large(kept: list[bytes], arriving: AsyncIterable[bytes], log: Log) -> None:
    if _while_arriving.acquire(blocking=False):
        try:
            await _log_while_arriving(kept, arriving, log)
        finally:
            _while_arriving.release()
    else:
        await _log_when_complete(kept, arriving, log)


async def _log_when_complete(kept: list[bytes], arriving: AsyncIterable[bytes], log: Log) -> None:
    file = _temporary_file()
    try:
        size = 0
        async for chunk in arriving:
            kept.append(chunk)
            size += len(chunk)
            if size >= KEPT_BYTES_MAX:
                await asyncio.to_thread(file.writelines, kept)
                kept, size = [], 0
        await asyncio.to_thread(file.writelines, kept)
    except BaseException:
        file.close()
        raise
    # The thread closes the file itself: whoever waits for it may be cancelled before it is done.
    await asyncio.to_thread(_log_file, file, log)


def _log_file(file: BinaryIO, log: Log) -> None:
    with file:
        file.seek(0)
        log(file)


async def _log_while_arriving(kept: list[bytes], arriving: AsyncIterable[bytes], log: Log) -> None:
    feed = Feed()
    logging = asyncio.create_task(asyncio.to_thread(log, feed))
    try:
        for chunk in kept:
            feed.put(chunk)
        kept.clear()
        async for chunk in arriving:
            if logging.done():
                break
            if feed.is_full():
                await _first_of(feed.room(), logging)
            feed.put(chunk)
        feed.finish()
    except BaseException as error:
        # The thread that logs gets it where it reads, and leaves nothing visible.
        feed.fail(error)
        await asyncio.wait([logging])
        raise
    await logging


async def _first_of(room: Awaitable[None], logging: asyncio.Task[None]) -> None:
    waiting = asyncio.ensure_future(room)
    await asyncio.wait([waiting, logging], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


class Feed:
    """A stream that one thread reads while an event loop puts chunks into it. Made on the loop's thread.

    A reader that has nothing is woken once there is a mebibyte, and a full feed has room again once it is half empty.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._finished = False
        self._error: BaseException | None = None

    def put(self, chunk: bytes) -> None:
        """Append a chunk; to be called on the loop's thread."""
        with self._changed:
            self._chunks.append(chunk)
            self._waiting += len(chunk)
            if self._waiting > _WAITING_BYTES_MAX:
                self._room.clear()
            if self._waiting >= _WORTH_WAKING_BYTES:
                self._changed.notify()

    def is_full(self) -> bool:
        """Tell whether more than 8 MiB wait to be read."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until at most half of that waits to be read."""
        await self._room.wait()

    def finish(self) -> None:
        """Say that nothing comes after this."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def fail(self, error: BaseException) -> None:
        """Make the reader fail with `error`."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, as soon as there are some; b"" at the end."""
        with self._changed:
            if not self._chunks:
                self._changed.wait_for(self._is_worth_waking)
            if self._error is not None:
                raise ConnectionError("The upload broke off.") from self._error
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            self._waiting -= len(chunk)
            if not self._room.is_set() and self._waiting <= _WAITING_BYTES_MAX // 2:
                self._loop.call_soon_threadsafe(self._room.set)
            return chunk

    def _is_worth_waking(self) -> bool:
        return self._waiting >= _WORTH_WAKING_BYTES or self._finished or self._error is not None


class _Continued:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, rest: BinaryIO):
        self._head = memoryview(head)
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
        if not self._head:
            return self._rest.read(size)
        data, self._head = bytes(self._head[:size]), self._head[size:]
        return data


def _temporary_file() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile(prefix="mvs-"))


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
