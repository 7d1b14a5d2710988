"""Where the bytes of a version are: the JSON of a commit, and what hostile JSON gets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.locations import (
    INLINE,
    Extent,
    IndexName,
    Location,
    Native,
    Packed,
    Reference,
    content_of,
    decode_content,
    decode_location,
    encode_content,
    encode_location,
)
from mlflow_versioned_store.content.packs import PackName
from mlflow_versioned_store.errors import Damaged

HEX = "ab" * 32
EXTENT = Extent(0, 24, 500, 700)


def json(value: Any) -> Any:
    """Return a value as it comes out of a commit."""
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("location", "size", "expected"),
    [
        (Packed(()), 0, []),
        (Packed((EXTENT,)), 700, [[0, 24, 500, 700]]),
        (Packed((Extent(INLINE, 0, 60, 7),)), 7, [[-1, 0, 60, 7]]),
        (Packed((EXTENT, EXTENT), HEX), 1400, {"extents": [[0, 24, 500, 700]] * 2, "tree": HEX}),
        (Native("a/b"), 5, {"native": "a/b"}),
        (Native("a/b", "v"), 5, {"native": "a/b", "s3_version_id": "v"}),
        (Reference("s3://b/k"), 5, {"reference": "s3://b/k"}),
        (Reference("s3://b/k", "v", "e"), 5, {"reference": "s3://b/k", "s3_version_id": "v", "e_tag": "e"}),
    ],
    ids=repr,
)
def test_locations_are_written_as_the_format_says(location: Location, size: int, expected: Any) -> None:
    """Each kind has its own JSON, and comes back from it."""
    assert json(encode_location(location)) == expected
    assert decode_location(json(encode_location(location)), size) == location


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text",
        {},
        {"extents": []},
        {"extents": [], "tree": "short"},
        {"extents": [], "tree": HEX.upper()},
        {"extents": {}, "tree": HEX},
        {"native": 7},
        {"native": "k", "s3_version_id": 7},
        {"reference": None},
        {"reference": "s3://b/k", "e_tag": []},
        {"elsewhere": "k"},
        [7],
        [[]],
        [[0, 24, 500]],
        [[0, 24, 500, 700, 0]],
        [[-2, 24, 500, 700]],
        [[0, -1, 500, 700]],
        [[0, 24, 0, 700]],
        [[0, 24, -500, 700]],
        [[0, 24, 500, -700]],
        [[0, 24, 500, -700], [0, 24, 500, 1400]],
        [[0, 1 << 51, 500, 700]],
        [[0, 24, 1 << 51, 700]],
        [[0, 24, 500, 699]],
        [[0, 24, 500, 701]],
        [[0, 24, 500, 700], [0, 24, 500, 1]],
        [[0, 24.0, 500, 700]],
        [["0", 24, 500, 700]],
    ],
    ids=repr,
)
def test_other_locations_are_errors(value: Any) -> None:
    """What is of no known kind, breaks a limit, or does not add up to the size of the file is refused."""
    with pytest.raises(Damaged):
        decode_location(value, 700)


@given(
    packs=st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(200, 256 << 20)), max_size=4),
    indexes=st.lists(st.text(min_size=1, max_size=5), max_size=3),
    lenders=st.lists(
        st.builds(Lender, st.text("abc", min_size=1), st.text(), st.integers(1, 1 << 50), st.text()), max_size=3
    ),
)
def test_content_comes_back(packs: list[tuple[str, int]], indexes: list[str], lenders: list[Lender]) -> None:
    """Packs, leans, lenders and indexes are read as they were written; what is empty is left out."""
    names = tuple(PackName(domain, HEX, size, 100) for domain, size in packs)
    content = content_of(names, [*lenders, *names[1:]], [IndexName(domain, HEX) for domain in indexes])
    encoded = json(encode_content(content))
    assert decode_content(encoded) == content
    assert content.bases == (*names[1:], *lenders)
    assert set(encoded) == {name for name in ("packs", "leans", "lenders", "indexes") if getattr(content, name)}


def test_unknown_fields_are_kept() -> None:
    """What a newer release adds survives being read and written by this one."""
    content = decode_content({"packs": [], "signature": {"by": "x"}})
    assert encode_content(content) == {"signature": {"by": "x"}}


@pytest.mark.parametrize("name", ["packs", "leans", "lenders", "indexes"])
@pytest.mark.parametrize(
    "items",
    [None, {}, "x", [None], [["all"]], [["all", "../../x"]], [["", HEX]], [["all", "../x", 1000, 100]]],
    ids=repr,
)
def test_other_content_is_an_error(name: str, items: Any) -> None:
    """Names that are no digests never become keys."""
    with pytest.raises(Damaged):
        decode_content({name: items})
