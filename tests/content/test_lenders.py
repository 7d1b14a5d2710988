"""What names an object that lends its bytes, and what hostile records get."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlflow_versioned_store.backends.contract import ObjectInfo
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.packs import PackName, checked_holder
from mlflow_versioned_store.errors import Damaged

BY_VERSION = Lender("1/run/big", "v7", 1000, "")
BY_TAG = Lender("1/run/big", "", 1000, "tag")
PACK = PackName("all", "ab" * 32, 1000, 100)


@pytest.mark.parametrize("holder", [BY_VERSION, BY_TAG, PACK])
def test_packs_and_lenders_are_told_apart(holder: PackName | Lender) -> None:
    """Their last item says which of both a record names."""
    found = checked_holder(list(holder))
    assert (found, type(found)) == (holder, type(holder))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        [],
        ["key", "v", 1000],
        ["key", "v", 1000, "", ""],
        ["key", "v", 0, ""],
        ["key", "v", -1, ""],
        ["key", "v", 1 << 60, ""],
        ["key", "v", 1.5, ""],
        ["key", 7, 1000, ""],
        [7, "v", 1000, ""],
        ["", "v", 1000, ""],
        ["/key", "v", 1000, ""],
        ["key/", "v", 1000, ""],
        ["a//b", "v", 1000, ""],
        ["a/../key", "v", 1000, ""],
        ["_mvs/store.json", "v", 1000, ""],
        ["a\\b", "v", 1000, ""],
        ["\ud800", "v", 1000, ""],
    ],
)
def test_what_the_format_does_not_allow_is_damage(value: Any) -> None:
    """A lender lies inside the store, and is no object of the store's own."""
    for read in (Lender.checked, checked_holder):
        with pytest.raises(Damaged):
            read(value)


@pytest.mark.parametrize(
    ("lender", "size", "e_tag", "still"),
    [
        (BY_VERSION, 1000, "any", True),
        (BY_VERSION, 999, "any", False),
        (BY_TAG, 1000, "tag", True),
        (BY_TAG, 1000, "other", False),
        (BY_TAG, 1001, "tag", False),
        (BY_TAG, 1000, None, True),
    ],
)
def test_an_object_is_still_what_it_was_by_size_and_tag(
    lender: Lender, size: int, e_tag: str | None, *, still: bool
) -> None:
    """The tag counts where no version id decides, and where the server tells it."""
    assert lender.is_still(ObjectInfo(lender.key, size, datetime.now(UTC), e_tag)) == still


def test_the_cache_tells_states_of_an_object_apart() -> None:
    """Bytes of one object version or tag are never taken for those of another."""
    identities = {one.identity for one in (BY_VERSION, BY_TAG, BY_TAG._replace(e_tag="other"), PACK)}
    assert len(identities) == 4
