"""Request bodies, kept until they are complete: nothing is logged of an upload that breaks off."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterable
from typing import BinaryIO, cast

try:
    from mlflow.store.artifact.artifact_repo import StreamUploadMixin
except ImportError:

    class StreamUploadMixin:  # type: ignore[no-redef]
        """Stands in for MLflow's own before 3.15, whose server never asks for it."""


__all__ = ["MEMORY_BYTES_MAX", "StreamUploadMixin", "received", "received_async"]

MEMORY_BYTES_MAX = 8 * 1024 * 1024
_HANDOVER_BYTES = 1024 * 1024


def received(stream: BinaryIO) -> BinaryIO:
    """Return a copy of all of `stream`: in memory up to `MEMORY_BYTES_MAX`, then in a temporary file."""
    body = _body()
    try:
        shutil.copyfileobj(stream, body, length=_HANDOVER_BYTES)
        body.seek(0)
    except BaseException:
        body.close()
        raise
    return body


async def received_async(chunks: AsyncIterable[bytes]) -> BinaryIO:
    """Return a copy of all `chunks`, written by a thread so that the event loop never waits for a disk."""
    body = _body()
    try:
        waiting: list[bytes] = []
        size = 0
        async for chunk in chunks:
            waiting.append(chunk)
            size += len(chunk)
            if size >= _HANDOVER_BYTES:
                await asyncio.to_thread(body.writelines, waiting)
                waiting, size = [], 0
        await asyncio.to_thread(body.writelines, waiting)
        body.seek(0)
    except BaseException:
        body.close()
        raise
    return body


def _body() -> BinaryIO:
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES_MAX, prefix="mvs-"))
