"""URIs and paths as MLflow passes them."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.mlflow_plugin import paths

COMPONENTS = st.lists(st.sampled_from(["a", "b c", "d@v2", ".", "..", "", "ü+"]), max_size=8)


@pytest.mark.parametrize(
    "uri",
    [
        "versioned-s3://bucket",
        "versioned-s3://bucket/p/1/run/artifacts",
        "versioned-s3://bucket/d@c5/a b",
        "versioned-file:///data/store",
        "versioned-file:/data/store",
        "VERSIONED-S3://bucket/Case",
    ],
)
def test_a_plain_uri_is_kept_as_it_is(uri: str) -> None:
    """Whichever way MLflow spells it."""
    assert paths.location(uri) == (uri, None)


def test_the_part_before_a_climb_is_remembered() -> None:
    """MLflow builds a repository at `d/../d` when it is asked for `d/../d/a.txt`."""
    uri = "versioned-s3://b/run/d/../d/./e"
    assert paths.location(uri) == (uri, "versioned-s3://b/run/d")


@pytest.mark.parametrize("uri", ["versioned-s3://b/..", "versioned-s3://b/a/../../c", "versioned-file:///../etc"])
def test_climbing_out_of_the_container_is_refused(uri: str) -> None:
    """No number of ".." leads into another bucket."""
    with pytest.raises(InvalidInput, match="leaves its container"):
        paths.location(uri)


@pytest.mark.parametrize("uri", ["versioned-s3://b/p?version=3", "versioned-s3://b/p?x=1", "versioned-s3://b/a#1"])
def test_a_query_or_fragment_is_refused(uri: str) -> None:
    """MLflow drops or misplaces queries on some ways, so a version there would silently give the latest."""
    with pytest.raises(InvalidInput, match="@v2"):
        paths.location(uri)


@pytest.mark.parametrize("uri", ["/data/store", "s3://bucket/p", "versioned-floppy://a"])
def test_a_uri_of_somebody_else_is_refused(uri: str) -> None:
    """A plain path, another scheme, or a kind of store that does not exist."""
    with pytest.raises(InvalidInput, match="versioned-"):
        paths.location(uri)


@pytest.mark.parametrize("path", [None, "", ".", "./", "a/.."])
def test_the_repository_itself_has_many_names(path: str | None) -> None:
    """MLflow passes None, "" and more for everything."""
    assert paths.reading(path) == ""


@pytest.mark.parametrize("path", ["/", "/etc", "..", "../x", "a/../../b"])
def test_a_path_out_of_the_repository_is_refused(path: str) -> None:
    """A repository reads nothing but what is below it."""
    with pytest.raises(InvalidInput, match="out of the repository"):
        paths.reading(path)


@given(COMPONENTS)
def test_a_path_to_read_is_normal_and_inside(parts: list[str]) -> None:
    """Reading takes what a POSIX path would mean, or refuses."""
    try:
        path = paths.reading("/".join(parts))
    except InvalidInput:
        return
    assert path == "" or (path == posixpath.normpath(path) and not path.startswith(("/", "..")))


@pytest.mark.parametrize(("folder", "clean"), [(None, ""), ("", ""), ("a/", "a"), ("a/b", "a/b"), ("d@v2", "d@v2")])
def test_a_folder_to_log_into_may_end_with_a_slash(folder: str | None, clean: str) -> None:
    """Stock S3 takes `a/`, so we do."""
    assert paths.writing(folder) == clean


@pytest.mark.parametrize("folder", ["/", "/a", "..", "../a", "a/../b", "a//b", "./a", "_mvs", "a/_mvs/b"])
def test_a_folder_that_could_mean_another_is_refused(folder: str) -> None:
    """What would resolve to another name is never written."""
    with pytest.raises(InvalidInput):
        paths.writing(folder)


def test_windows_separators_become_slashes_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow joins artifact paths with os.path.join in places."""
    monkeypatch.setattr("os.sep", "\\")
    assert paths.writing("a\\b") == "a/b"
