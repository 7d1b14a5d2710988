"""`mvs cat`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.cli.conftest import RUN, Mvs, Put


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


def test_damage_names_its_version_once(mvs: Mvs, tmp_path: Path) -> None:
    """Bytes that are damaged end with 7, and the one line says of what, and what to do."""
    (tmp_path / "a.bin").write_bytes(random.Random(1).randbytes(3 << 20))
    uri = f"versioned-file://{tmp_path}/store/1/{RUN}/artifacts/a.bin"
    mvs("put", str(tmp_path / "a.bin"), uri)
    (pack,) = (tmp_path / "store/_mvs/data/all/packs").rglob("*/*")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    told = mvs("cat", uri, code=7).stderr
    assert told.count("a.bin@@v1") == 1
    assert told.count("mvs put --anew") == 1
    mvs("put", "--anew", str(tmp_path / "a.bin"), uri)
    assert mvs("cat", uri).stdout_bytes == (tmp_path / "a.bin").read_bytes()
