"""`mvs cache`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_versioned_store.content.cache import Cache
from tests.cli.conftest import Mvs


@pytest.fixture(autouse=True)
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds a part of one object, at the place that the environment names."""
    for name, value in {"MVS_CACHE": "on", "MVS_CACHE_DIR": str(tmp_path), "MVS_CACHE_SIZE": "1M"}.items():
        monkeypatch.setenv(name, value)
    Cache(str(tmp_path)).through("an object", 0, 5000, lambda start, stop: bytes(stop - start))
    return tmp_path


def test_what_the_cache_holds_is_shown(mvs: Mvs, filled: Path) -> None:
    """Where it is, how much it holds and may hold."""
    told = mvs.json("cache")
    assert (told["folder"], told["on"], told["objects"], told["limit"]) == (str(filled), True, 1, 1 << 20)
    assert told["size"] >= 5000
    assert "1 object" in mvs("cache").stdout


def test_the_cache_is_emptied_on_request(mvs: Mvs) -> None:
    """What that freed is told."""
    told = mvs.json("cache", "--clear")
    assert told["freed"] >= 5000
    assert (told["objects"], told["size"]) == (0, 0)
    assert mvs("cache", "--clear").stdout.startswith("Freed 0 B.")


def test_a_cache_that_is_off_says_so(mvs: Mvs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch is named."""
    monkeypatch.setenv("MVS_CACHE", "off")
    assert "MVS_CACHE turns it off" in mvs("cache").stdout
    monkeypatch.setenv("MVS_CACHE", "on")
    monkeypatch.setenv("MVS_CACHE_SIZE", "0")
    assert "MVS_CACHE_SIZE gives it no room" in mvs("cache").stdout


def test_the_limit_is_told_before_there_is_a_folder(mvs: Mvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of what is free where it will be, also for a relative folder, which is told in full."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MVS_CACHE_SIZE")
    monkeypatch.setenv("MVS_CACHE_DIR", "not/there")
    told = mvs.json("cache")
    assert told["limit"] > 0
    assert told["folder"] == str(tmp_path / "not" / "there")
    assert not (tmp_path / "not").exists()
