"""Settings of a store: a log of numbered objects in the store itself, and switches of this process's environment.

A change of settings is an annotation of that log's root; what it does not mention stays as it was. Settings are
a help to writers: where they cannot be read, bytes are stored plainly with one warning.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, fields
from typing import Any

from mlflow_versioned_store.content.sizes import parse_bytes
from mlflow_versioned_store.errors import Damaged, InvalidInput
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import Draft, DraftEntry

LOG_NAME = "_settings"


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
        needs_to_read: Features without which the store cannot be read rightly.
        needs_to_write: Features without which it must not be written.
    """

    dedup_scope: str = "store"
    dedup: bool = True
    delta: bool = True
    stage_seconds: float = 60.0
    stage_bytes: int = 4 << 30
    needs_to_read: tuple[str, ...] = ()
    needs_to_write: tuple[str, ...] = ()


# What a writer does that cannot read the settings: lean on nothing, and keep to the narrower domain.
PLAIN = Settings(dedup_scope="experiment", dedup=False, delta=False)
_SCOPES = ("store", "experiment")


def read_settings(log: Log) -> Settings:
    """Return the newest settings. One request for a store that never changed them.

    Raises:
        Damaged: They are not settings that any release wrote.
    """
    return from_notes(dict(log.state().notes("")))


def change_settings(log: Log, changes: dict[str, Any], who: dict[str, Any]) -> Settings:
    """Record changed settings and return what holds now.

    Raises:
        InvalidInput: A value can never work.
    """
    try:
        from_notes(changes)
    except Damaged as error:
        raise InvalidInput(str(error)) from error
    entry = DraftEntry("", note=changes)
    log.append([Draft(uuid.uuid4().hex, "annotate", (entry,), who=who)])
    return read_settings(log)


def from_notes(notes: dict[str, Any]) -> Settings:
    """Return the settings in an annotation; names that this release does not know are ignored.

    Raises:
        Damaged: A value has the wrong type or meaning.
    """
    known = {field.name: field for field in fields(Settings)}
    values = {name: value for name, value in notes.items() if name in known}
    for name in ("needs_to_read", "needs_to_write"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    defaults = Settings()
    for name, value in values.items():
        default = getattr(defaults, name)
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
        if not fits or (isinstance(value, tuple) and not all(isinstance(item, str) for item in value)):
            raise Damaged(f"The setting {name} cannot be {value!r:.200}.")
    settings = Settings(**values)
    if settings.dedup_scope not in _SCOPES:
        raise Damaged(f"The setting dedup_scope is one of {', '.join(_SCOPES)}, not {settings.dedup_scope!r}.")
    if not (settings.stage_seconds > 0 and settings.stage_bytes > 0):
        raise Damaged("The settings stage_seconds and stage_bytes are more than 0.")
    return settings


def switch(name: str, *, default: bool = True) -> bool:
    """Return whether an environment switch is on ("on", "off" and the like).

    Raises:
        InvalidInput: It is neither.
    """
    text = os.environ.get(name, "").strip().lower()
    if not text:
        return default
    if text in ("on", "1", "true", "yes"):
        return True
    if text in ("off", "0", "false", "no"):
        return False
    raise InvalidInput(f"{name}={text!r} is not a switch; write on or off.")


def staging_from_environment(settings: Settings) -> tuple[float, int]:
    """Return how often a long upload publishes, seconds and bytes.

    `MVS_STAGE_SECONDS` and `MVS_STAGE_BYTES` come before the settings.

    Raises:
        InvalidInput: A value is no number.
    """
    seconds, size = os.environ.get("MVS_STAGE_SECONDS"), os.environ.get("MVS_STAGE_BYTES")
    stage_bytes = parse_bytes(size, "MVS_STAGE_BYTES") if size else settings.stage_bytes
    try:
        return float(seconds) if seconds else settings.stage_seconds, stage_bytes
    except ValueError as error:
        raise InvalidInput(f"MVS_STAGE_SECONDS={seconds!r} is not a number of seconds.") from error
