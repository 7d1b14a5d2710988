"""What differs between two JSON documents, by path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.errors import Unsupported

_BYTES_MAX = 32 << 20
_SHOWN_MAX = 500
_VALUE_CHARACTERS_MAX = 200
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

JsonKind: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class JsonChange:
    """One value that differs.

    Args:
        kind: What happened to it.
        path: Where it is: `$.model.layers[3]`.
        a: Its old value as JSON, shortened; None where it was added.
        b: Its new one; None where it was removed.
    """

    kind: JsonKind
    path: str
    a: str | None
    b: str | None


@dataclass(frozen=True, slots=True)
class JsonDiff:
    """Two JSON documents, by path.

    Args:
        added: How many values only the new one has; what is inside them is not counted.
        removed: How many only the old one has.
        changed: How many are others.
        shown: The first 500, in the order of the old document.
    """

    added: int
    removed: int
    changed: int
    shown: tuple[JsonChange, ...]


def compare_json(a: Side, b: Side) -> JsonDiff:
    """Compare two JSON documents. Members of objects have no order; items of lists that grew in the middle are found.

    Raises:
        Unsupported: One is no JSON, or larger than 32 MiB.
    """
    counts: dict[JsonKind, int] = {"added": 0, "removed": 0, "changed": 0}
    shown: list[JsonChange] = []
    for change in _changes(_load(a), _load(b)):
        counts[change.kind] += 1
        if len(shown) < _SHOWN_MAX:
            shown.append(change)
    return JsonDiff(counts["added"], counts["removed"], counts["changed"], tuple(shown))


def _load(side: Side) -> Any:
    if side.size > _BYTES_MAX:
        raise Unsupported(f"{side.label} is larger than {_BYTES_MAX >> 20} MiB: it is not compared as JSON.")
    try:
        with side.open() as file:
            return json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise Unsupported(f"{side.label} is no JSON: {error}") from error


_ABSENT = object()


def _changes(old: Any, new: Any) -> Iterator[JsonChange]:
    # What to compare next is last. No recursion: documents may be as deep as the parser allows.
    waiting = [("$", old, new)]
    while waiting:
        path, a, b = waiting.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            waiting.extend(reversed(list(_members(path, a, b))))
        elif isinstance(a, list) and isinstance(b, list):
            waiting.extend(reversed(list(_items(path, a, b))))
        elif a is _ABSENT:
            yield JsonChange("added", path, None, _shown(b))
        elif b is _ABSENT:
            yield JsonChange("removed", path, _shown(a), None)
        elif not _same(a, b):
            yield JsonChange("changed", path, _shown(a), _shown(b))


def _members(path: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in a | b:
        step = f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
        yield path + step, a.get(name, _ABSENT), b.get(name, _ABSENT)


def _items(path: str, a: list[Any], b: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield the items of two lists: from the front, and where the lengths differ from the end as far as they agree."""
    shorter = min(len(a), len(b))
    head = tail = 0
    if len(a) != len(b):
        while head < shorter and _alike(a[head], b[head]):
            head += 1
        while tail < shorter - head and _alike(a[-1 - tail], b[-1 - tail]):
            tail += 1
    paired = shorter - head - tail
    for at in range(head, head + paired):
        yield f"{path}[{at}]", a[at], b[at]
    for at in range(head + paired, len(a) - tail):
        yield f"{path}[{at}]", a[at], _ABSENT
    for at in range(head + paired, len(b) - tail):
        yield f"{path}[{at}]", _ABSENT, b[at]


def _alike(a: Any, b: Any) -> bool:
    return next(_changes(a, b), None) is None


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    return bool(a == b) or (isinstance(a, float) and a != a and b != b)  # noqa: PLR0124 - what is not itself is NaN


def _shown(value: Any) -> str:
    text = json.dumps(_top(value), ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS_MAX else f"{text[:_VALUE_CHARACTERS_MAX]} …"


def _top(value: Any) -> Any:
    """Return a value without what is deep inside it: nobody reads it in one line."""
    if isinstance(value, dict):
        return {name: "…" if isinstance(one, dict | list) and one else one for name, one in value.items()}
    if isinstance(value, list):
        return ["…" if isinstance(one, dict | list) and one else one for one in value[:_VALUE_CHARACTERS_MAX]]
    return value
