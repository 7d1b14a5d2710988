"""Patterns of native paths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.native.patterns import compiled

PATHS = st.lists(st.text("ab.*?[]é", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("**", ["a", "a/b", "a/b/c.txt"], []),
        ("*", ["a", "a.b"], ["a/b"]),
        ("data/**", ["data/a", "data/a/b"], ["data", "a/data/b", "database/a"]),
        ("data/*.parquet", ["data/a.parquet", "data/.parquet"], ["data/a/b.parquet", "data/aparquet"]),
        ("data/**/*.parquet", ["data/a.parquet", "data/x/y/a.parquet"], ["a.parquet", "data/a.csv"]),
        ("**/raw/*", ["raw/a", "x/raw/a", "x/y/raw/a"], ["raw", "raw/a/b", "draw/a"]),
        ("part-[0-9].csv", ["part-1.csv"], ["part-a.csv", "part-12.csv"]),
        ("[!a]x?", ["bxx"], ["axx", "bx", "/xx"]),
        ("a+(b).csv", ["a+(b).csv"], ["aab.csv"]),
        ("[", ["["], ["a"]),
    ],
)
def test_what_patterns_mean(pattern: str, yes: list[str], no: list[str]) -> None:
    """A pattern matches the paths that it means, and no other."""
    meaning = compiled([pattern])
    assert [path for path in yes if not meaning.fullmatch(path)] == []
    assert [path for path in no if meaning.fullmatch(path)] == []


@given(PATHS)
def test_everything_is_below_two_stars(path: str) -> None:
    """`**` matches every path there can be, and no pattern none."""
    assert compiled(["**"]).fullmatch(path)
    assert not compiled([]).fullmatch(path)


@given(st.text("ab.+(é", min_size=1, max_size=6))
def test_other_characters_stand_for_themselves(name: str) -> None:
    """A pattern without wildcards matches itself alone, and one of several patterns is enough."""
    meaning = compiled(["x/*", name])
    assert meaning.fullmatch(name)
    assert not meaning.fullmatch(name + "x")
    assert not meaning.fullmatch("x" + name)


@pytest.mark.parametrize("pattern", ["", "/", "/a", "a/", "a//b", "a**", "**b", "a/b**/c"])
def test_patterns_that_mean_nothing_are_refused(pattern: str) -> None:
    """A pattern that can match no path, or that reads otherwise than it works, is an error."""
    with pytest.raises(InvalidInput):
        compiled(["*", pattern])
