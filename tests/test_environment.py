"""Switches of the environment."""

from __future__ import annotations

import pytest

from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "expected"), [("on", True), ("1", True), ("TRUE", True), ("off", False), ("0", False), (" No ", False)]
)
def test_switches_of_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, *, expected: bool) -> None:
    """A switch is on or off as it is written, and its default where it is not."""
    monkeypatch.setenv("MVS_DEDUP", text)
    assert switch("MVS_DEDUP", default=not expected) is expected
    monkeypatch.setenv("MVS_DEDUP", "")
    assert switch("MVS_DEDUP", default=not expected) is not expected


def test_a_misspelt_switch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that is neither on nor off is named, not guessed."""
    monkeypatch.setenv("MVS_DELTA", "of")
    with pytest.raises(InvalidInput, match="MVS_DELTA='of'"):
        switch("MVS_DELTA")
