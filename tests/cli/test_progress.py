"""Bars of transfers."""

from __future__ import annotations

import sys

import click
import pytest

from mlflow_versioned_store.cli.progress import counting, transfer


@pytest.mark.parametrize(("wanted", "shown"), [("true", True), ("false", False)])
def test_mlflows_switch_is_honoured(monkeypatch: pytest.MonkeyPatch, wanted: str, shown: bool) -> None:
    """On a terminal there are bars, unless MLflow's variable says that there are none."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", wanted)
    with click.Context(click.Command("x")):
        with transfer("a.bin", 10) as bar:
            assert (bar is not None) == shown
        with counting("Adopting") as count:
            count()
