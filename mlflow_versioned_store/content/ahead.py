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
    """Yield `items`, computed by a thread that stays one item ahead; its errors are raised here.

    The thread ends when the iterator is closed or dropped. Where no thread can be started, items are computed here.
    """
    handed: queue.Queue[T | _End] = queue.Queue(maxsize=1)
    closed = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not _put(handed, item, closed):
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the consumer's thread
            error = caught
        _put(handed, _End(error), closed)

    try:
        threading.Thread(target=work, name="mvs-scan", daemon=True).start()
    except RuntimeError:
        yield from items
        return
    try:
        while not isinstance(item := handed.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        closed.set()


def _put(handed: queue.Queue[T | _End], item: T | _End, closed: threading.Event) -> bool:
    while not closed.is_set():
        try:
            handed.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
