"""What a release wrote is read byte for byte by every later one, and can be gone on with."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.content import codecs, packs
from mlflow_versioned_store.content.locations import INLINE, Native, Packed, decode_content, decode_location
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.settings import Settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client

HERE = Path(__file__).parent
RUN = "0123456789abcdef" * 2
ROOT = f"1/{RUN}/artifacts"
STORES = [
    pytest.param(format_, digest, id=f"{format_.name}-{digest}")
    for format_ in sorted(HERE.glob("format-*"))
    for digest in ("blake3", "sha256")
]
Expected = dict[str, dict[str, Any]]


def opened(folder: Path) -> Store:
    """Return a client of the store in a folder."""
    return client(FilesBackend(str(folder)))


def expected_of(format_: Path, digest: str) -> Expected:
    """Return what is in a store, root by root."""
    expected: dict[str, Expected] = json.loads((format_ / "expected.json").read_text(encoding="utf-8"))
    return expected[digest]


def walked(store: Store, root: str, address: str = "") -> list[list[Any]]:
    """Return path and number of all that is below an address."""
    return sorted([version.path, version.number] for version in store.root(root).walk(address))


def test_there_are_golden_stores() -> None:
    """Format 1 is among them, so the tests below do test something."""
    assert (HERE / "format-1" / "blake3" / "_mvs" / "store.json").is_file()
    assert len(STORES) >= 2


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_every_version_is_what_it_was(format_: Path, digest: str) -> None:
    """Every version that was ever logged has its size, its SHA-256 and its bytes, also piece by piece."""
    store = opened(format_ / digest)
    for name, expected in expected_of(format_, digest).items():
        root = store.root(name)
        assert expected["versions"]
        for address, content in expected["versions"].items():
            version = invariants.log_of(store, name).state().version(*_split(address))
            assert version is not None
            if content is None:
                assert version.kind == "folder"
                continue
            assert [version.size, version.sha256] == content
            data = root.read(version)
            assert [len(data), hashlib.sha256(data).hexdigest()] == content
            middle = version.size // 2
            assert root.read(version, 0, middle) + root.read(version, middle) == data


def _split(address: str) -> tuple[str, int]:
    path, _, number = address.rpartition("@@v")
    return path, int(number)


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_every_state_is_what_it_was(format_: Path, digest: str) -> None:
    """What was current at every commit still was, deletions and empty folders included, and the chain is whole."""
    store = opened(format_ / digest)
    assert store.roots_below("") == sorted(expected_of(format_, digest))
    for name, expected in expected_of(format_, digest).items():
        assert walked(store, name) == expected["current"]
        for number, current in enumerate(expected["commits"], 1):
            assert walked(store, name, f"@@c{number}") == current
        invariants.check_all(store, name)


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_names_still_lead_where_they_led(format_: Path, digest: str) -> None:
    """Aliases, notes and settings are what they were, unknown settings among them."""
    store = opened(format_ / digest)
    gold = store.root(ROOT).resolve("data/table.csv@@gold")
    assert isinstance(gold, Version)
    assert (gold.path, gold.number) == ("data/table.csv", 3)
    assert store.settings == Settings(stage_seconds=30)
    notes = invariants.log_of(store, ROOT).state().notes("data/table.csv")
    assert notes == {"alias:gold": "v3", "description": "row, state\n" * 500}
    assert store.settings_log.state().notes("")["of a later release"] == [1]


@pytest.mark.parametrize(("format_", "digest"), STORES)
def test_a_later_release_goes_on(format_: Path, digest: str, tmp_path: Path) -> None:
    """In a copy the next upload knows what is current, leans on what is there, and takes nothing away."""
    shutil.copytree(format_ / digest, tmp_path / "store")
    store = opened(tmp_path / "store")
    root = store.root(ROOT)
    (current,) = root.walk("data/table.csv")
    data = root.read(current)
    (same,) = root.upload([Item("data/table.csv", data)], context=Context())
    assert (same.version, same.unchanged) == (current.number, True)
    before = _data(store)
    (changed,) = root.upload([Item("data/table.csv", data + b"one more row\n")], context=Context())
    assert changed.version == current.number + 1
    assert _data(store) - before < len(data) / 20, "what is there was not found again"
    assert walked(store, ROOT, "data/table.csv@@v1") == [["data/table.csv", 1]]
    invariants.check_all(opened(tmp_path / "store"), ROOT)


def _data(store: Store) -> int:
    return sum(info.size for info in store.backend.list("_mvs/data"))


@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_format_1_has_one_of_everything(digest: str) -> None:
    """The golden stores show what the format has: kinds of frames, locations, records, checkpoints and operations."""
    store = opened(HERE / "format-1" / digest)
    log = invariants.log_of(store, ROOT)
    commits = list(log.commits())
    changes = [change for commit in commits for change in commit.changes]
    assert {change.operation for change in changes} >= {"upload", "delete", "annotate", "consume"}
    assert any(change.parts for change in changes)
    assert any(change.unchanged for change in changes)
    assert {commit.record[:1] for commit in commits} == {b"{", b"\x28"}
    assert max(ref.level for commit in commits for ref in commit.checkpoints) >= 2
    contents = [decode_content(change.content) for change in changes]
    frames = [
        packs.decode_pack(pack, store.backend.get(pack.key).data, store.domain(ROOT).digest)
        for content in contents
        for pack in content.packs
    ]
    assert {codec for directory in frames for codec in directory.codecs} == {codecs.RAW, codecs.ZSTD, codecs.DELTA}
    assert any(len(content.packs) > 1 and content.leans for content in contents)
    locations = [
        decode_location(entry.at, entry.size)
        for change in changes
        for entry in log.entries(change)
        if entry.action == "make" and entry.kind == "file"
    ]
    packed = [location for location in locations if isinstance(location, Packed)]
    assert any(isinstance(location, Native) for location in locations)
    assert any(location.tree for location in packed)
    assert any(extent.pack == INLINE for location in packed for extent in location.extents)
    assert any(not location.extents for location in packed)
