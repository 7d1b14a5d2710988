"""Settings: a log in the store, and what the environment says first."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Damaged, InvalidInput
from mlflow_versioned_store.settings import (
    Settings,
    change_settings,
    from_notes,
    parse_setting,
    read_settings,
    staging_from_environment,
)
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store

WHO = Context(user="ann").who()


@pytest.fixture
def store() -> Store:
    """A store whose settings were never changed."""
    return new_store(open_memory("settings"))


def test_a_store_begins_with_the_defaults(store: Store) -> None:
    """Without a change all settings are the defaults."""
    assert store.settings == Settings()


def test_changes_add_up(store: Store) -> None:
    """A change leaves alone what it does not mention, and everybody reads it."""
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, WHO)
    changed = change_settings(store.settings_log, {"stage_bytes": 1000}, WHO)
    assert changed == Settings(dedup_scope="experiment", stage_bytes=1000)
    assert client(store.backend).settings == changed


def test_changes_are_history(store: Store) -> None:
    """Who changed what is in the log."""
    change_settings(store.settings_log, {"delta": False}, WHO)
    (commit,) = store.settings_log.commits()
    assert commit.changes[0].who["user"] == {"name": "ann", "known": "claimed"}
    assert store.settings_log.verify().broken is None


def test_a_setting_can_be_put_back(store: Store) -> None:
    """A change to nothing puts a setting back to its default, and removes a quota."""
    change_settings(store.settings_log, {"delta": False, "quota:1": 10}, WHO)
    assert change_settings(store.settings_log, {"delta": None, "quota:1": None}, WHO) == Settings()


def test_every_experiment_may_have_a_quota(store: Store) -> None:
    """Quotas are settings by themselves, so that two who set them do not undo each other; "*" is for the others."""
    change_settings(store.settings_log, {"quota:1": 10}, WHO)
    assert change_settings(store.settings_log, {"quota:2": 20}, WHO).quota("3") is None
    changed = change_settings(store.settings_log, {"quota:*": 30}, WHO)
    assert [changed.quota(experiment) for experiment in "123"] == [10, 20, 30]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("delta=off", "delta", False),
        ("dedup_scope = experiment", "dedup_scope", "experiment"),
        ("stage_seconds=0.5", "stage_seconds", 0.5),
        ("stage_bytes=1G", "stage_bytes", 1 << 30),
        ("quota:nlp=2T", "quota:nlp", 2 << 40),
        ("quota:nlp=", "quota:nlp", None),
    ],
)
def test_settings_are_written_as_people_do(text: str, name: str, value: object) -> None:
    """A setting is written as name=value, a size with its unit, nothing for the default."""
    assert parse_setting(text) == (name, value)


@pytest.mark.parametrize("text", ["delta", "detla=on", "delta=maybe", "stage_seconds=soon", "quotas=1", "quota:1=many"])
def test_a_misspelt_setting_is_refused(text: str) -> None:
    """What is no setting, or no value of it, is named."""
    with pytest.raises(InvalidInput, match=text.partition("=")[0]):
        parse_setting(text)


def test_unknown_settings_are_kept_and_ignored(store: Store) -> None:
    """What a later release set changes nothing here, and a change by this release does not lose it."""
    change_settings(store.settings_log, {"compression": "brotli"}, WHO)
    assert change_settings(store.settings_log, {"delta": False}, WHO) == Settings(delta=False)
    assert store.settings_log.state().notes("") == {"compression": "brotli", "delta": False}


@pytest.mark.parametrize(
    "changes",
    [
        {"dedup_scope": "galaxy"},
        {"dedup": "yes"},
        {"delta": 1},
        {"stage_seconds": "60"},
        {"stage_seconds": 0},
        {"stage_seconds": float("nan")},
        {"stage_bytes": -1},
        {"stage_bytes": 0.5},
        {"needs_to_read": "x"},
        {"needs_to_write": [1]},
        {"quota:1": 0},
        {"quota:1": "10G"},
        {"quota:": 10},
        {"quota:1/run": 10},
    ],
)
def test_impossible_settings_are_refused(store: Store, changes: dict[str, Any]) -> None:
    """A value that can never work is refused when it is set, and is damage when it is read."""
    with pytest.raises(InvalidInput, match="setting"):
        change_settings(store.settings_log, changes, WHO)
    assert read_settings(store.settings_log) == Settings()
    with pytest.raises(Damaged, match="setting"):
        from_notes(changes)


def test_staging_comes_from_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment decides when a long upload publishes, then the settings."""
    settings = Settings(stage_seconds=7, stage_bytes=8)
    assert staging_from_environment(settings) == (7, 8)
    monkeypatch.setenv("MVS_STAGE_SECONDS", "0.5")
    monkeypatch.setenv("MVS_STAGE_BYTES", "2M")
    assert staging_from_environment(settings) == (0.5, 2 << 20)


@pytest.mark.parametrize(("name", "text"), [("MVS_STAGE_SECONDS", "soon"), ("MVS_STAGE_BYTES", "many")])
def test_impossible_staging_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A variable that is no number is named."""
    monkeypatch.setenv(name, text)
    with pytest.raises(InvalidInput, match=name):
        staging_from_environment(Settings())


def test_native_patterns_are_a_list() -> None:
    """Patterns are written with commas between, and one that means nothing is refused."""
    name, value = parse_setting("native=data/**/*.parquet, reports/*")
    assert (name, value) == ("native", ["data/**/*.parquet", "reports/*"])
    assert from_notes({"native": value}).native == ("data/**/*.parquet", "reports/*")
    assert from_notes({}).native == ()
    for wrong in (["a**"], "**", [1]):
        with pytest.raises(Damaged, match="native"):
            from_notes({"native": wrong})
