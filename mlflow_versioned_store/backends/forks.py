"""Noticing a fork that obstore does not survive.

obstore's threads exist only in the process that started them: in a child forked afterwards its calls hang for ever.
Such a child goes on with another client, made when it is first needed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.wrapper import WrapperBackend

_lost = False


def obstore_lost() -> bool:
    """Tell whether this process was forked from one that had loaded obstore."""
    return _lost


class ForkAwareBackend(WrapperBackend):
    """Uses one backend, and in a child forked after obstore was loaded another.

    Args:
        inner: The backend that uses obstore.
        make_other: Makes the other one; raises where there is none.
    """

    def __init__(self, inner: Backend, make_other: Callable[[], Backend]):
        super().__init__(inner)
        self._make_other = make_other
        self._other: Backend | None = None

    @property
    def inner(self) -> Backend:
        """The backend that works in this process."""
        if not _lost:
            return self._inner
        if self._other is None:
            # Two threads may each make one; either works, and a lock might have been held at the fork.
            self._other = self._make_other()
        return self._other


def _after_fork_in_child() -> None:
    global _lost
    # Loaded is as good as used: only a backend that is about to send something loads it.
    _lost = _lost or "obstore" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
