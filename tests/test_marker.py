"""The marker: what a store is, and which stores this release must leave alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store import marker
from mlflow_versioned_store.errors import Damaged, Unsupported, VersionedStoreError

WHERE = "s3://bucket/prefix"


def written(**changes: Any) -> bytes:
    """Return a marker's bytes with some fields changed."""
    fields = json.loads(marker.encode(marker.new_marker(WHERE, "blake3")))
    # Those of the first release have none, and may be anything.
    del fields["check"]
    return json.dumps(fields | changes).encode()


def test_a_marker_survives_being_written() -> None:
    """What is written is what is read, for either digest, and people can read it."""
    for digest in ("blake3", "sha256"):
        made = marker.new_marker(WHERE, digest)
        assert marker.decode(marker.encode(made), WHERE) == made
        assert made.location == WHERE
        assert f'  "id": "{made.id}"' in marker.encode(made).decode()


def test_every_store_has_an_id_of_its_own() -> None:
    """No two markers share an id."""
    assert len({marker.new_marker(WHERE, "blake3").id for _ in range(100)}) == 100


def test_unknown_fields_are_ignored() -> None:
    """What a later release adds without asking for a feature changes nothing."""
    assert marker.decode(written(color="blue", deep={"a": [1]}), WHERE).digest == "blake3"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": 2}, "format 2"),
        ({"format": 2, "chunking": "no longer an object"}, "format 2"),
        ({"needs_to_read": ["encryption"]}, "encryption to read it"),
        ({"needs_to_read": ["b", "a"]}, "a, b to read it"),
        ({"digest": "blake9"}, "blake9"),
        ({"chunking": {"algorithm": "ronomon"}}, "ronomon"),
        ({"chunking": {"smallest": 0}}, "0 to 262144"),
        ({"chunking": {"largest": 1 << 40}}, str(1 << 40)),
    ],
)
def test_what_needs_a_newer_release_is_refused_by_name(changes: dict[str, Any], named: str) -> None:
    """A later format, an unknown feature, digest or way of cutting is named, never guessed at."""
    with pytest.raises(Unsupported, match=named) as caught:
        marker.decode(written(**changes), WHERE)
    assert "release" in str(caught.value)
    assert WHERE in str(caught.value)


def test_a_feature_that_only_writers_need_lets_readers_in() -> None:
    """A store that must not be written may still be read."""
    assert marker.decode(written(needs_to_write=["signing"]), WHERE).needs_to_write == ("signing",)
    with pytest.raises(Unsupported, match=f"The store {WHERE} needs signing to write it"):
        marker.check_features(("signing",), WHERE, "write")


NO_MARKERS = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000]
NO_MARKERS += [written(**changes) for changes in ({"id": "short"}, {"id": 7}, {"format": 0}, {"format": "1"})]
NO_MARKERS += [written(**{name: value}) for name, value in (("chunking", None), ("needs_to_read", "encryption"))]
NO_MARKERS += [written(needs_to_read=[1])]


@pytest.mark.parametrize("data", NO_MARKERS)
def test_what_is_no_marker_is_damaged(data: bytes) -> None:
    """Anything else at the marker's place is reported as damage that names the store."""
    with pytest.raises(Damaged, match=WHERE):
        marker.decode(data, WHERE)


@given(st.data())
def test_a_damaged_marker_never_passes_for_another_store(data: st.DataObject) -> None:
    """With any byte changed it is refused, or says what it said."""
    made = marker.new_marker(WHERE, "blake3")
    damaged = bytearray(marker.encode(made))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        known = marker.decode(bytes(damaged), WHERE)
    except VersionedStoreError:
        return
    assert known == made


def test_the_check_is_of_what_the_marker_says_alone() -> None:
    """Neither spacing nor order matter, and fields of a later release are covered too."""
    made = marker.new_marker(WHERE, "blake3")
    fields = json.loads(marker.encode(made))
    assert marker.decode(json.dumps(dict(reversed(fields.items()))).encode(), WHERE) == made
    with pytest.raises(Damaged, match="not what was written"):
        marker.decode(json.dumps(fields | {"color": "blue"}).encode(), WHERE)
