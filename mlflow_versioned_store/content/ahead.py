"""Computing the next item of an iterator while the current one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


class _End:
    def __init__(self, error: BaseException | None):
        self.error = error


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield `items`; a thread computes the next one while the current one is used, and no more than that.

    Errors are raised here. The thread ends when this iterator is closed or dropped. Where no thread can be started,
    items are computed here.
    """
    handed: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    wanted = threading.Semaphore(0)
    closed = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                handed.put(item)
                wanted.acquire()
                if closed.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the consumer's thread
            error = caught
        handed.put(_End(error))

    try:
        threading.Thread(target=work, name="mvs-scan", daemon=True).start()
    except RuntimeError:
        yield from items
        return
    try:
        while not isinstance(item := handed.get(), _End):
            wanted.release()
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()
        wanted.release()
