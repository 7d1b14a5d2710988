"""How keys are spelled: encoded in one place, parsed by the same rules, nothing climbs out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import check_key
from mlflow_versioned_store.errors import InvalidInput

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
DIGEST = "ab" * 32


def test_the_layout_is_what_it_always_was() -> None:
    """Every key of a store, literally: a change here loses the stores that exist."""
    log = keys.log("1/0af/artifacts")
    assert keys.MARKER == "_mvs/store.json"
    assert keys.SETTINGS_LOG == "_mvs/settings"
    assert log == "_mvs/log/1/0af/artifacts"
    assert keys.log("") == "_mvs/log/_root"
    assert keys.commit(log, 3) == "_mvs/log/1/0af/artifacts/_c/999999999997"
    assert keys.checkpoint(log, 3, DIGEST) == f"_mvs/log/1/0af/artifacts/_k/999999999997-{DIGEST}"
    assert keys.part(log, DIGEST) == f"_mvs/log/1/0af/artifacts/_p/{DIGEST}"
    assert keys.pack("all", DIGEST) == f"_mvs/data/all/packs/ab/{DIGEST}"
    assert keys.index("all", DIGEST) == f"_mvs/data/all/indexes/ab/{DIGEST}"
    assert keys.hook("all", 255, 1_000, DIGEST) == f"_mvs/data/all/hooks/00000000000000ff/99999999999000-{DIGEST}"
    assert keys.mark("all", DIGEST) == f"_mvs/gc/marks/all-{DIGEST}"


@given(NAMES)
def test_any_name_becomes_one_harmless_component(name: str) -> None:
    """An encoded component is a legal key component, never ours, never relative, and decodes to the name."""
    component = keys.encode_component(name)
    assert check_key(f"a/{component}/b").count("/") == 2
    assert component[0] not in "_~"
    assert len(component) <= keys.COMPONENT_BYTES_MAX
    decoded = keys.decode_component(component)
    if decoded is None:
        assert component == "%" + hashlib.sha256(name.encode()).hexdigest()
    else:
        assert decoded == name


@given(st.lists(NAMES, min_size=2, max_size=2, unique=True))
def test_different_names_have_different_components(names: list[str]) -> None:
    """No two names share a component, hashed ones included."""
    assert keys.encode_component(names[0]) != keys.encode_component(names[1])


def test_a_long_name_is_hashed() -> None:
    """A component that would exceed 255 bytes is its hash, which no encoding produces."""
    assert len(keys.encode_component("x" * 255)) == 255
    hashed = keys.encode_component("x" * 256)
    assert hashed == "%" + hashlib.sha256(b"x" * 256).hexdigest()
    assert keys.decode_component(hashed) is None


@given(st.integers(1, keys.COMMIT_NUMBER_MAX), st.integers(1, keys.COMMIT_NUMBER_MAX))
def test_newer_commits_sort_first(older: int, newer: int) -> None:
    """In an ordered listing commits come newest first, and each key tells its number."""
    first, second = keys.commit("log", older), keys.commit("log", newer)
    assert (first < second) == (older > newer)
    assert keys.commit_number(first) == older


@pytest.mark.parametrize("number", [0, -1, 10**12])
def test_impossible_commit_numbers_are_refused(number: int) -> None:
    """A commit number out of range makes no key."""
    with pytest.raises(InvalidInput, match="commit number"):
        keys.commit("log", number)


@pytest.mark.parametrize(
    "key", ["log/_c/12", "log/_c/99999999999x", "log/_k/999999999997", "log/_c/000000000000", "999999999999", "log/_c/"]
)
def test_foreign_keys_are_no_commits(key: str) -> None:
    """What does not look like a commit's key has no number."""
    assert keys.commit_number(key) is None


@pytest.mark.parametrize("digest", ["", "../../x", "AB" * 32, "ab" * 31, "ab" * 32 + "/..", "ab" * 32 + "\n"])
def test_only_digests_become_keys(digest: str) -> None:
    """A digest from a record that is not 64 lower-case hex digits is refused wherever it would enter a key."""
    spellings: list[Callable[[], str]] = [
        lambda: keys.pack("all", digest),
        lambda: keys.index("all", digest),
        lambda: keys.part("log", digest),
        lambda: keys.checkpoint("log", 1, digest),
        lambda: keys.hook("all", 1, 1, digest),
        lambda: keys.mark("all", digest),
    ]
    for spell in spellings:
        with pytest.raises(InvalidInput, match="not a digest"):
            spell()


def test_a_domain_cannot_climb_out() -> None:
    """A domain named by a hostile record stays one component."""
    assert keys.pack("../..", DIGEST).startswith("_mvs/data/..%2F..")
    assert keys.pack("..", DIGEST).startswith("_mvs/data/%2E.")
    with pytest.raises(InvalidInput, match="needs a name"):
        keys.pack("", DIGEST)


def test_hooks_lead_to_indexes_newest_first() -> None:
    """A hook tells its index; a newer one sorts first; anything else is no hook."""
    newer, older = (keys.hook("all", 7, time, DIGEST) for time in (2_000, 1_000))
    assert newer < older
    assert keys.hook_index(newer) == DIGEST
    assert keys.hook_index("_mvs/data/all/hooks/0000000000000007/readme") is None


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (keys.MARKER, "marker"),
        (keys.commit(keys.log("1/_c/x"), 7), "commits"),
        (keys.commit(keys.SETTINGS_LOG, 1), "commits"),
        (keys.checkpoint(keys.log(""), 7, DIGEST), "checkpoints"),
        (keys.part(keys.log("a"), DIGEST), "parts"),
        (keys.pack("all", DIGEST), "packs"),
        (keys.index("all", DIGEST), "indexes"),
        (keys.hook("all", 7, 1_000, DIGEST), "hooks"),
        (keys.mark("all", DIGEST), "gc"),
        ("1/run/artifacts/_c/data.csv", "artifacts"),
        ("_mvs/access/2026-11-01/x", "access"),
    ],
)
def test_a_key_tells_what_is_kept_there(key: str, kind: str) -> None:
    """What a listing counts is told from the key alone."""
    assert keys.kind(key) == kind


@pytest.mark.parametrize("root", ["", "1/run/artifacts", "_c/_root", "a b/ü%/_x"])
def test_a_commit_tells_its_root(root: str) -> None:
    """The root is read off the key of a commit, and off no other key."""
    log = keys.log(root)
    assert keys.log_of_commit(keys.commit(log, 7)) == log
    assert keys.root_of_log(log) == root
    for other in (keys.checkpoint(log, 7, DIGEST), f"{log}/_c/readme", keys.commit(keys.SETTINGS_LOG, 7)):
        assert keys.log_of_commit(other) is None


def test_a_hashed_name_is_not_guessed() -> None:
    """Where only the hash of a name is in the key, the root is not told."""
    assert keys.root_of_log(keys.log("a" * 300)) is None
