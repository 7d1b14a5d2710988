"""Layers of state: what a stretch of commits did to the two tables, (path, version) and annotations.

State is a stack of layers, the newest on top. A layer holds whole rows, never differences: of two layers with the
same (path, version) the newer one is right, and the current version of a path is the one with the highest number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from mlflow_versioned_store.history import sealed, versions
from mlflow_versioned_store.history.columns import Table
from mlflow_versioned_store.history.paths import check_path, sort_key
from mlflow_versioned_store.history.versions import Rows, Version

Notes: TypeAlias = Mapping[tuple[str, int], dict[str, Any]]


class Layer(Protocol):
    """What state asks of a layer; `key` is the `sort_key` of a path."""

    def latest(self, key: str) -> Version | None:
        """Return the version with the highest number that this layer has of a path."""

    def version(self, key: str, number: int) -> Version | None:
        """Return one version of a path."""

    def versions(self, key: str) -> Sequence[Version]:
        """Return all versions that this layer has of a path, in order."""

    def scan(self, key: str) -> Iterator[Version]:
        """Yield the `latest` of every path from `key` on, sorted."""

    def notes(self) -> Notes:
        """Return the annotations: (path, version) to keys and values; version 0 is the path as such."""


class Delta:
    """What one commit did, as rows; written into later commits until a checkpoint takes over.

    Args:
        number: The commit.
        rows: Whole rows of the versions that it made or changed.
        notes: Whole annotations that it changed.
    """

    def __init__(self, number: int, rows: Iterable[Version], notes: Notes) -> None:
        self.number = number
        by_number = sorted(rows, key=lambda version: version.number)
        self.rows = sorted(by_number, key=lambda version: sort_key(version.path))
        self.notes = notes
        self._text: bytes | None = None

    @property
    def text(self) -> bytes:
        """The written form, JSON."""
        if self._text is None:
            self._text = sealed.encode(
                _WireDelta(self.number, versions.table(self.rows) if self.rows else None, notes_table(self.notes))
            )
        return self._text

    @classmethod
    def of_text(cls, text: bytes) -> Delta:
        """Return the delta that `text` is.

        Raises:
            ValueError, TypeError, LookupError, OverflowError, msgspec.DecodeError: It is none.
        """
        wire = msgspec.json.decode(text, type=_WireDelta)
        delta = cls(wire.number, Rows(wire.rows).scan("") if wire.rows else (), read_notes(wire.notes))
        delta._text = text
        return delta


class Overlay:
    """A layer in memory, for the newest commits."""

    def __init__(self, rows: Iterable[Version] = (), notes: Notes | None = None) -> None:
        # Most paths have one version here, for which a dict of its own would be a lot.
        self._latest: dict[str, Version] = {}
        self._older: dict[str, dict[int, Version]] = {}
        self._notes: dict[tuple[str, int], dict[str, Any]] = dict(notes or {})
        self._sorted: list[str] | None = None
        for version in rows:
            self._put(sort_key(version.path), version)

    def __len__(self) -> int:
        return len(self._latest)

    def with_delta(self, delta: Delta) -> Overlay:
        """Return a layer of these commits and the next one; this one stays as it is."""
        other = Overlay(notes={**self._notes, **delta.notes})
        other._latest = dict(self._latest)
        other._older = dict(self._older)
        for version in delta.rows:
            key = sort_key(version.path)
            if key in other._older:
                other._older[key] = dict(other._older[key])
            other._put(key, version)
        return other

    def latest(self, key: str) -> Version | None:
        """See `Layer`."""
        return self._latest.get(key)

    def version(self, key: str, number: int) -> Version | None:
        """See `Layer`."""
        latest = self._latest.get(key)
        return latest if latest is None or latest.number == number else self._older.get(key, {}).get(number)

    def versions(self, key: str) -> Sequence[Version]:
        """See `Layer`."""
        latest, older = self._latest.get(key), self._older.get(key, {})
        return [*(older[number] for number in sorted(older)), *([latest] if latest else ())]

    def scan(self, key: str) -> Iterator[Version]:
        """See `Layer`."""
        if self._sorted is None:
            self._sorted = sorted(self._latest)
        for at in range(bisect_left(self._sorted, key), len(self._sorted)):
            yield self._latest[self._sorted[at]]

    def all_rows(self) -> Iterator[Version]:
        """Yield every row, in no order."""
        yield from self._latest.values()
        for older in self._older.values():
            yield from older.values()

    def _put(self, key: str, version: Version) -> None:
        latest = self._latest.get(key)
        if latest is None or latest.number == version.number:
            self._latest[key] = version
            return
        older, self._latest[key] = (latest, version) if latest.number < version.number else (version, latest)
        self._older.setdefault(key, {})[older.number] = older

    def notes(self) -> Notes:
        """See `Layer`."""
        return self._notes


class _WireDelta(msgspec.Struct, omit_defaults=True):
    number: int
    rows: Table | None = None
    notes: list[tuple[str, int, dict[str, Any]]] = []


def notes_table(notes: Notes) -> list[tuple[str, int, dict[str, Any]]]:
    """Return the written form of annotations, sorted."""
    return [(path, number, notes[path, number]) for path, number in sorted(notes)]


def read_notes(table: Sequence[tuple[str, int, dict[str, Any]]]) -> Notes:
    """Return the annotations in `table`.

    Raises:
        ValueError: A path in it is not clean.
    """
    for path, _, _ in table:
        if path:
            check_path(path)
    return {(path, number): note for path, number, note in table}
