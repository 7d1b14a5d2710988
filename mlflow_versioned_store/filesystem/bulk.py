"""Calls about many paths: they read each artifact root at one state, and what they do is done together.

fsspec's own methods find out what a call is about, path by path. While they do, `get_file` and its like only note
what they were asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from mlflow_versioned_store.tree import Moment


class Pair(NamedTuple):
    """What is moved, and where to: paths of the file system or local ones, as the call means them."""

    source: Any
    target: Any


class Bulk:
    """One call about many paths.

    Attributes:
        moment: When it reads.
        noted: What its parts were asked for, where they are to note that.
    """

    def __init__(self, *, notes: bool = False) -> None:
        self.moment = Moment()
        self.noted: list[Pair] | None = [] if notes else None


_current: ContextVar[Bulk | None] = ContextVar("bulk", default=None)


@contextmanager
def one_moment() -> Iterator[Moment]:
    """Let all that is read within a block be read at one moment; that of the block around it where there is one."""
    bulk = _current.get()
    if bulk is not None:
        yield bulk.moment
        return
    with _made(Bulk()) as made:
        yield made.moment


@contextmanager
def noting() -> Iterator[list[Pair]]:
    """Let `note` add to the list within a block."""
    with _made(Bulk(notes=True)) as made:
        assert made.noted is not None, "it was made to note"
        yield made.noted


def note(source: Any, target: Any) -> bool:
    """Note what was asked for, where a call about many paths is under way; tell whether one is."""
    bulk = _current.get()
    if bulk is None or bulk.noted is None:
        return False
    bulk.noted.append(Pair(source, target))
    return True


@contextmanager
def _made(bulk: Bulk) -> Iterator[Bulk]:
    token = _current.set(bulk)
    try:
        yield bulk
    finally:
        _current.reset(token)
