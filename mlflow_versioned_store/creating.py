"""Making a store: after a probe that its backend keeps the contract, and exactly one however many try at once."""

from __future__ import annotations

import logging
import os

from mlflow_versioned_store import finding, keys, marker
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.probe import probe
from mlflow_versioned_store.backends.s3_bucket import check_lifecycle
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.errors import Conflict, Damaged, InvalidInput, NoStore, OutcomeUnknown
from mlflow_versioned_store.finding import Found
from mlflow_versioned_store.marker import Marker

_log = logging.getLogger("mlflow_versioned_store")


def create(uri: str, *, digest: str = "blake3") -> Found:
    """Make a store exactly at `uri`, or return the one that is there.

    Costs about twenty requests: the probe races creates.

    Args:
        uri: The store's location.
        digest: The algorithm that names chunks, packs and records: "blake3" or "sha256".

    Raises:
        InvalidInput: A store at an ancestor covers this location already.
        Unsupported: The backend does not keep the contract, or a lifecycle rule would expire what a store keeps.
        Damaged: Parts of a store lie there without its marker.
    """
    container, path = open_container(uri)
    known = finding.read_marker(container, path)
    if known is None:
        _refuse_inside_another(uri)
        known = _make(container, path, digest)
    finding.remember(container, path, known)
    return Found(container, path, "", known)


def find_or_create(uri: str) -> Found:
    """Return the store that covers `uri`; where there is none, make it with sensible defaults.

    Raises:
        NoStore: There is none, and `MVS_CREATE=never` forbids to make one.
    """
    try:
        return finding.find(uri)
    except NoStore as missing:
        if os.environ.get("MVS_CREATE", "").strip().lower() == "never":
            raise NoStore(
                f"There is no versioned store at or above {uri}, and MVS_CREATE=never forbids to make one. Run "
                "`python -m mlflow_versioned_store init URI` where it shall be."
            ) from missing
    container, path = open_container(uri)
    prefix = finding.default_location(path)
    known = finding.read_marker(container, prefix) or _make(container, prefix, "blake3")
    finding.remember(container, prefix, known)
    return finding.find(uri)


def _make(container: Backend, prefix: str, digest: str) -> Marker:
    backend = ScopedBackend(container, prefix)
    if next(backend.list(keys.LOGS, limit=1), None) is not None:
        return _lost_race(backend) or _refuse_without_marker(backend)
    probe(backend)
    check_lifecycle(backend)
    made = marker.new_marker(backend.location, digest)
    try:
        backend.put(keys.MARKER, marker.encode(made), create=True)
    except (Conflict, OutcomeUnknown):
        # Whoever was first decides, and it may have been ourselves.
        if (known := finding.read_marker(backend, "")) is None:
            raise
        return known
    _log.info("Created the versioned store %s at %s.", made.id, backend.location)
    return made


def _lost_race(backend: Backend) -> Marker | None:
    return finding.read_marker(backend, "")


def _refuse_without_marker(backend: Backend) -> Marker:
    raise Damaged(
        f"{backend.location} holds the logs of a versioned store, but not its marker {keys.MARKER}. Restore the marker "
        "from a backup or an older object version.",
        key=keys.MARKER,
    )


def _refuse_inside_another(uri: str) -> None:
    try:
        found = finding.find(uri)
    except NoStore:
        return
    raise InvalidInput(
        f"{uri} lies inside the store {found.backend.location}. One store inside another would split its "
        "deduplication and history; choose a location outside of it."
    )
