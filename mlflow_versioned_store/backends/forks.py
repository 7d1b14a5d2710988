"""Surviving a fork.

obstore's threads exist only in the process that started them: in a child forked after obstore was loaded its calls
hang for ever. Connections that a pool keeps open would be used by both processes at once. So a child makes its
backends anew, without obstore where its parent had loaded that, and with locks that nobody holds.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.wrapper import WrapperBackend

_generation = 0
_lost = False
_locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def obstore_lost() -> bool:
    """Tell whether this process was forked from one that had loaded obstore."""
    return _lost


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is free in a forked child, whoever held it in the parent."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


class ForkAwareBackend(WrapperBackend):
    """Makes its backend anew in every forked child that uses it.

    Args:
        make: Makes a backend that works in the process that calls it; raises where there is none.
    """

    def __init__(self, make: Callable[[], Backend]):
        super().__init__(make())
        self._make = make
        self._generation = _generation
        self._left: list[Backend] = []

    @property
    def inner(self) -> Backend:
        """The backend that works in this process."""
        if self._generation != _generation:
            # The parent's is kept, unused: to take it down needs the threads that are missing here. Two threads may
            # each make one, and either works.
            self._left.append(self._inner)
            self._inner, self._generation = self._make(), _generation
        return self._inner


def _after_fork_in_child() -> None:
    global _generation, _lost
    _generation += 1
    # Loaded is as good as used: only a backend that is about to send something loads it.
    _lost = _lost or "obstore" in sys.modules
    for lock in _locks:
        lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's own locks do


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
