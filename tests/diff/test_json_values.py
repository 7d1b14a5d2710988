"""JSON documents, by path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.diff.json_values import JsonDiff, _changes
from tests.diff.making import compared

documents = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=True) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c d"]), inner, max_size=3),
    max_leaves=12,
)


def changes_of(folder: Path, a: Any, b: Any) -> list[tuple[str, str, str | None, str | None]]:
    """Compare two documents."""
    diff = compared(folder, "d.json", json.dumps(a), json.dumps(b))
    assert isinstance(diff.detail, JsonDiff)
    return [(one.kind, one.path, one.a, one.b) for one in diff.detail.shown]


@given(documents)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    """The same values are no change, NaN included, whatever the order of members."""
    other = json.loads(json.dumps(document, sort_keys=True))
    assert list(_changes(document, other)) == []


@given(documents, documents)
def test_other_documents_differ(a: Any, b: Any) -> None:
    """Documents that are written differently differ somewhere."""
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (list(_changes(a, b)) == []) == same


def test_changes_are_named_by_path(tmp_path: Path) -> None:
    """Members are named with dots where that can be read, and items by their number."""
    a = {"model": {"layers": [{"n": 1}, {"n": 2}], "lr": 0.1}, "a b": 1, "gone": [1, {"x": 1}]}
    b = {"model": {"layers": [{"n": 1}, {"n": 5}], "lr": 0.01}, "a b": None, "new": True}
    assert changes_of(tmp_path, a, b) == [
        ("changed", "$.model.layers[1].n", "2", "5"),
        ("changed", "$.model.lr", "0.1", "0.01"),
        ("changed", '$["a b"]', "1", "null"),
        ("removed", "$.gone", '[1, "…"]', None),
        ("added", "$.new", None, "true"),
    ]


def test_an_item_put_into_a_list_moves_no_others(tmp_path: Path) -> None:
    """Items before and after one that was added are the same."""
    a = [{"n": at} for at in range(10)]
    assert changes_of(tmp_path, a, [*a[:4], {"n": 99}, *a[4:]]) == [("added", "$[4]", None, '{"n": 99}')]
    assert changes_of(tmp_path, a, [*a[:4], *a[6:]]) == [
        ("removed", "$[4]", '{"n": 4}', None),
        ("removed", "$[5]", '{"n": 5}', None),
    ]


@pytest.mark.parametrize(("a", "b"), [(1, True), (1, 1.0), (0, None), ("1", 1), ([], {})])
def test_types_matter(tmp_path: Path, a: Any, b: Any) -> None:
    """Values of different types are different values."""
    assert [kind for kind, *_ in changes_of(tmp_path, [a], [b])] == ["changed"]


@pytest.mark.parametrize("broken", ["{", "[" * 100_000, '{"a": ' * 50_000, "nope", '{"a": 1e}', "1" * 5000], ids=str)
def test_what_is_no_json_is_text(tmp_path: Path, broken: str) -> None:
    """A document that does not parse, or is nested without end, is compared as text, with a warning."""
    diff = compared(tmp_path, "d.json", broken, "{}")
    assert diff.kind == "text"
    assert "is no JSON" in diff.warnings[0]


def test_deep_documents_are_compared(tmp_path: Path) -> None:
    """Depth that the parser allows costs no stack of the comparison."""
    deep = "[" * 900
    diff = compared(tmp_path, "d.json", deep + "1" + "]" * 900, deep + "2" + "]" * 900)
    assert isinstance(diff.detail, JsonDiff)
    assert diff.detail.changed == 1


def test_counts_are_whole_where_not_all_is_shown(tmp_path: Path) -> None:
    """Of very many changes the first are shown, and all are counted."""
    diff = compared(tmp_path, "d.json", json.dumps([0] * 2000), json.dumps([1] * 2000))
    assert isinstance(diff.detail, JsonDiff)
    assert (diff.detail.changed, len(diff.detail.shown)) == (2000, 500)
    assert "… and 1,500 more." in diff.text()
