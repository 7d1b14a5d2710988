"""Sizes as people write them."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.content.sizes import parse_bytes
from mlflow_versioned_store.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("256M", 256 << 20),
        ("1G", 1 << 30),
        ("2t", 2 << 40),
        (" 64 KiB ", 64 << 10),
        ("64KB", 64 << 10),
        ("512 b", 512),
    ],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    """Bytes alone, or a number with a unit of 1024, in any case."""
    assert parse_bytes(text, "MVS_MEMORY") == expected


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1X", "1 M M", "1MiBs", "0x10", "1e6"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    """The message says which setting is wrong and what it holds."""
    with pytest.raises(InvalidInput, match="MVS_MEMORY"):
        parse_bytes(text, "MVS_MEMORY")
