"""Making a store: after a probe that its backend keeps the contract, and exactly one however many try at once."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Sequence
from itertools import chain, islice

from mlflow_versioned_store import finding, keys, marker, roots
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.probe import probe
from mlflow_versioned_store.backends.s3_bucket import check_lifecycle
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    CredentialsMissing,
    InvalidInput,
    NoStore,
    OutcomeUnknown,
)
from mlflow_versioned_store.finding import Found
from mlflow_versioned_store.marker import Marker

_LOOKED_INTO_MAX = 100
_ATTEMPTS = 5
_log = logging.getLogger("mlflow_versioned_store")


def create(uri: str, *, digest: str = "blake3") -> Found:
    """Make a store exactly at `uri`, or return the one that is there.

    Costs about forty requests: the probe races creates, and the folders below are looked at.

    Args:
        uri: The store's location.
        digest: The algorithm that names chunks, packs and records: "blake3" or "sha256".

    Raises:
        InvalidInput: A store above or below covers part of this location already, or it is part of an MLflow run.
        Unsupported: The backend does not keep the contract, or a lifecycle rule would expire what a store keeps.
        Damaged: Parts of a store lie there without its marker.
    """
    container, path = open_container(uri)
    if path and roots.mlflow_part(path) <= path.count("/"):
        raise InvalidInput(f"{uri} belongs to one run, model or trace of MLflow; a store lies above those.")
    known = finding.read_marker(container, path)
    if known is None:
        _refuse_inside_another(uri)
        known = _make(container, path, digest, logging.INFO)
    finding.remember(container, path, known)
    return Found(container, path, "", known)


def find_or_create(uri: str) -> Found:
    """Return the store that covers `uri`; where there is none, make it, where `MVS_STORE` says or at the default place.

    Raises:
        NoStore: There is none, and `MVS_CREATE=never` forbids to make one.
        InvalidInput: A store further down would come to lie inside the new one, or `MVS_CREATE` is misspelt.
    """
    try:
        return finding.find(uri)
    except NoStore as missing:
        if not may_create():
            raise NoStore(
                f"There is no versioned store at or above {uri}, and MVS_CREATE forbids to make one. "
                "`mvs init URI` makes it where it shall be."
            ) from missing
    container, path = open_container(uri)
    prefix = finding.location_for(container, path)
    # Nobody asked for it in so many words, so it is said where everybody sees it.
    known = finding.read_marker(container, prefix) or _make(container, prefix, "blake3", logging.WARNING)
    finding.remember(container, prefix, known)
    return finding.find(uri)


def may_create() -> bool:
    """Tell whether a first upload may make a store, as `MVS_CREATE` says.

    Raises:
        InvalidInput: It is no switch.
    """
    # "never" says of a creation what "off" says of a switch.
    return os.environ.get("MVS_CREATE", "").strip().lower() != "never" and switch("MVS_CREATE")


def _make(container: Backend, prefix: str, digest: str, announced: int) -> Marker:
    backend = ScopedBackend(container, prefix)
    made = marker.new_marker(backend.location, digest)
    if (known := finding.marker_of_logs(backend, "")) is not None:
        return known
    _refuse_above_another(backend)
    # Racing first writers all probe: who of them wins is told by the very creates that are being probed.
    probe(backend)
    check_lifecycle(backend)
    known = _first(backend, made)
    if known.id == made.id:
        _log.log(announced, "Created the versioned store %s at %s.", made.id, backend.location)
    return known


def _first(backend: Backend, made: Marker) -> Marker:
    """Return the marker that is at `backend` after trying to put `made` there: whoever was first decides."""
    attempt = 1
    while True:
        try:
            backend.put(keys.MARKER, marker.encode(made), create=True)
            return made
        except (Conflict, OutcomeUnknown):
            # It may have been ourselves, where an answer was lost.
            known = finding.read_marker(backend, "")
            if known is not None:
                return known
            if attempt == _ATTEMPTS:
                raise
        time.sleep(random.uniform(0.0, 0.1 * 2**attempt))  # noqa: S311 - spreads retries, keeps no secret
        attempt += 1


def _refuse_inside_another(uri: str) -> None:
    try:
        found = finding.find(uri)
    except (NoStore, AccessDenied) as error:
        if isinstance(error, CredentialsMissing):
            raise
        # Who may not look further up may still say: here. The nearest store is the one that counts.
        return
    raise InvalidInput(
        f"{uri} lies inside the store {found.backend.location}. One store inside another would split its "
        "deduplication and history; choose a location outside of it."
    )


def _refuse_above_another(backend: Backend) -> None:
    """Refuse to make a store above one that is there, as far as a look two folders deep tells."""
    try:
        below = _folders_in(backend, [""])
        folders = [*below, *_folders_in(backend, below)]
        probes = [looking_up.submit(finding.read_marker, backend, folder) for folder in folders]
        found = [folder for folder, probed in zip(folders, probes, strict=True) if probed.result() is not None]
    except (AccessDenied, InvalidInput):
        # What lies there cannot be looked at, or is not named as a store's location can be.
        return
    if found:
        raise InvalidInput(
            f"There is a store at {backend.location}/{found[0]} already, and one at {backend.location} would lie "
            "around it. Choose a location beside it, or set MVS_STORE to it."
        )


def _folders_in(backend: Backend, above: Sequence[str]) -> list[str]:
    """Return the folders directly in `above`, at most a hundred, without those that are MLflow's or a store's own."""
    listed = chain.from_iterable(backend.folders(folder) for folder in above)
    return list(islice(filter(_may_hold_store, listed), _LOOKED_INTO_MAX))


def _may_hold_store(folder: str) -> bool:
    is_mlflow_part = roots.mlflow_part(f"{folder}/artifacts") <= folder.count("/")
    return not is_mlflow_part and folder.rpartition("/")[2] != keys.RESERVED
