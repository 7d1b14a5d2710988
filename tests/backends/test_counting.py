"""Counts of requests and bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mlflow_versioned_store.backends.counting import CountingBackend, Counts, counts_of
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.retry import RetryingBackend
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.errors import NotFound


def test_each_class_of_request_is_counted() -> None:
    """Every call counts in its class, a listing and a deletion once a thousand names, and bytes both ways."""
    backend = CountingBackend(open_memory("counting"))
    for number in range(1001):
        backend.put(f"a/{number:04d}", b"12", create=number % 2 == 0)
    backend.get("a/0000", start=1)
    backend.head("a/0001")
    assert len(list(backend.list("a"))) == 1001
    assert len(list(backend.list("a", limit=1000))) == 1000
    backend.folders("")
    backend.now()
    backend.delete([f"a/{number:04d}" for number in range(1001)])
    assert backend.snapshot() == Counts(put=1001, list=4, get=1, delete=2, head=2, bytes_up=2002, bytes_down=1)


def test_failed_requests_count() -> None:
    """A provider asks money for a request that finds nothing, too."""
    backend = CountingBackend(open_memory("counting"))
    with pytest.raises(NotFound):
        backend.get("missing")
    assert backend.snapshot() == Counts(get=1)


def test_threads_lose_no_count() -> None:
    """Counts are exact under concurrency."""
    backend = CountingBackend(open_memory("counting"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: backend.put(str(number), b"1"), range(400)))
    assert backend.snapshot() == Counts(put=400, bytes_up=400)


def test_differences_add_up() -> None:
    """What happened between two snapshots is their difference."""
    early, late = Counts(put=1, bytes_up=5), Counts(put=3, get=2, bytes_up=9, bytes_down=1)
    assert early + (late - early) == late
    assert (late - early).requests == 4


def test_counts_are_found_below_wrappers() -> None:
    """`counts_of` reads through any wrappers, and is all zero where nothing counts."""
    inner = CountingBackend(open_memory("counting"))
    outer = ScopedBackend(RetryingBackend(inner), "a")
    outer.put("b", b"1")
    assert counts_of(outer) == Counts(put=1, bytes_up=1)
    assert counts_of(open_memory("other")) == Counts()
