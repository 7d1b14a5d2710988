"""`mvs cat`."""

from __future__ import annotations

import random

from tests.cli.conftest import Mvs, Put


def test_bytes_come_as_they_are(mvs: Mvs, root: str, put: Put) -> None:
    """Every byte of the version that is meant, and nothing else, is written."""
    data = random.Random(1).randbytes(3 << 20)
    put("a.bin", data)
    put("a.bin", b"two\r\n")
    assert mvs("cat", f"{root}/a.bin@v1").stdout_bytes == data
    assert mvs("cat", f"{root}/a.bin").stdout_bytes == b"two\r\n"


def test_folders_have_no_bytes(mvs: Mvs, root: str, put: Put) -> None:
    """A folder ends with 6, and nothing is written."""
    put("d/a", b"one")
    assert mvs("cat", f"{root}/d", code=6).stdout == ""
