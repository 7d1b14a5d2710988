"""Which paths a store keeps natively: patterns on the path inside the artifact root.

    data/*.parquet        files directly in data
    data/**/*.parquet     files in data or in any folder below it
    data/**               everything below data
    **                    everything

`*` and `?` stand for anything but "/", `[ab]` for one of some characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlflow_versioned_store.errors import InvalidInput

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:.+/)?", "**": ".+", "*": "[^/]*", "?": "[^/]"}


def compiled(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return what matches, with `fullmatch`, the paths that one of `patterns` means.

    Raises:
        InvalidInput: A pattern can mean no path.
    """
    return re.compile("|".join(map(_translated, patterns)) if patterns else r"(?!)", re.DOTALL)


def _translated(pattern: str) -> str:
    if not pattern or pattern.startswith("/") or pattern.endswith("/") or "//" in pattern:
        raise InvalidInput(f"{pattern!r} means no path. Write patterns such as data/**/*.parquet, or ** for all.")
    if any("**" in part and part != "**" for part in pattern.split("/")):
        raise InvalidInput(f"In {pattern!r}, ** stands for whole folders: write it between slashes.")
    return "".join(_meaning(token) for token in _TOKEN.findall(pattern))


def _meaning(token: str) -> str:
    if token.startswith("[") and len(token) > 1:
        negated = token.startswith("[!")
        return f"(?!/)[{'^' if negated else ''}{_in_brackets(token[1 + negated : -1])}]"
    return _MEANINGS.get(token) or re.escape(token)


def _in_brackets(characters: str) -> str:
    return re.sub(r"([\\\[\]^&~|])", r"\\\1", characters)
