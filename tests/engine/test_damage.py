"""Bytes that a disk or a bucket has damaged: how that shows, and the way back for who still has the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item, Stored
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.testing.clients import client, new_store
from tests.engine.uploads import CONTEXT, ROOT, noise

DATA = noise(1, 3 << 20)
EDITED = DATA[:1000] + b"inserted" + DATA[1000:]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with one file, of whose pack a byte in the middle was flipped."""
    new_store(FilesBackend(str(tmp_path)))
    log(tmp_path, "m/a.bin", DATA)
    (pack,) = packs(tmp_path)
    hurt(pack, pack.stat().st_size // 2)
    return tmp_path


def root(folder: Path) -> ArtifactRoot:
    """Return the artifact root as another machine sees it."""
    return client(FilesBackend(str(folder))).root(ROOT)


def log(folder: Path, path: str, data: bytes, *, anew: bool = False) -> Stored:
    """Log `data` as another machine does."""
    (stored,) = root(folder).upload([Item(path, data)], context=CONTEXT, anew=anew)
    return stored


def read(folder: Path, address: str) -> bytes:
    """Read a version as another machine does."""
    reader = root(folder)
    version = reader.find(address)
    assert isinstance(version, Version)
    return reader.read(version)


def packs(folder: Path) -> list[Path]:
    """Return the store's packs."""
    return list((folder / "_mvs/data/all/packs").rglob("*/*"))


def hurt(path: Path, at: int) -> None:
    """Flip a bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_bytes_that_are_stored_anew_can_be_read(folder: Path) -> None:
    """They are a version of their own, though the content is current, and lean on nothing; the old one stays as it is.

    Logged as ever, the content would be taken for what is there.
    """
    assert log(folder, "m/a.bin", DATA).unchanged
    (old,) = packs(folder)
    stored = log(folder, "m/a.bin", DATA, anew=True)
    assert (stored.version, stored.unchanged) == (2, False)
    with pytest.raises(Damaged):
        read(folder, "m/a.bin@v1")
    old.unlink()
    assert read(folder, "m/a.bin") == DATA


def test_what_is_logged_later_leans_on_what_was_stored_anew(folder: Path) -> None:
    """Its next version and a copy under another path find the good bytes first."""
    log(folder, "m/a.bin", DATA, anew=True)
    stored = sum(pack.stat().st_size for pack in packs(folder))
    log(folder, "copy/a.bin", DATA)
    log(folder, "m/a.bin", EDITED)
    assert read(folder, "copy/a.bin") == DATA
    assert read(folder, "m/a.bin") == EDITED
    assert sum(pack.stat().st_size for pack in packs(folder)) < stored + len(DATA) // 2


def test_small_content_is_stored_anew_too(folder: Path) -> None:
    """What lies inside commits lies inside the new one."""
    log(folder, "note", b"text")
    assert log(folder, "note", b"text", anew=True).version == 2
    assert read(folder, "note@v2") == b"text"


@pytest.mark.parametrize("part", ["frames", "directory"])
def test_damage_is_told_with_what_to_do(folder: Path, part: str) -> None:
    """A message names the version once, and ends with the ways back, each once; read whole or in part."""
    if part == "directory":
        log(folder, "m/a.bin", DATA, anew=True)
        for pack in packs(folder):
            hurt(pack, pack.stat().st_size - 100)
    reader = root(folder)
    version = reader.find("m/a.bin")
    assert isinstance(version, Version)
    for start in (0, 1) if part == "frames" else (1,):
        with pytest.raises(Damaged) as caught:
            reader.read(version, start)
        said = str(caught.value)
        assert said.count("m/a.bin@@v") == 1
        assert said.endswith(
            ". Restore it from a backup or an older object version. Or log the file again with mvs put --anew."
        )
        assert said.count("Restore") == 1
