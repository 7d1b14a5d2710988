"""Clients of one store that share nothing but its objects, as processes on different machines do."""

from __future__ import annotations

from mlflow_versioned_store import finding, marker
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.finding import Found
from mlflow_versioned_store.keys import MARKER
from mlflow_versioned_store.store import Store


def new_store(container: Backend, prefix: str = "", *, digest: str = "blake3") -> Store:
    """Make a store at `prefix`, without the probe of the backend, and return a client of it. One request."""
    scoped = ScopedBackend(container, prefix)
    made = marker.new_marker(scoped.location, digest)
    scoped.put(MARKER, marker.encode(made), create=True)
    return Store(Found(container, prefix, "", made))


def client(container: Backend, prefix: str = "") -> Store:
    """Return a new client of the store at `prefix`: nothing is cached in it. One request."""
    known = finding.read_marker(container, prefix)
    assert known is not None, f"there is no store at {container.location}/{prefix}"
    return Store(Found(container, prefix, "", known))
