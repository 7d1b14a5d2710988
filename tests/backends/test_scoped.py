"""A folder as a backend: that it is confined is its own property, the rest is the contract's."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.errors import InvalidInput


def test_nothing_outside_is_seen_or_named() -> None:
    """Neighbours, also with a common beginning, are not listed, and no key leads to them."""
    inner = open_memory("scoped")
    for key in ("a/x", "a/b/in", "a/bc/out", "out"):
        inner.put(key, b"")
    backend = ScopedBackend(inner, "a/b")
    assert [info.key for info in backend.list("")] == ["in"]
    for key in ("../x", "/x", ""):
        with pytest.raises(InvalidInput):
            backend.get(key)


def test_scopes_nest() -> None:
    """A scope of a scope is the deeper folder, in keys and in its name."""
    inner = open_memory("scoped")
    backend = ScopedBackend(ScopedBackend(inner, "a"), "b")
    assert backend.put("c", b"1").key == "c"
    assert inner.head("a/b/c").size == 1
    assert backend.location == "memory://scoped/a/b"
    assert list(backend.folders("")) == []


def test_the_empty_scope_is_everything() -> None:
    """The folder "" changes nothing."""
    inner = open_memory("scoped")
    inner.put("a/b", b"1")
    backend = ScopedBackend(inner, "")
    assert [info.key for info in backend.list("")] == ["a/b"]
    assert list(backend.folders("")) == ["a"]
    assert backend.location == inner.location


def test_closing_leaves_the_inner_open() -> None:
    """Others may share the inner backend."""
    inner = open_memory("scoped")
    ScopedBackend(inner, "a").close()
    assert inner.put("b", b"").size == 0
