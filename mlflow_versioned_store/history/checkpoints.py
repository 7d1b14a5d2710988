"""Checkpoints: the folded state of a stretch of commits, so that nobody has to read the log from its start.

Checkpoints are levelled. The first level folds the commits since the last checkpoint; a level that grows beyond its
bound is folded into the next one, which may be 64 times as large. So there is one checkpoint a level, all together
cover the log without gaps, a root of 100,000 commits has two, and N commits rewrite O(N log N) rows.

A checkpoint is a sealed manifest with two tables, the newest version of every path that the stretch touched and the
older ones; very large tables are in parts, each a range of paths, so that a reader fetches what it needs. It is only a
shortcut: where one is lost or damaged its stretch is folded again from the commits.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import msgspec

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.errors import Damaged, NotFound, ObjectMissing
from mlflow_versioned_store.history import columns, sealed, versions
from mlflow_versioned_store.history.columns import Table
from mlflow_versioned_store.history.layers import Notes, Overlay, notes_table, read_notes
from mlflow_versioned_store.history.paths import sort_key
from mlflow_versioned_store.history.records import CheckpointRef, PartRef
from mlflow_versioned_store.history.sealed import Digest
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Rows, Version

logger = logging.getLogger(__name__)

COMMITS_MAX = 64
SINCE_BYTES_MAX = 32 << 10
GROWTH = 64

_ROWS_A_STEP = 512
_PARTS_KEPT_MAX = 16
# Up to so many parts are quicker read together than each when it is needed.
_TOGETHER_MAX = 8
_OBJECT_BYTES_MAX = 64 << 20
_ROW_BYTES = 128

Rebuild = Callable[[CheckpointRef], Overlay]


class _WireTable(msgspec.Struct, omit_defaults=True):
    table: Table | None = None
    parts: tuple[PartRef, ...] = ()


class _WireCheckpoint(msgspec.Struct, omit_defaults=True):
    mvs: int
    root: str
    level: int
    first: int
    number: int
    current: _WireTable
    older: _WireTable
    notes: list[tuple[str, int, dict[str, object]]] = []


class _WirePart(msgspec.Struct):
    mvs: int
    rows: Table


class _Segments:
    """A table in parts by path range, each read when it is needed; the last ones used are kept."""

    def __init__(self, parts: Sequence[PartRef], load: Callable[[PartRef], Rows]) -> None:
        self._parts = parts
        self._first = [sort_key(part.first) for part in parts]
        self._last = [sort_key(part.last) for part in parts]
        if self._last != sorted(self._last) or any(a > b for a, b in zip(self._first, self._last, strict=True)):
            raise ValueError("its parts are not sorted")
        self._load = load
        self._kept: OrderedDict[int, Rows] = OrderedDict()
        self._lock = fork_safe_lock()

    def from_key(self, key: str) -> Iterator[tuple[str, Rows]]:
        """Yield the parts that may hold `key` or what sorts behind it, each with its first key."""
        for at in range(bisect_left(self._last, key), len(self._parts)):
            yield self._first[at], self._rows(at)

    def of_key(self, key: str) -> Iterator[Version]:
        """Yield the versions of one path."""
        for at in range(bisect_left(self._last, key), len(self._parts)):
            if self._first[at] > key:
                return
            rows = self._rows(at)
            yield from (rows[row] for row in rows.span(key))

    def _rows(self, at: int) -> Rows:
        with self._lock:
            rows = self._kept.get(at)
            if rows is not None:
                self._kept.move_to_end(at)
                return rows
        rows = self._load(self._parts[at])
        with self._lock:
            self._kept[at] = rows
            while len(self._kept) > _PARTS_KEPT_MAX:
                self._kept.popitem(last=False)
        return rows


class _Stored:
    """The layer that a checkpoint's object holds."""

    def __init__(self, current: _Segments, older: _Segments, notes: Notes) -> None:
        self._current = current
        self._older = older
        self._notes = notes

    def latest(self, key: str) -> Version | None:
        return next(self._current.of_key(key), None)

    def version(self, key: str, number: int) -> Version | None:
        latest = self.latest(key)
        if latest is None or latest.number == number:
            return latest
        return next((version for version in self._older.of_key(key) if version.number == number), None)

    def versions(self, key: str) -> Sequence[Version]:
        latest = self.latest(key)
        return [] if latest is None else [*self._older.of_key(key), latest]

    def scan(self, key: str) -> Iterator[Version]:
        for _, rows in self._current.from_key(key):
            yield from rows.scan(key)

    def all_rows(self) -> Iterator[Version]:
        for segments in (self._older, self._current):
            for _, rows in segments.from_key(""):
                yield from rows.scan("")

    def notes(self) -> Notes:
        return self._notes


class CheckpointLayer:
    """The layer of one checkpoint: read when first needed, folded from the log again where that fails.

    Args:
        ref: The checkpoint.
        load: Reads its object.
        rebuild: Folds its commits.
        layer: What it holds, where that is at hand.
    """

    def __init__(
        self,
        ref: CheckpointRef,
        load: Callable[[CheckpointRef], _Stored],
        rebuild: Rebuild,
        layer: Overlay | None = None,
    ) -> None:
        self._ref = ref
        self._load = load
        self._rebuild = rebuild
        self._layer: _Stored | Overlay | None = layer
        self._lock = fork_safe_lock()

    def latest(self, key: str) -> Version | None:
        """See `Layer`."""
        try:
            return self._open().latest(key)
        except Damaged as damage:
            return self._folded(damage).latest(key)

    def version(self, key: str, number: int) -> Version | None:
        """See `Layer`."""
        try:
            return self._open().version(key, number)
        except Damaged as damage:
            return self._folded(damage).version(key, number)

    def versions(self, key: str) -> Sequence[Version]:
        """See `Layer`."""
        try:
            return self._open().versions(key)
        except Damaged as damage:
            return self._folded(damage).versions(key)

    def scan(self, key: str) -> Iterator[Version]:
        """See `Layer`."""
        try:
            for version in self._open().scan(key):
                yield version
                key = sort_key(version.path) + "\0"
        except Damaged as damage:
            yield from self._folded(damage).scan(key)

    def all_rows(self) -> Iterator[Version]:
        """Yield every row, in no order; rows may come twice where a part turns out to be damaged."""
        try:
            yield from self._open().all_rows()
        except Damaged as damage:
            yield from self._folded(damage).all_rows()

    def notes(self) -> Notes:
        """See `Layer`."""
        try:
            return self._open().notes()
        except Damaged as damage:
            return self._folded(damage).notes()

    def _open(self) -> _Stored | Overlay:
        with self._lock:
            if self._layer is None:
                self._layer = self._load(self._ref)
            return self._layer

    def _folded(self, damage: Damaged) -> Overlay:
        with self._lock:
            if not isinstance(self._layer, Overlay):
                logger.warning("%s Commits %d to %d are read instead.", damage, self._ref.first, self._ref.number)
                self._layer = self._rebuild(self._ref)
            return self._layer


class Checkpoints:
    """The checkpoints of one log.

    Args:
        backend: Where the log is.
        folder: The log's folder.
        root: The artifact root.
        digest: The store's digest function.
    """

    def __init__(self, backend: Backend, folder: str, root: str, digest: Digest) -> None:
        self._backend = backend
        self._folder = folder
        self._root = root
        self._digest = digest

    def layer(self, ref: CheckpointRef, rebuild: Rebuild) -> CheckpointLayer:
        """Return the layer of checkpoint `ref`. No request until it is used."""
        return CheckpointLayer(ref, self._load, rebuild)

    def save(self, state: State, rebuild: Rebuild) -> State:
        """Fold the commits of `state` since its last checkpoint into a new one, and return that state.

        One put (more for a state of more than 131,072 rows), and the reads of a level that has to be folded with it.

        Raises:
            VersionedStoreError: It could not be written or a lower level not be read; nothing is lost by that.
        """
        held = {ref.level: (ref, layer) for ref, layer in state.checkpoints}
        layers: list[_Stored | Overlay | CheckpointLayer] = list(state.recent)
        first = state.deltas[0].number
        level = 0
        while True:
            level += 1
            if level in held:
                ref, layer = held.pop(level)
                layers.append(layer)  # type: ignore[arg-type]  # a state's checkpoints are checkpoint layers
                first = ref.first
            rows, notes = _merged(layers)
            if max((state.number - first + 1) / COMMITS_MAX, len(rows) / _ROWS_A_STEP) < GROWTH**level:
                break
        ref = self._write(level, first, state.number, rows, notes)
        small = len(rows) <= columns.CHUNK_ROWS_MAX
        layer = CheckpointLayer(ref, self._load, rebuild, Overlay(rows.values(), notes) if small else None)
        kept = [(ref, layer), *(held[level] for level in sorted(held))]
        return State(state.root, number=state.number, digest=state.digest, time=state.time, checkpoints=kept, deltas=())

    def _write(
        self, level: int, first: int, number: int, rows: dict[tuple[str, int], Version], notes: Notes
    ) -> CheckpointRef:
        current, older = _tables(rows)
        wire = _WireCheckpoint(
            mvs=sealed.FORMAT,
            root=self._root,
            level=level,
            first=first,
            number=number,
            current=self._table(current),
            older=self._table(older),
            notes=notes_table(notes),
        )
        data = sealed.seal(sealed.encode(wire), self._digest)
        digest = self._digest(data)
        self._backend.put_named(keys.checkpoint(self._folder, number, digest), data)
        return CheckpointRef(level=level, first=first, number=number, digest=digest)

    def _table(self, rows: Sequence[Version]) -> _WireTable:
        pieces = list(columns.chunks(rows, lambda version: len(version.path) + _ROW_BYTES))
        if len(pieces) <= _TOGETHER_MAX:
            return _WireTable(table=versions.table(rows) if rows else None)
        parts: list[PartRef] = []
        for piece in pieces:
            data = sealed.seal(sealed.encode(_WirePart(sealed.FORMAT, versions.table(piece))), self._digest)
            digest = self._digest(data)
            self._backend.put_named(keys.part(self._folder, digest), data)
            parts.append(PartRef(digest=digest, rows=len(piece), first=piece[0].path, last=piece[-1].path))
        return _WireTable(parts=tuple(parts))

    def _load(self, ref: CheckpointRef) -> _Stored:
        key = keys.checkpoint(self._folder, ref.number, ref.digest)
        text = self._read(key, ref.digest)
        with sealed.reading(key):
            wire = sealed.decode(text, _WireCheckpoint, key)
            if (wire.root, wire.level, wire.first, wire.number) != (self._root, ref.level, ref.first, ref.number):
                raise ValueError("it is the checkpoint of something else")
            return _Stored(self._segments(wire.current), self._segments(wire.older), read_notes(wire.notes))

    def _segments(self, wire: _WireTable) -> _Segments:
        if wire.table is None:
            return _Segments(wire.parts, self._load_part)
        rows = Rows(wire.table)
        if not len(rows):
            return _Segments((), self._load_part)
        whole = PartRef(digest="", rows=len(rows), first=rows[0].path, last=rows[len(rows) - 1].path)
        return _Segments((whole,), lambda _: rows)

    def _load_part(self, ref: PartRef) -> Rows:
        if not keys.is_digest(ref.digest):
            raise Damaged(f"A checkpoint of {self._root!r} names the impossible part {ref.digest[:80]!r}.")
        key = keys.part(self._folder, ref.digest)
        text = self._read(key, ref.digest)
        with sealed.reading(key):
            rows = Rows(sealed.decode(text, _WirePart, key).rows)
            if len(rows) != ref.rows or (rows[0].path, rows[len(rows) - 1].path) != (ref.first, ref.last):
                raise ValueError("it holds other rows than its checkpoint says")
        return rows

    def _read(self, key: str, digest: str) -> bytes:
        try:
            data = self._backend.get(key, stop=_OBJECT_BYTES_MAX).data
        except NotFound as missing:
            raise ObjectMissing(f"The checkpoint {key} is gone.", key=key) from missing
        with sealed.reading(key):
            if self._digest(data) != digest:
                raise ValueError("its digest is not the one that its commit names")
            return sealed.unseal(data, self._digest)[0]


def is_due(state: State) -> bool:
    """Tell whether whoever commits next to `state` should write a checkpoint first."""
    if sum(len(delta.rows) for delta in state.deltas) > _ROWS_A_STEP:
        return True
    return len(state.deltas) > COMMITS_MAX or sum(len(delta.text) for delta in state.deltas) > SINCE_BYTES_MAX


def _merged(
    layers: Sequence[_Stored | Overlay | CheckpointLayer],
) -> tuple[dict[tuple[str, int], Version], Notes]:
    rows: dict[tuple[str, int], Version] = {}
    notes: dict[tuple[str, int], dict[str, object]] = {}
    for layer in reversed(layers):
        rows.update(((sort_key(version.path), version.number), version) for version in layer.all_rows())
        notes.update(layer.notes())
    return rows, notes


def _tables(rows: dict[tuple[str, int], Version]) -> tuple[list[Version], list[Version]]:
    """Return the newest version of every path, and the others; both sorted."""
    current: list[Version] = []
    older: list[Version] = []
    for _, version in sorted(rows.items(), key=lambda row: row[0]):
        if current and current[-1].path == version.path:
            older.append(current.pop())
        current.append(version)
    return current, older
