"""Finding the store of any URI: the nearest ancestor with a marker, and where one is made when there is none."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from mlflow_versioned_store import keys, marker, roots
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.errors import AccessDenied, CredentialsMissing, Damaged, InvalidInput, NoStore, NotFound
from mlflow_versioned_store.marker import Marker

_REMEMBERED = 1024

_log = logging.getLogger("mlflow_versioned_store")
_lock = fork_safe_lock()
# Presence is remembered, absence never: somebody may create a store at any moment.
_present: OrderedDict[tuple[Backend, str], Marker] = OrderedDict()
# Values of MVS_STORE and containers that it was said of not to cover something: once is enough for each.
_not_covered: set[tuple[str, str]] = set()


@dataclass(frozen=True, slots=True)
class Found:
    """A store, and where a URI leads inside it.

    Args:
        container: The backend of the bucket or directory tree.
        prefix: The store's path in the container.
        path: The URI's path inside the store.
        marker: The store's marker.
    """

    container: Backend
    prefix: str
    path: str
    marker: Marker

    @property
    def backend(self) -> Backend:
        """The store as a backend of its own."""
        return ScopedBackend(self.container, self.prefix)


def find(uri: str) -> Found:
    """Return the store that covers `uri`. All ancestors are probed in one parallel round trip, unless remembered.

    Where there is none, another round trip makes sure that none has lost its marker.

    Raises:
        NoStore: There certainly is none.
        AccessDenied: An ancestor may not be looked at, so there may be one; `MVS_STORE` says where.
        Unsupported, Damaged: There is one that this release cannot use.
    """
    container, path = open_container(uri)
    told = _told_prefix(container, path)
    candidates = [told] if told is not None else _ancestors(path)
    for prefix in candidates:
        if remembered := _recall(container, prefix):
            return Found(container, prefix, _below(path, prefix), remembered)
    found = _probe(container, candidates) or _with_logs(container, candidates)
    if found is None:
        raise NoStore(f"There is no versioned store at or above {uri}; the first upload makes one, or an init does.")
    prefix, known = found
    remember(container, prefix, known)
    return Found(container, prefix, _below(path, prefix), known)


def location_for(container: Backend, path: str) -> str:
    """Return where a store for `path` is made: where `MVS_STORE` says, or at the default location."""
    told = _told_prefix(container, path)
    return default_location(path) if told is None else told


def default_location(path: str) -> str:
    """Return where a store for `path` is made by default.

    That is the path less its MLflow part, then less one more component if that is an experiment's number.
    """
    parts = path.split("/") if path else []
    above = roots.mlflow_part(path)
    has_mlflow_part = above < len(parts)
    kept = parts[:above]
    if has_mlflow_part and kept and kept[-1].isdigit():
        kept = kept[:-1]
    return "/".join(kept)


def remember(container: Backend, prefix: str, known: Marker) -> None:
    """Note that a store is at `prefix`, so that this process need not look again."""
    with _lock:
        _present[container, prefix] = known
        while len(_present) > _REMEMBERED:
            _present.popitem(last=False)


def read_marker(container: Backend, prefix: str) -> Marker | None:
    """Return the marker at `prefix`, or None where there is none. One request.

    Raises:
        Unsupported, Damaged: There is one that this release cannot use.
    """
    where = ScopedBackend(container, prefix).location
    try:
        fetched = container.get(_join(prefix, keys.MARKER), stop=marker.MARKER_BYTES_MAX)
    except NotFound as error:
        if error.key is None:
            # The container itself does not exist, which must not look like one that is empty.
            raise
        return None
    return marker.decode(fetched.data, where)


def marker_of_logs(container: Backend, prefix: str) -> Marker | None:
    """Return the marker at `prefix` if there are logs of a store; None where there are none. One or two requests.

    Raises:
        Damaged: There are logs without a marker, so a store that lost it, which must not look like none.
    """
    if next(container.list(_join(prefix, keys.LOGS), limit=1), None) is None:
        return None
    # A store's marker is older than its logs.
    known = read_marker(container, prefix)
    if known is None:
        raise Damaged(
            f"{ScopedBackend(container, prefix).location} holds the logs of a versioned store, but not its marker "
            f"{keys.MARKER}. Restore the marker from a backup or an older object version.",
            key=_join(prefix, keys.MARKER),
        )
    return known


def _probe(container: Backend, candidates: list[str]) -> tuple[str, Marker] | None:
    """Return the nearest prefix with a marker; candidates are ordered from the nearest to the container's root."""
    probes = [(prefix, looking_up.submit(read_marker, container, prefix)) for prefix in candidates]
    denied: AccessDenied | None = None
    for prefix, probe in probes:
        try:
            if (known := probe.result()) is None:
                continue
        except CredentialsMissing:
            raise
        except AccessDenied as error:
            denied = denied or error
            continue
        # A store further up may be the wrong one where a nearer ancestor is hidden.
        if denied is None:
            return prefix, known
        break
    if denied is not None:
        raise AccessDenied(
            f"Whether a store covers this location is unknown. {denied} Set MVS_STORE to the store's URI, or ask for "
            f"permission to read {keys.MARKER} in every folder above.",
            key=denied.key,
        ) from denied
    return None


def _with_logs(container: Backend, candidates: list[str]) -> tuple[str, Marker] | None:
    """Return a store that was made just now; None where no candidate holds anything of a store."""
    looks = [(prefix, looking_up.submit(marker_of_logs, container, prefix)) for prefix in candidates]
    for prefix, look in looks:
        # Who may not list cannot tell.
        with suppress(AccessDenied):
            if (known := look.result()) is not None:
                return prefix, known
    return None


def _told_prefix(container: Backend, path: str) -> str | None:
    """Return where in the container the store is that `MVS_STORE` names; None where it covers no such path."""
    told = os.environ.get("MVS_STORE")
    if not told:
        return None
    told_container, prefix = open_container(told)
    covers = not prefix or path == prefix or path.startswith(prefix + "/")
    if told_container.location == container.location and covers:
        return prefix
    # No error: a program may well use other stores beside the one that it is told of.
    if (told, container.location) not in _not_covered:
        _not_covered.add((told, container.location))
        _log.warning(
            "MVS_STORE names %s, which is not at or above versioned-%s, whose store is looked for as without it.",
            told,
            ScopedBackend(container, path).location,
        )
    return None


def _ancestors(path: str) -> list[str]:
    if keys.RESERVED in path.split("/"):
        raise InvalidInput(f"{path!r} lies inside a store's own folder {keys.RESERVED!r}; use the path above it.")
    parts = path.split("/")[: roots.mlflow_part(path)] if path else []
    return ["/".join(parts[:length]) for length in range(len(parts), -1, -1)]


def _recall(container: Backend, prefix: str) -> Marker | None:
    with _lock:
        return _present.get((container, prefix))


def _below(path: str, prefix: str) -> str:
    return path[len(prefix) :].lstrip("/")


def _join(prefix: str, rest: str) -> str:
    return f"{prefix.rstrip('/')}/{rest}" if prefix and rest else prefix or rest
