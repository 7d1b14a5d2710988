"""Tables of versions: what was written comes back, and hostile tables do not open."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import VersionedStoreError
from mlflow_versioned_store.history import versions
from mlflow_versioned_store.history.paths import sort_key
from mlflow_versioned_store.history.versions import Place, Rows, Version

NUMBERS = st.integers(0, 2**40)
PATHS = st.lists(st.sampled_from(["a", "b", "a-", "ä", "x y"]), min_size=1, max_size=3).map("/".join)
VERSIONS = st.builds(
    Version,
    path=PATHS,
    number=st.integers(1, 99),
    commit=st.integers(1, 2**40),
    change=NUMBERS,
    entry=NUMBERS,
    size=NUMBERS,
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex) | st.just(""),
    time=NUMBERS,
    kind=st.sampled_from(["file", "folder"]),
    status=st.sampled_from(["live", "deleted", "expired", "purged"]),
    moved=st.none() | st.builds(Place, NUMBERS, NUMBERS, NUMBERS),
    ended=NUMBERS,
)
TABLES = st.lists(VERSIONS, max_size=30, unique_by=lambda version: (version.path, version.number)).map(
    lambda rows: sorted(rows, key=lambda version: (sort_key(version.path), version.number))
)


def _opened(table: Any) -> Rows:
    return Rows(msgspec.json.decode(msgspec.json.encode(table)))


@given(TABLES, PATHS)
def test_round_trip(made: list[Version], path: str) -> None:
    """A table gives back its versions, those of one path, and those from a path on."""
    rows = _opened(versions.table(made))
    assert list(rows.scan("")) == made
    assert [rows[row] for row in rows.span(sort_key(path))] == [version for version in made if version.path == path]
    assert list(rows.scan(sort_key(path))) == [version for version in made if sort_key(version.path) >= sort_key(path)]


@pytest.mark.parametrize(
    "columns",
    [
        {"path": ["b", "a"]},
        {"path": ["a", "a"]},
        {"version": 0},
        {"commit": 0},
        {"path": ["a", "../b"]},
        {"kind": "device"},
        {"status": "undead"},
        {"moved": [[1, 2], None]},
        {"moved": [[1, 2, -3], None]},
        {"moved": ["x", None]},
        {"time": [1]},
    ],
    ids=str,
)
def test_hostile_tables_do_not_open(columns: dict[str, Any]) -> None:
    """Rows out of order, counted from 0, or of no known kind are refused."""
    honest = {"path": ["a", "b"], "version": 1, "commit": 1, "size": 1, "sha256": "ab" * 32, "time": 1}
    assert len(_opened(honest)) == 2
    with pytest.raises((ValueError, TypeError, LookupError, VersionedStoreError)):
        _opened({**honest, **columns})


def test_a_version_says_where_its_bytes_are_and_whether_they_are() -> None:
    """Bytes are where they were written until they move, and outlive a deletion but no expiry."""
    version = Version("a", 1, 5, 1, 2, 3, "", 1793534400000)
    assert version.place == Place(5, 1, 2)
    assert msgspec.structs.replace(version, moved=Place(9, 0, 0)).place == Place(9, 0, 0)
    assert version.when.isoformat() == "2026-11-01T12:00:00+00:00"
    statuses = {status: msgspec.structs.replace(version, status=status) for status in versions.STATUSES}
    assert {status for status, each in statuses.items() if each.readable} == {"live", "deleted"}
    assert {status for status, each in statuses.items() if each.deleted} == {"deleted"}


def test_a_version_says_when_it_ended() -> None:
    """By the tombstone; rows that do not say it, as earlier releases wrote them, tell when the version was made."""
    version = Version("a", 1, 5, 1, 2, 3, "", 1793534400000, status="deleted", ended=1793534460000)
    assert version.when_ended.isoformat() == "2026-11-01T12:01:00+00:00"
    table = versions.table([version])
    del table["ended"]
    assert _opened(table)[0].when_ended == version.when
