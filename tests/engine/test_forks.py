"""A child forked from a process with a store in use."""

from __future__ import annotations

import gc
import hashlib
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlflow_versioned_store import store as stores
from mlflow_versioned_store.backends import forks
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.store import Item, Store

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # That forking a process with threads is dangerous is what these tests are about.
    pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning"),
]

Forked = Callable[[Callable[[], bytes]], bytes]
ROOT = f"1/{'a' * 32}/artifacts"
DATA = random.Random(1).randbytes(2_000_000)
EDITED = DATA[:1000] + b"edit" + DATA[1000:]
LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Semaphore)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store of files that this process has written and read."""
    store = stores.create_store(f"versioned-file://{tmp_path}/store")
    root = store.root(ROOT)
    root.upload([Item("t", DATA)], context=Context())
    assert root.read(version(store)) == DATA
    return store


def version(store: Store) -> Version:
    """Return the current version of the file."""
    found = store.root(ROOT).find("t")
    assert isinstance(found, Version)
    return found


def locks_of(owner: object, seen: set[int]) -> Iterator[object]:
    """Yield every lock that an object of ours leads to."""
    if id(owner) in seen:
        return
    seen.add(id(owner))
    inside: Iterator[object] = iter(())
    if isinstance(owner, LOCKS):
        yield owner
    elif isinstance(owner, Mapping):
        inside = iter([*owner.values()])
    elif isinstance(owner, list | tuple):
        inside = iter(owner)
    elif type(owner).__module__.startswith("mlflow_versioned_store"):
        inside = iter(gc.get_referents(owner))
    for part in inside:
        if not isinstance(part, type):
            yield from locks_of(part, seen)


def test_every_lock_of_a_store_is_freed_by_a_fork(store: Store) -> None:
    """No object that a store leads to has a lock of its own making."""
    found = list(locks_of(store, set()))
    assert len(found) >= 10
    assert [lock for lock in found if lock not in forks._locks] == []


@pytest.mark.parametrize("work", ["upload", "download"])
def test_a_child_goes_on_whatever_its_parent_was_at(store: Store, forked: Forked, work: str) -> None:
    """A child forked while other threads held each of the store's locks is stuck behind none of them."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in locks_of(store, set()):
                stack.enter_context(lock)  # type: ignore[arg-type]
            held.set()
            done.wait(60)

    def child() -> bytes:
        if work == "upload":
            store.root(ROOT).upload([Item("t", EDITED)], context=Context())
        return hashlib.sha256(store.root(ROOT).read(version(store))).digest()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    try:
        assert forked(child) == hashlib.sha256({"upload": EDITED, "download": DATA}[work]).digest()
    finally:
        done.set()
        holder.join()
