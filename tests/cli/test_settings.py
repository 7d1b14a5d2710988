"""`mvs settings`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.cli import main
from mlflow_versioned_store.settings import Settings, read_settings
from mlflow_versioned_store.store import create_store


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a new store."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri)
    return uri


def test_settings_are_changed_together(uri: str) -> None:
    """Several assignments are one change, by whoever runs the command; nothing behind "=" is the default again."""
    CliRunner().invoke(main, ["settings", uri, "delta=off", "quota:7=10K"])
    told = CliRunner().invoke(main, ["settings", uri, "delta=", "stage_bytes=1G", "--json"])
    log = create_store(uri).settings_log
    assert read_settings(log) == Settings(stage_bytes=1 << 30, quotas={"7": 10 << 10})
    assert json.loads(told.stdout)["settings"]["quotas"] == {"7": 10 << 10}
    commits = list(log.commits())
    assert len(commits) == 2
    assert commits[0].changes[0].who["user"]["name"]


def test_settings_are_shown_with_their_origin(uri: str) -> None:
    """Without an assignment nothing changes."""
    CliRunner().invoke(main, ["settings", uri, "delta=off"])
    told = CliRunner().invoke(main, ["settings", uri])
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in told.stdout.splitlines()}
    assert lines["delta"] == ["off", "settings of the store"]
    assert lines["dedup"] == ["on", "default"]
    assert len(list(create_store(uri).settings_log.commits())) == 1


@pytest.mark.parametrize("change", ["detla=off", "delta=maybe", "stage_bytes=-1", "stage_seconds=0", "needs_to_read=x"])
def test_an_impossible_change_changes_nothing(uri: str, change: str) -> None:
    """One wrong assignment refuses all of them."""
    told = CliRunner().invoke(main, ["settings", uri, "dedup=off", change])
    assert told.exit_code == 2
    assert read_settings(create_store(uri).settings_log) == Settings()
