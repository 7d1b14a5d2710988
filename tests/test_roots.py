"""Which artifact root a path belongs to, and which paths may name something at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.roots import PATH_BYTES_MAX, clean_path, experiment, mlflow_part, place, place_of_address

RUN = "0123456789abcdef" * 2
PLACES = [
    (f"1/{RUN}/artifacts/data/a.csv", f"1/{RUN}/artifacts", "data/a.csv"),
    (f"1/{RUN}/artifacts", f"1/{RUN}/artifacts", ""),
    (f"{RUN}/artifacts/x", f"{RUN}/artifacts", "x"),
    (f"1/models/m-{RUN}/artifacts/MLmodel", f"1/models/m-{RUN}/artifacts", "MLmodel"),
    (f"1/traces/tr-{RUN}/artifacts/traces.json", f"1/traces/tr-{RUN}/artifacts", "traces.json"),
    # The first match from the left counts, whatever follows.
    (f"1/{RUN}/artifacts/{RUN}/artifacts/x", f"1/{RUN}/artifacts", f"{RUN}/artifacts/x"),
    (f"1/{RUN}", "", f"1/{RUN}"),
    (f"1/{RUN.upper()}/artifacts/x", "", f"1/{RUN.upper()}/artifacts/x"),
    (f"1/{RUN}0/artifacts/x", "", f"1/{RUN}0/artifacts/x"),
    ("models/m-xyz/artifacts/x", "", "models/m-xyz/artifacts/x"),
    ("any/thing.csv", "", "any/thing.csv"),
    ("", "", ""),
]


@pytest.mark.parametrize(("path", "root", "rest"), PLACES)
def test_a_path_is_split_at_its_root(path: str, root: str, rest: str) -> None:
    """Runs, logged models and traces are artifact roots; everything else belongs to the store's own."""
    assert place(path) == (root, rest)


@pytest.mark.parametrize(("path", "root", "rest"), PLACES)
def test_a_root_is_its_own_place(path: str, root: str, rest: str) -> None:
    """However long the prefix a repository is built at, what lies below belongs to the same root."""
    assert place(root) == (root, "")
    if root:
        assert place(f"{root}/anything") == (root, "anything")


@pytest.mark.parametrize(
    ("path", "root", "rest"),
    [
        *PLACES,
        (f"1/{RUN}/artifacts@c5", f"1/{RUN}/artifacts", "@c5"),
        (f"1/{RUN}/artifacts@@c5/a/b", f"1/{RUN}/artifacts", "@@c5/a/b"),
        (f"1/{RUN}/artifacts/a/artifacts@c5", f"1/{RUN}/artifacts", "a/artifacts@c5"),
        ("any/artifacts@c5", "", "any/artifacts@c5"),
    ],
)
def test_an_address_may_stand_on_a_root(path: str, root: str, rest: str) -> None:
    """It is an address inside that root; every other path is where it is anyway."""
    assert place_of_address(path) == (root, rest)


@pytest.mark.parametrize(
    ("path", "above"),
    [
        (f"team/1/{RUN}/artifacts/x", 2),
        (f"1/models/m-{RUN}/artifacts", 1),
        (f"1/traces/tr-{RUN}/artifacts", 1),
        (f"{RUN}/artifacts", 0),
        ("team/exports/x", 3),
        ("", 0),
    ],
)
def test_the_part_that_is_mlflows(path: str, above: int) -> None:
    """Tells how many components lie above the part of a path that MLflow makes."""
    assert mlflow_part(path) == above


@pytest.mark.parametrize(
    "path", ["a", "a/b.csv", "/a/", "ü/日本", "a b/c#d?e", "~a", "...", "a" * 255, ".hidden", "_mvs2"]
)
def test_names_are_taken_as_they_are(path: str) -> None:
    """Whatever a file may be called is accepted; only slashes at the ends are dropped."""
    assert clean_path(path) == path.strip("/")


HARMFUL = [
    "a//b",
    "./a",
    "a/..",
    "../a",
    "a/./b",
    "_mvs",
    "a/_mvs/b",
    "_mvs/store.json",
    "a\0b",
    "a\\b",
    "..",
    "\ud800",
]
HARMFUL += ["ä/../b", "ü/_mvs", "ö\\x", "x" * (PATH_BYTES_MAX + 1), "ä" * (PATH_BYTES_MAX // 2 + 1)]


@pytest.mark.parametrize("path", HARMFUL)
def test_names_that_could_do_harm_are_refused(path: str) -> None:
    """Relative, reserved, doubled, unprintable or endless paths are refused, also among non-ASCII characters."""
    with pytest.raises(InvalidInput):
        clean_path(path)


@given(st.text(st.sampled_from("./\\\0_mvs aü"), max_size=30))
def test_the_quick_look_refuses_what_the_careful_one_refuses(path: str) -> None:
    """A clean path has no harmful component, however it was written."""
    try:
        clean = clean_path(path)
    except InvalidInput:
        return
    parts = clean.split("/") if clean else []
    assert not {"", ".", "..", "_mvs"} & set(parts)
    assert not {"\0", "\\"} & set(clean)
    assert clean == path.strip("/")


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("", ""),
        (f"1/{RUN}/artifacts", "1"),
        (f"team/1/{RUN}/artifacts", "team"),
        (f"{RUN}/artifacts", ""),
        ("models/m-0a1b/artifacts", ""),
        ("1/models/m-0a1b/artifacts", "1"),
    ],
)
def test_an_experiment_is_what_stands_before_mlflows_part(root: str, expected: str) -> None:
    """Runs that lie directly in a store count for one experiment, not for one each."""
    assert experiment(root) == expected
