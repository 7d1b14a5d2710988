"""Fixtures of the tests of the content."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.content import known, publishing, sightings


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let help take a minute, so that a busy machine changes no result; tests of slow help set less."""
    for module in (known, publishing, sightings):
        monkeypatch.setattr(module, "HELP_SECONDS", 60.0)
