"""Computing the next item while the current one is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mlflow_versioned_store.content.ahead import ahead


def test_every_item_arrives_in_order_whoever_is_faster() -> None:
    """A thread that has items ready before the consumer asks neither waits for ever nor loses one."""
    for _ in range(500):
        assert list(ahead(iter((1, 2, 3)))) == [1, 2, 3]


def test_no_more_than_one_item_is_computed_ahead() -> None:
    """While the first item is used, the second is computed, and the third waits."""
    computed = [threading.Event() for _ in range(3)]

    def items() -> Iterator[int]:
        for number, event in enumerate(computed):
            event.set()
            yield number

    found = ahead(items())
    assert next(found) == 0
    assert computed[1].wait(10)
    assert not computed[2].wait(0.05)
    assert list(found) == [1, 2]


def test_an_error_is_raised_where_the_items_are_used() -> None:
    """What goes wrong in the thread reaches the consumer, after the items before it."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_closing_ends_the_thread() -> None:
    """A consumer that stops early leaves no thread behind."""
    before = set(threading.enumerate())
    found = ahead(iter(range(10**9)))
    next(found)
    (thread,) = set(threading.enumerate()) - before
    found.close()  # type: ignore[attr-defined] # an Iterator to its users, a generator in fact
    thread.join(10)
    assert not thread.is_alive()
