"""The state of an artifact root at one commit: which paths there are and which versions they have."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlflow_versioned_store.history.layers import Delta, Layer, Overlay
from mlflow_versioned_store.history.paths import behind, inside, sort_key
from mlflow_versioned_store.history.records import CheckpointRef
from mlflow_versioned_store.history.versions import Version

ALIAS = "alias:"
TAG = "tag:"
_OVERLAY_PATHS_MAX = 512
# How many rows of a subfolder are passed one by one before looking up where it ends.
_SKIPS_MAX = 16


class State:
    """What an artifact root holds at one commit. Immutable; parts of it are read from the store as they are needed.

    So any method may cost requests (one a checkpoint or part that was not read yet) and raise what a read raises:
    `Unavailable`, `AccessDenied`, `Damaged`.

    Attributes:
        root: The artifact root.
        number: The commit; 0 before the first.
        digest: The digest of that commit's record.
        time: When that commit was made, in milliseconds since 1970 UTC; 0 before the first.
    """

    def __init__(
        self,
        root: str,
        *,
        number: int = 0,
        digest: str = "",
        time: int = 0,
        checkpoints: Sequence[tuple[CheckpointRef, Layer]] = (),
        deltas: Sequence[Delta] = (),
        recent: Sequence[Overlay] | None = None,
    ) -> None:
        self.root = root
        self.number = number
        self.digest = digest
        self.time = time
        self.checkpoints = tuple(checkpoints)
        self.deltas = tuple(deltas)
        if recent is None:
            recent = _stacked(deltas)
        self.recent = tuple(recent)
        self._layers: tuple[Layer, ...] = (*self.recent, *(layer for _, layer in self.checkpoints))

    def followed_by(self, delta: Delta, *, digest: str, time: int) -> State:
        """Return the state after one more commit, which did `delta`."""
        return State(
            self.root,
            number=delta.number,
            digest=digest,
            time=time,
            checkpoints=self.checkpoints,
            deltas=(*self.deltas, delta),
            recent=_pushed(self.recent, delta),
        )

    def latest(self, path: str) -> Version | None:
        """Return the newest version of `path`, whether or not it is current."""
        if not self._layers:  # a first upload asks for thousands
            return None
        key = sort_key(path)
        best: Version | None = None
        for layer in self._layers:
            found = layer.latest(key)
            if found is not None and (best is None or found.number > best.number):
                best = found
        return best

    def get(self, path: str) -> Version | None:
        """Return the current version of `path`; None where there is none or it was deleted or has expired."""
        version = self.latest(path)
        return version if version is not None and version.status == "live" else None

    def version(self, path: str, number: int) -> Version | None:
        """Return version `number` of `path`, in whatever status, or None where there never was one."""
        key = sort_key(path)
        for layer in self._layers:
            found = layer.version(key, number)
            if found is not None:
                return found
        return None

    def versions(self, path: str) -> list[Version]:
        """Return every version there ever was of `path`, oldest first."""
        key = sort_key(path)
        found: dict[int, Version] = {}
        for layer in reversed(self._layers):
            found.update((version.number, version) for version in layer.versions(key))
        return [found[number] for number in sorted(found)]

    def has_folder(self, folder: str) -> bool:
        """Tell whether `folder` is a folder now: something current lies in it, or it was logged empty. The root is."""
        if not folder:
            return True
        version = self.get(folder)
        if version is not None:
            return version.kind == "folder"
        return next(self._current(inside(folder), behind(folder)), None) is not None

    def had_folder(self, folder: str) -> bool:
        """Tell whether anything ever lay in `folder`, or it was logged empty."""
        if not folder or any(version.kind == "folder" for version in self.versions(folder)):
            return True
        return next(self._merged(inside(folder), behind(folder)), None) is not None

    def had(self, path: str) -> bool:
        """Tell whether there ever was a file or folder at `path`, which there need not be now. The root always was."""
        return not path or self.latest(path) is not None or self.had_folder(path)

    def children(self, folder: str) -> Iterator[tuple[str, Version | None]]:
        """Yield what lies directly in `folder`, sorted: a file's name and version, or a folder's name and None.

        Nothing where `folder` is a file or nothing. An empty folder that was logged is yielded as a folder.
        """
        prefix, end = inside(folder), behind(folder) if folder else None
        start, skipped = prefix, _SKIPS_MAX
        while skipped == _SKIPS_MAX:
            skipped = 0
            for version in self._current(start, end):
                if sort_key(version.path) < start:
                    skipped += 1
                    if skipped == _SKIPS_MAX:
                        break
                    continue
                name = version.path[len(prefix) :].partition("/")[0]
                is_file = len(prefix) + len(name) == len(version.path) and version.kind == "file"
                yield name, version if is_file else None
                start, skipped = behind(version.path[: len(prefix)] + name), 0

    def walk(self, folder: str = "") -> Iterator[Version]:
        """Yield the current version of every file and of every empty folder below `folder`, sorted."""
        pending: Version | None = None
        for version in self._current(inside(folder), behind(folder) if folder else None):
            if pending is not None and not version.path.startswith(pending.path + "/"):
                yield pending
            pending = version if version.kind == "folder" else None
            if pending is None:
                yield version
        if pending is not None:
            yield pending

    def below(self, folder: str) -> Iterator[Version]:
        """Yield every current version below `folder`, folders with something in them too, sorted."""
        if not self._layers:
            return iter(())
        return self._current(inside(folder), behind(folder) if folder else None)

    def all_versions(self) -> Iterator[Version]:
        """Yield every version there ever was of every path, sorted by path and number."""
        for newest in self._merged("", None):
            if newest.number == 1:
                yield newest
            else:
                yield from self.versions(newest.path)

    def notes(self, path: str, number: int = 0) -> Mapping[str, Any]:
        """Return the annotations of version `number` of `path`, or with 0 of the path as such."""
        for layer in self._layers:
            found = layer.notes().get((path, number))
            if found is not None:
                return found
        return {}

    def aliases(self, path: str) -> dict[str, str]:
        """Return the aliases of `path`: name to "v2" (a version) or "c5" (a commit)."""
        notes = self.notes(path)
        return {
            key.removeprefix(ALIAS): value
            for key, value in notes.items()
            if key.startswith(ALIAS) and isinstance(value, str)
        }

    def all_notes(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Return every annotation: (path, version) to keys and values."""
        merged: dict[tuple[str, int], dict[str, Any]] = {}
        for layer in reversed(self._layers):
            merged.update(layer.notes())
        return {place: note for place, note in merged.items() if note}

    def _current(self, start: str, end: str | None) -> Iterator[Version]:
        return (version for version in self._merged(start, end) if version.status == "live")

    def _merged(self, start: str, end: str | None) -> Iterator[Version]:
        """Yield the newest version of every path with `start` ≤ key < `end`, sorted."""
        scans = [_keyed(layer.scan(start), order) for order, layer in enumerate(self._layers)]
        last: str | None = None
        for key, _, _, version in heapq.merge(*scans) if len(scans) > 1 else (scans[0] if scans else ()):
            if end is not None and key >= end:
                return
            if key != last:
                yield version
            last = key


def _keyed(scan: Iterator[Version], order: int) -> Iterator[tuple[str, int, int, Version]]:
    return ((sort_key(version.path), -version.number, order, version) for version in scan)


def _stacked(deltas: Sequence[Delta]) -> tuple[Overlay, ...]:
    recent: tuple[Overlay, ...] = ()
    for delta in deltas:
        recent = _pushed(recent, delta)
    return recent


def _pushed(recent: tuple[Overlay, ...], delta: Delta) -> tuple[Overlay, ...]:
    # Small commits share a layer, which is cheap to copy; a large one is a layer of its own.
    if recent and len(recent[0]) + len(delta.rows) <= _OVERLAY_PATHS_MAX:
        return (recent[0].with_delta(delta), *recent[1:])
    return (Overlay(delta.rows, delta.notes), *recent)
