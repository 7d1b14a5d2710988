"""Settings of a store: a log of numbered objects in the store itself, and what this process's environment says first.

A change of settings is an annotation of that log's root; what it does not mention stays as it was. Settings are
a help to writers: where they cannot be read, bytes are stored plainly with one warning.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mlflow_versioned_store.content.sizes import parse_bytes
from mlflow_versioned_store.environment import parse_switch
from mlflow_versioned_store.errors import Damaged, InvalidInput
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import Draft, DraftEntry
from mlflow_versioned_store.native.patterns import compiled

LOG_NAME = "_settings"
QUOTA = "quota:"
OTHER_EXPERIMENTS = "*"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a store is written.

    Args:
        dedup_scope: "store": chunks are shared by all artifact roots. "experiment": only within the first component
            of an artifact root, so that permissions on prefixes isolate bytes as well as names.
        dedup: Look for chunks that are stored already.
        delta: Encode chunks against what sat there before.
        stage_seconds: A long upload publishes what it has finished at least this often.
        stage_bytes: And at least after this many bytes.
        quotas: How many bytes of the store the versions of an experiment shall need at most; nothing enforces it.
            "*" is for every experiment that has none of its own. Each is a setting by itself, `quota:<experiment>`.
        native: Patterns of the paths, inside their artifact roots, whose versions are kept as plain objects
            (`native.patterns`).
        needs_to_read: Features without which the store cannot be read rightly.
        needs_to_write: Features without which it must not be written.
    """

    dedup_scope: str = "store"
    dedup: bool = True
    delta: bool = True
    stage_seconds: float = 60.0
    stage_bytes: int = 4 << 30
    quotas: Mapping[str, int] = field(default_factory=dict, hash=False)
    native: tuple[str, ...] = ()
    needs_to_read: tuple[str, ...] = ()
    needs_to_write: tuple[str, ...] = ()

    def quota(self, experiment: str) -> int | None:
        """Return the quota of an experiment in bytes, None where it has none."""
        return self.quotas.get(experiment, self.quotas.get(OTHER_EXPERIMENTS))


# What a writer does that cannot read the settings: lean on nothing, and keep to the narrower domain.
PLAIN = Settings(dedup_scope="experiment", dedup=False, delta=False)
_SCOPES = ("store", "experiment")
# What is not a setting by itself, and what only a release sets.
_NOT_WRITTEN = frozenset({"quotas", "needs_to_read", "needs_to_write"})


def read_settings(log: Log) -> Settings:
    """Return the newest settings. One request for a store that never changed them.

    Raises:
        Damaged: They are not settings that any release wrote.
    """
    return from_notes(dict(log.state().notes("")))


def change_settings(log: Log, changes: dict[str, Any], who: dict[str, Any]) -> Settings:
    """Record changed settings and return what holds now; a None puts a setting back to its default.

    Raises:
        InvalidInput: A value can never work.
    """
    try:
        from_notes({name: value for name, value in changes.items() if value is not None})
    except Damaged as error:
        raise InvalidInput(str(error)) from error
    entry = DraftEntry("", note=changes)
    log.append([Draft(uuid.uuid4().hex, "annotate", (entry,), who=who)])
    return read_settings(log)


def parse_setting(text: str) -> tuple[str, Any]:
    """Return the name and value of a setting written as "name=value"; the value is None where nothing is written.

    Raises:
        InvalidInput: There is no such setting, or its values are not written so.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    defaults = {item.name: getattr(PLAIN, item.name) for item in fields(Settings) if item.name not in _NOT_WRITTEN}
    default = 0 if name.startswith(QUOTA) else defaults.get(name)
    if not equals or default is None:
        names = ", ".join([*defaults, f"{QUOTA}EXPERIMENT"])
        raise InvalidInput(f"{text!r} changes no setting; write name=value. There are {names}.")
    if not value:
        return name, None
    match default:
        case bool():
            return name, parse_switch(name, value)
        case int():
            return name, parse_bytes(value, name)
        case float():
            return name, _parse_seconds(value, name)
        case tuple():
            return name, [pattern.strip() for pattern in value.split(",")]
    return name, value


def from_notes(notes: dict[str, Any]) -> Settings:
    """Return the settings in an annotation; names that this release does not know are ignored.

    Raises:
        Damaged: A value has the wrong type or meaning.
    """
    known = {item.name for item in fields(Settings)} - {"quotas"}
    values = {name: value for name, value in notes.items() if name in known}
    for name in ("native", "needs_to_read", "needs_to_write"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    defaults = Settings()
    for name, value in values.items():
        default = getattr(defaults, name)
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
        if not fits or (isinstance(value, tuple) and not all(isinstance(item, str) for item in value)):
            raise Damaged(f"The setting {name} cannot be {value!r:.200}.")
    settings = Settings(**values, quotas=_quotas(notes))
    if settings.dedup_scope not in _SCOPES:
        raise Damaged(f"The setting dedup_scope is one of {', '.join(_SCOPES)}, not {settings.dedup_scope!r}.")
    try:
        compiled(settings.native)
    except InvalidInput as error:
        raise Damaged(f"The setting native is wrong. {error}") from error
    if not (settings.stage_seconds > 0 and settings.stage_bytes > 0):
        raise Damaged("The settings stage_seconds and stage_bytes are more than 0.")
    return settings


def _quotas(notes: dict[str, Any]) -> dict[str, int]:
    quotas = {name.removeprefix(QUOTA): value for name, value in notes.items() if name.startswith(QUOTA)}
    for experiment, size in quotas.items():
        if not experiment or "/" in experiment or type(size) is not int or size <= 0:
            raise Damaged(f"The setting {QUOTA}{experiment} is a number of bytes for an experiment, not {size!r:.200}.")
    return quotas


def staging_from_environment(settings: Settings) -> tuple[float, int]:
    """Return how often a long upload publishes, seconds and bytes.

    `MVS_STAGE_SECONDS` and `MVS_STAGE_BYTES` come before the settings.

    Raises:
        InvalidInput: A value is no number.
    """
    seconds, size = os.environ.get("MVS_STAGE_SECONDS"), os.environ.get("MVS_STAGE_BYTES")
    return (
        _parse_seconds(seconds, "MVS_STAGE_SECONDS") if seconds else settings.stage_seconds,
        parse_bytes(size, "MVS_STAGE_BYTES") if size else settings.stage_bytes,
    )


def _parse_seconds(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidInput(f"{name}={text!r} is not a number of seconds.") from error
