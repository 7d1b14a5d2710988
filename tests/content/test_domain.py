"""What a process remembers of indexes that it used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_versioned_store.content import domain
from mlflow_versioned_store.content.domain import Recent
from mlflow_versioned_store.content.indexes import Index, Placed
from mlflow_versioned_store.content.locations import IndexName

if TYPE_CHECKING:
    import pytest


def name(number: int) -> IndexName:
    """Return the name of an index."""
    return IndexName("all", f"{number:064x}")


def index(rows: int) -> Index:
    """Return an index of so many rows."""
    return Index([Placed(bytes(32), at, 1) for at in range(rows)], bytes(rows))


def test_the_newest_comes_first() -> None:
    """Noted again, an index is new again, and what was decoded of it is kept."""
    recent = Recent()
    decoded = index(3)
    recent.note([name(1)], decoded)
    recent.note([name(2), name(3)])
    recent.note([name(1)])
    assert recent.newest() == [(name(1), decoded), (name(3), None), (name(2), None)]


def test_names_are_bounded() -> None:
    """The oldest are forgotten."""
    recent = Recent()
    for number in range(100):
        recent.note([name(number)])
    newest = [one for one, _ in recent.newest()]
    assert newest == [name(number) for number in range(99, 99 - len(newest), -1)]
    assert len(newest) == 16


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of old and of large indexes only the name is kept."""
    monkeypatch.setattr(domain, "_ROWS_REMEMBERED", 10)
    recent = Recent()
    for number, rows in enumerate((6, 4, 4)):
        recent.note([name(number)], index(rows))
    assert [kept is not None for _, kept in recent.newest()] == [True, True, False]
    recent.note([name(9)], index(11))
    assert [kept is not None for _, kept in recent.newest()] == [False, False, False, False]
