"""NAME=VALUE arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mlflow_versioned_store.errors import InvalidInput


def parse_pairs(pairs: Iterable[str]) -> dict[str, str | None]:
    """Return what NAME=VALUE arguments say; None for a name without a value.

    Raises:
        InvalidInput: One of them is no such argument.
    """
    found: dict[str, str | None] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise InvalidInput(f"{pair!r} is not NAME=VALUE; write NAME= to remove NAME.")
        found[name] = value or None
    return found


def parse_value(text: str) -> Any:
    """Return the JSON value that `text` is, or else `text` itself; "@notes.json" stands for what is in that file.

    Raises:
        InvalidInput: The file cannot be read, or holds no JSON.
    """
    if text.startswith("@"):
        try:
            with open(text[1:], encoding="utf-8") as file:
                return json.load(file, parse_constant=_refuse)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"The file {text[1:]!r} cannot be read as JSON: {error}.") from error
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which Python reads though JSON has none of them."""
    raise ValueError(f"JSON has no {constant}")
