"""Artifact roots against their owners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.catalog.orphans import Kind, Orphan, Owner, compare, owner_of, placing
from mlflow_versioned_store.errors import NoStore
from mlflow_versioned_store.store import create_store

A, B = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("root", "kind", "owner"),
    [
        (f"1/{A}/artifacts", "run", A),
        (f"{A}/artifacts", "run", A),
        (f"models/{A}/artifacts", "run", A),
        ("1/models/m-12/artifacts", "model", "m-12"),
        ("models/m-12/artifacts", "model", "m-12"),
        ("1/traces/tr-12/artifacts", "trace", "tr-12"),
        (f"1/traces/{A}/artifacts", "trace", A),
    ],
)
def test_a_root_names_its_owner(root: str, kind: Kind, owner: str) -> None:
    """What a root belongs to is read off its name."""
    assert owner_of(root) == (kind, owner)


IDS = st.sampled_from([A, B, "c" * 32])
ROOT = st.builds(lambda experiment, run: f"{experiment}/{run}/artifacts", st.sampled_from("12"), IDS)
OWNER = st.builds(
    lambda run, root, deleted: Owner("run", run, "1", root, deleted), IDS, st.none() | ROOT, st.booleans()
)


@given(st.lists(ROOT, unique=True), st.lists(OWNER, unique_by=lambda owner: owner.id))
def test_every_root_has_an_owner_or_a_reason(names: list[str], owners: list[Owner]) -> None:
    """A root is owned where its living owner says so, and else an orphan; a living owner without its root is empty."""
    found = compare([*names, ""], owners, lambda location: location)
    by_id = {owner.id: owner for owner in owners}
    expected: list[Orphan] = []
    for name in sorted(names):
        owner = by_id.get(owner_of(name)[1])
        if owner is None:
            expected.append(Orphan(name, "run", owner_of(name)[1], "unknown"))
        elif owner.deleted:
            expected.append(Orphan(name, "run", owner.id, "deleted"))
        elif owner.location not in (None, name):
            expected.append(Orphan(name, "run", owner.id, "elsewhere"))
    assert found.orphans == expected
    assert found.owned == len(names) - len(expected)
    living = [owner for owner in owners if not owner.deleted and owner.location is not None]
    assert found.empty == [
        owner for owner in living if owner.location not in names or owner_of(str(owner.location))[1] != owner.id
    ]


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], str | None]:
    """Placing in a store in the folder "store" of the test's folder."""
    create_store(f"versioned-file://{tmp_path}/store")
    return placing(f"versioned-file://{tmp_path}/store")


def test_locations_lead_to_roots(place: Callable[[str], str | None], tmp_path: Path) -> None:
    """A location in the store leads to its root, however MLflow spells it; one elsewhere leads nowhere."""
    root = f"1/{A}/artifacts"
    inside = f"{tmp_path}/store/{root}"
    assert place(f"versioned-file://{inside}") == place(f"versioned-file:{inside}") == root
    assert place(f"mlflow-artifacts:/{root}") == place(f"mlflow-artifacts://host:5000/{root}") == root
    assert place(f"versioned-file://{tmp_path}/store2/{root}") is None
    assert place(f"versioned-memory://{inside}") is None
    assert place(f"file://{inside}") is None


def test_locations_are_compared_below_a_uri(tmp_path: Path) -> None:
    """Of a part of a store, only what lies in it; a server's destination may be such a part."""
    create_store(f"versioned-file://{tmp_path}/store")
    place = placing(f"versioned-file://{tmp_path}/store/team/")
    assert place(f"versioned-file://{tmp_path}/store/1/{A}/artifacts") is None
    assert place(f"versioned-file://{tmp_path}/store/team/1/{A}/artifacts") == f"team/1/{A}/artifacts"
    assert place(f"mlflow-artifacts:/1/{A}/artifacts") == f"team/1/{A}/artifacts"


def test_without_a_store_there_is_nothing_to_compare(tmp_path: Path) -> None:
    """A place without a store is told, not taken for an empty one."""
    with pytest.raises(NoStore):
        placing(f"versioned-file://{tmp_path}/store")
