"""MLflow's progress bar on long transfers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store.mlflow_plugin import progress
from mlflow_versioned_store.mlflow_plugin.progress import TransferBar
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

SWITCH = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"


def _transfer(bar: TransferBar) -> None:
    bar.add(40)
    bar.add(60)
    bar.close()


def test_a_short_transfer_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar for each of many small files would bury everything else."""
    _transfer(TransferBar("Uploading artifacts", lambda: 100))
    assert capsys.readouterr().err == ""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every transfer for a long one."""
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_long_transfer_shows_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    """The bar names the work and reaches the end."""
    _transfer(TransferBar("Uploading artifacts", lambda: 100))
    shown = capsys.readouterr().err
    assert "Uploading artifacts" in shown
    assert "100%" in shown


@pytest.mark.usefixtures("at_once")
def test_the_switch_of_mlflow_turns_it_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false is respected."""
    monkeypatch.setenv(SWITCH, "false")
    _transfer(TransferBar("Uploading artifacts", lambda: 100))
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_uploads_and_downloads_have_bars(
    repository: VersionedArtifactRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    enabled: str,
) -> None:
    """Files and directories, up and down, all or none of them by the switch."""
    monkeypatch.setenv(SWITCH, enabled)
    (tmp_path / "a.txt").write_bytes(b"a" * 5000)
    (tmp_path / "to").mkdir()
    steps: list[tuple[str, Callable[[], object]]] = [
        ("Uploading artifacts", lambda: repository.log_artifact(tmp_path / "a.txt")),
        ("Uploading artifacts", lambda: repository.log_artifacts(tmp_path, "d")),
        ("Downloading artifacts", lambda: repository.download_artifacts("a.txt", tmp_path / "to")),
        ("Downloading artifacts", lambda: repository.download_artifacts("d", tmp_path / "to")),
    ]
    for title, step in steps:
        step()
        shown = capsys.readouterr().err
        assert (title in shown and "100%" in shown) if enabled == "true" else title not in shown
