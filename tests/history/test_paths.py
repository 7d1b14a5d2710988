"""The order of paths, and the check of many of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.paths import ancestors, behind, check_paths, inside, path_of, sort_key
from mlflow_versioned_store.roots import clean_path

ANY_TEXT = st.text(st.sampled_from("a.b-\\/\0_mvs\n\ud800é ~"), max_size=12) | st.sampled_from(["_mvs", "a/_mvs", "/a"])
NAMES = st.text(st.sampled_from("ab.-@ é\x01~"), min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def _accepted(path: str) -> bool:
    try:
        return bool(path) and clean_path(path) == path
    except InvalidInput:
        return False


@given(st.lists(ANY_TEXT, max_size=5))
def test_many_paths_pass_just_when_each_would(paths: list[str]) -> None:
    """The quick check of many paths accepts exactly what the check for writing leaves as it is."""
    if all(map(_accepted, paths)):
        check_paths(paths)
    else:
        with pytest.raises(InvalidInput):
            check_paths(paths)


@pytest.mark.parametrize(("path", "fits"), [("é" * 2048, True), ("é" * 2049, False), ("a" * 4096, True)])
def test_length_counts_in_bytes(path: str, fits: bool) -> None:
    """A path may have 4,096 bytes, whatever its letters."""
    if fits:
        check_paths(["a", path])
    else:
        with pytest.raises(InvalidInput, match="longer"):
            check_paths(["a", path])


@given(st.lists(PATHS, unique=True), PATHS)
def test_a_folder_is_followed_by_what_is_in_it(paths: list[str], folder: str) -> None:
    """Between `inside` and `behind` of a folder lie exactly the paths below it."""
    below = {path for path in paths if path.startswith(folder + "/")}
    assert {path for path in paths if inside(folder) <= sort_key(path) < behind(folder)} - {folder} == below
    assert all(path_of(sort_key(path)) == path for path in paths)


def test_ancestors_are_the_folders_above() -> None:
    """The nearest folder comes first, the root not at all."""
    assert list(ancestors("a/b/c")) == ["a/b", "a"]
    assert list(ancestors("a")) == []
