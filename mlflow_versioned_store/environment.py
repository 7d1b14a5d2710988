"""Switches, as people write them in the environment and in settings."""

from __future__ import annotations

import os

from mlflow_versioned_store.errors import InvalidInput


def switch(name: str, *, default: bool = True) -> bool:
    """Return whether an environment switch is on ("on", "off" and the like).

    Raises:
        InvalidInput: It is neither.
    """
    text = os.environ.get(name, "")
    return parse_switch(name, text) if text.strip() else default


def parse_switch(name: str, text: str) -> bool:
    """Return whether `text` says on; `name` is for the message.

    Raises:
        InvalidInput: It says neither on nor off.
    """
    word = text.strip().lower()
    if word in ("on", "1", "true", "yes"):
        return True
    if word in ("off", "0", "false", "no"):
        return False
    raise InvalidInput(f"{name}={word!r} is not a switch; write on or off.")
