"""Sizes as people write them."""

from __future__ import annotations

import re

from mlflow_versioned_store.errors import InvalidInput

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_bytes(text: str, name: str) -> int:
    """Return the bytes that "256M", "1 GiB" or "1048576" means (units of 1024); `name` is for the message.

    Raises:
        InvalidInput: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{name}={text!r} is not a size; write bytes or a number with K, M, G or T.")
    return int(match[1]) * _UNITS[match[2].upper()]
