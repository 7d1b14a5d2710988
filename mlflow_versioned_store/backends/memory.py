"""Stores in the memory of this process, for tests and trials."""

from __future__ import annotations

from datetime import UTC, datetime

from mlflow_versioned_store.backends.contract import Backend, Capabilities
from mlflow_versioned_store.backends.forks import ForkAwareBackend, obstore_lost
from mlflow_versioned_store.backends.objects import ObstoreBackend, Stores
from mlflow_versioned_store.errors import Unsupported

_CAPABILITIES = Capabilities(ordered_list=True, object_versions=False, durable=False, remote=False)


def open_memory(name: str) -> Backend:
    """Return a new, empty store; it lives as long as something refers to it."""
    if obstore_lost():
        raise Unsupported("A process forked after obstore was loaded cannot hold a memory store. Start it by spawn.")
    from obstore.store import MemoryStore

    location = f"memory://{name}"
    store = MemoryStore()

    def make() -> Backend:
        if obstore_lost():
            raise Unsupported(f"{location} lives in the process that was forked, and its child cannot reach it.")
        return ObstoreBackend(
            Stores(store, store, lambda: store),
            location=location,
            capabilities=_CAPABILITIES,
            clock=lambda: datetime.now(UTC),
            multipart=False,
        )

    return ForkAwareBackend(make)
