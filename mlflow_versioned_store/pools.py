"""Threads that the whole process shares, by what they are for.

After a fork the child starts with fresh pools. While the interpreter shuts down no thread can be started any more: work
then runs in the caller's thread.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
Given = TypeVar("Given")
Made = TypeVar("Made")


class Pool:
    """A named pool of threads that survives forks and the interpreter's shutdown."""

    def __init__(self, name: str, size: Callable[[], int]):
        self._name = name
        self._size = size
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `work` in a thread of the pool, or at once where no thread can be had any more."""
        try:
            with self._lock:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(self._size(), thread_name_prefix=f"mvs-{self._name}")
                return self._executor.submit(work, *args, **kwargs)
        except RuntimeError:
            return _run_here(work, *args, **kwargs)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._executor = None


def in_order(submit: Callable[[Given], Future[Made]], given: Iterable[Given], *, at_once: int = 8) -> Iterator[Made]:
    """Yield what becomes of each of `given`, up to `at_once` of them under way.

    No more are begun ahead than were taken already, so that whoever takes only a few causes little more.
    """
    pending: deque[Future[Made]] = deque()
    taken = 0
    try:
        for one in given:
            pending.append(submit(one))
            if len(pending) > min(taken, at_once - 1):
                yield pending.popleft().result()
                taken += 1
        while pending:
            yield pending.popleft().result()
    finally:
        for late in pending:
            late.cancel()


def _run_here(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    future: Future[T] = Future()
    try:
        future.set_result(work(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001 - the caller gets it from the future, as from a thread
        future.set_exception(error)
    return future
