"""A version of a path, and many of them as a compact sorted table.

`Rows` keeps columns instead of objects: a table of 100,000 versions opens in milliseconds and makes a `Version` only
of what is asked for. Written, it is a table of `history.columns` with the columns

    path, version, commit, change, entry, size, sha256, time, kind, status, moved, ended
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from mlflow_versioned_store.history import columns
from mlflow_versioned_store.history.columns import Table
from mlflow_versioned_store.history.paths import check_paths, path_of, sort_key

Kind: TypeAlias = Literal["file", "folder"]
Status: TypeAlias = Literal["live", "deleted", "expired", "purged"]

KINDS: frozenset[str] = frozenset({"file", "folder"})
STATUSES: frozenset[str] = frozenset({"live", "deleted", "expired", "purged"})
_PLACE_WIDTH = 3


class Place(NamedTuple):
    """Where a record says where bytes are: an entry of a change of a commit, the last two counted from 0."""

    commit: int
    change: int
    entry: int


class Version(msgspec.Struct, frozen=True, gc=False):
    """One version of a path; a row of the state tables.

    Args:
        path: The path inside its artifact root.
        number: 1, 2, … in commit order, without gaps.
        commit: The commit that made it.
        change: Which change of that commit, from 0.
        entry: Which entry of that change, from 0.
        size: Bytes.
        sha256: The digest of the whole file in hex; "" for a folder.
        time: When it was made, in milliseconds since 1970 UTC.
        kind: "file", or "folder" for a folder that was logged empty.
        status: "live"; "deleted" when a tombstone ended it (its bytes are still kept); "expired" or "purged" when
            it can no longer be read.
        moved: Where a later commit says its bytes are, once its pack was rewritten.
        ended: When a tombstone ended it, in milliseconds since 1970 UTC; 0 where none did, or its writer did not say.
    """

    path: str
    number: int
    commit: int
    change: int
    entry: int
    size: int
    sha256: str
    time: int
    kind: Kind = "file"
    status: Status = "live"
    moved: Place | None = None
    ended: int = 0

    @property
    def deleted(self) -> bool:
        """Whether a tombstone ended this version."""
        return self.status == "deleted"

    @property
    def readable(self) -> bool:
        """Whether retention and purges have left its bytes in place."""
        return self.status in ("live", "deleted")

    @property
    def place(self) -> Place:
        """The entry that says where its bytes are now."""
        return self.moved or Place(self.commit, self.change, self.entry)

    @property
    def when(self) -> datetime:
        """When it was made, UTC."""
        return datetime.fromtimestamp(self.time / 1000, UTC)

    @property
    def when_ended(self) -> datetime:
        """When a tombstone ended it, UTC; when it was made, where that was not said."""
        return datetime.fromtimestamp((self.ended or self.time) / 1000, UTC)


class Rows:
    """Versions sorted by path (`sort_key`) and number.

    Args:
        table: The written table.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: It is no such table.
    """

    def __init__(self, table: Table) -> None:
        paths = table["path"]
        rows = columns.rows_of(table)
        check_paths(paths)
        self.keys: list[str] = [sort_key(path) for path in paths]
        self._numbers = columns.unpack_ints(table.get("version"), rows)
        self._commits = columns.unpack_ints(table.get("commit"), rows)
        self._changes = columns.unpack_ints(table.get("change"), rows)
        self._entries = columns.unpack_ints(table.get("entry"), rows)
        self._sizes = columns.unpack_ints(table.get("size"), rows)
        self._times = columns.unpack_ints(table.get("time"), rows)
        self._sha256, self._has_sha256 = columns.unpack_digests(table.get("sha256"), rows)
        self._kinds = columns.unpack_texts(table.get("kind"), rows, "file", KINDS)
        self._statuses = columns.unpack_texts(table.get("status"), rows, "live", STATUSES)
        self._moved = [_place(value) for value in columns.unpack_json(table.get("moved"), rows)]
        self._ended = columns.unpack_ints(table.get("ended"), rows)
        if not _is_sorted(self.keys, self._numbers):
            raise ValueError("a table of versions is not sorted")
        if rows and (min(self._numbers) < 1 or min(self._commits) < 1):
            raise ValueError("a table of versions counts from 0")

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> Version:
        return Version(
            path=path_of(self.keys[row]),
            number=self._numbers[row],
            commit=self._commits[row],
            change=self._changes[row],
            entry=self._entries[row],
            size=self._sizes[row],
            sha256=self._sha256[row * 32 : row * 32 + 32].hex() if self._has_sha256[row] else "",
            time=self._times[row],
            kind=self._kinds[row],  # type: ignore[arg-type]  # unpack_texts let only kinds through
            status=self._statuses[row],  # type: ignore[arg-type]  # and only statuses
            moved=self._moved[row],
            ended=self._ended[row],
        )

    def span(self, key: str) -> range:
        """Return the rows of the path whose `sort_key` is `key`."""
        return range(bisect_left(self.keys, key), bisect_right(self.keys, key))

    def scan(self, key: str) -> Iterator[Version]:
        """Yield the versions from the first path that does not sort before `key`."""
        for row in range(bisect_left(self.keys, key), len(self.keys)):
            yield self[row]


def table(versions: Sequence[Version]) -> Table:
    """Return the written form of `versions`, which are sorted by path (`sort_key`) and number."""
    columns_of: Table = {
        "path": [version.path for version in versions],
        "version": columns.pack_ints([version.number for version in versions]),
        "commit": columns.pack_ints([version.commit for version in versions]),
        "change": columns.pack_ints([version.change for version in versions]),
        "entry": columns.pack_ints([version.entry for version in versions]),
        "size": columns.pack_ints([version.size for version in versions]),
        "sha256": columns.pack_digests([version.sha256 for version in versions]),
        "time": columns.pack_ints([version.time for version in versions]),
        "kind": columns.constant([version.kind for version in versions]),
        "status": columns.constant([version.status for version in versions]),
        "moved": columns.pack_json([list(version.moved) if version.moved else None for version in versions]),
        "ended": columns.pack_ints([version.ended for version in versions]),
    }
    defaults = {"change": 0, "entry": 0, "kind": "file", "status": "live", "moved": None, "ended": 0}
    return {name: column for name, column in columns_of.items() if name not in defaults or column != defaults[name]}


def _place(value: object) -> Place | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != _PLACE_WIDTH or not all(type(x) is int and x >= 0 for x in value):
        raise ValueError("a table says that a version moved, but not where to")
    return Place(*value)


def _is_sorted(keys: Sequence[str], numbers: array[int]) -> bool:
    return all(
        before < after or (before == after and numbers[row] < numbers[row + 1])
        for row, (before, after) in enumerate(pairwise(keys))
    )
