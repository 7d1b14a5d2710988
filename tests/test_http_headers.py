"""Headers about files: ranges as RFC 9110 means them, and names that need quoting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.http_headers import attachment, byte_range, is_byte_range, media_type


@given(size=st.integers(0, 50), first=st.integers(0, 60), last=st.integers(0, 60))
def test_ranges_mean_the_bytes_they_name(size: int, first: int, last: int) -> None:
    """A range from, up to or at the end of a file is what counting its bytes one by one gives."""
    numbers = list(range(size))
    for text, meant in (
        (f"bytes={first}-{last}", [at for at in numbers if first <= at <= last]),
        (f"bytes={first}-", [at for at in numbers if first <= at]),
        (f"bytes=-{last}", numbers[max(0, size - last) :]),
    ):
        assert is_byte_range(text)
        assert list(range(*byte_range(text, size))) == meant


@pytest.mark.parametrize(
    "text",
    ["", "bytes=-", "bytes=", "bytes=1-2,4-5", "lines=1-2", "bytes=1", "bytes=a-2", f"bytes={10**18}-", "bytes=²-"],
)
def test_all_else_is_no_range(text: str) -> None:
    """What is no single range of bytes, or counts further than any file, is none."""
    assert not is_byte_range(text)


def test_names_and_types() -> None:
    """A name is quoted whatever is in it; compressed files are not of the type of what is in them."""
    assert attachment('ü "/;.csv') == "attachment; filename*=UTF-8''%C3%BC%20%22%2F%3B.csv"
    assert media_type("t.csv") == "text/csv"
    assert media_type("t.csv.gz") == media_type("nothing") == "application/octet-stream"
