"""Addresses: how a path names one of its versions, or what it was at some time.

    data/train.csv                          the current version
    data/train.csv@v2                       version 2
    data/train.csv@2026-11-01T12:00:00Z     as of a time; without colons @20261101T120000Z
    data/train.csv@gold                     an alias
    data@c5   data@c5/train.csv             a folder, or what is below it, as of commit 5
    train.csv.gz@v2/train.csv.gz            version 2, for tools that look at the ending

A path that exists as it stands wins over this reading, so whoever logged "a@v1" gets it under that name. The doubled
"@@" is always read as an address, the last one in it where there are several: so every path can be addressed, and it
is the form to print and to record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.state import State
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import clean_path, root_in_words

# 0 is read as a number too, so that who counts from it is told what there is.
_NUMBERED = re.compile(r"[vc](?:0|[1-9][0-9]{0,11})")
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?Z"
    r"|(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?Z",
    re.ASCII,
)
_NAMED_MAX = 5


class History(Protocol):
    """What resolving asks of a log."""

    def state(self) -> State:
        """Return the newest state."""

    def state_at(self, *, commit: int | None = None, time: datetime | None = None) -> State:
        """Return the state as of a commit or a time."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an address leads to: a version, or a folder of a state.

    Args:
        path: The path without the address.
        version: The version, or None for a folder.
        state: The state at which to read: the newest, or the one that the address names.
    """

    path: str
    version: Version | None
    state: State


def format_address(path: str, number: int) -> str:
    """Return the address of version `number` of `path`, in the doubled form, which never means anything else."""
    return f"{path}@@v{number}"


def is_numbered(spec: str) -> bool:
    """Tell whether `spec` is a version ("v2") or a commit ("c5")."""
    return _NUMBERED.fullmatch(spec) is not None


def is_doubled(path: str) -> bool:
    """Tell whether a clean path is an address whatever exists, for a "@@" in it."""
    return "@@" in path and _last_doubled(path) is not None


def check_alias(name: str, target: object) -> None:
    """Check that `name` can be an alias and `target` what it stands for ("v2", "c5", or None to drop it).

    Raises:
        InvalidInput: It cannot.
    """
    if not _ALIAS.fullmatch(name) or _NUMBERED.fullmatch(name) or _TIME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot be an alias: use up to 64 letters, digits, '_', '.', '+' and '-', and nothing that reads "
            "as a version (v2), a commit (c5) or a time."
        )
    if target is not None and not (isinstance(target, str) and _NUMBERED.fullmatch(target)):
        raise InvalidInput(f"An alias stands for a version (v2) or a commit (c5), not for {target!r}.")


def parse_time(spec: str) -> datetime | None:
    """Return the time that `spec` spells, UTC, or None where it spells none.

    Raises:
        InvalidInput: It has the form of a time, but there is no such day or hour.
    """
    match = _TIME.fullmatch(spec)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction = match.groups()[:7] if match[1] else match.groups()[7:]
    micros = int((fraction or "0").ljust(6, "0"))
    try:
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micros, tzinfo=UTC)
    except ValueError as wrong:
        raise InvalidInput(f"{spec!r} is no time: {wrong}.") from wrong


def resolve(history: History, address: str) -> Resolved:
    """Return what `address` leads to.

    Costs what the states cost that it needs: one request for the newest where the process knows the log, one commit
    (and checkpoints not read yet) for "@c5", some 2 log2(commits) for a time.

    Raises:
        NotFound: There is no such thing; the message says what there is.
        InvalidInput: The address can never lead anywhere.
    """
    clean = clean_path(address)
    doubled = _last_doubled(clean)
    state = history.state()
    if doubled is not None:
        return _resolve_at(history, state, *doubled)
    literal = _literal(state, clean)
    if literal is not None:
        return literal
    for base, spec, rest in readings(clean):
        if state.had(base):
            return _resolve_at(history, state, base, spec, rest)
    raise NotFound(_nothing(state, clean))


def _last_doubled(address: str) -> tuple[str, str, str] | None:
    """Split at the last "@@" that a spec follows: path, spec, rest below."""
    components = address.split("/")
    for at in range(len(components) - 1, -1, -1):
        name, mark, spec = components[at].rpartition("@")
        if mark and name.endswith("@") and _is_spec(spec):
            return "/".join([*components[:at], name[:-1]]).strip("/"), spec, "/".join(components[at + 1 :])
    return None


def readings(address: str) -> Iterator[tuple[str, str, str]]:
    """Yield how single "@"s of `address` may be read, as path, spec and rest below; the longest path first."""
    components = address.split("/")
    for at in range(len(components) - 1, -1, -1):
        name, mark, spec = components[at].rpartition("@")
        if mark and _is_spec(spec):
            yield "/".join([*components[:at], name]).strip("/"), spec, "/".join(components[at + 1 :])


def _is_spec(spec: str) -> bool:
    return bool(_NUMBERED.fullmatch(spec) or _ALIAS.fullmatch(spec) or _TIME.fullmatch(spec))


def _resolve_at(history: History, state: State, path: str, spec: str, rest: str) -> Resolved:
    if not (_NUMBERED.fullmatch(spec) or _TIME.fullmatch(spec)):
        target = state.aliases(path).get(spec)
        if target is None or not _NUMBERED.fullmatch(target):
            raise NotFound(_no_alias(state, path, spec))
        spec = target
    if spec[0] == "v" and _NUMBERED.fullmatch(spec):
        return _resolve_version(state, path, int(spec[1:]), rest)
    when = parse_time(spec)
    then = history.state_at(time=when) if when is not None else history.state_at(commit=int(spec[1:]))
    below = f"{path}/{rest}" if path and rest else path or rest
    found = _literal(then, below)
    if found is None and rest == path.rpartition("/")[2]:
        found = _literal(then, path)
    if found is None:
        raise NotFound(f"{below!r} did not exist in {root_in_words(state.root)} as of {spec}. {_nothing(state, below)}")
    if found.version is None:
        return found
    # What became of the version since, an expiry or a move of its bytes, holds for every look at the past.
    return Resolved(found.path, readable(state, found.path, found.version.number), then)


def _resolve_version(state: State, path: str, number: int, rest: str) -> Resolved:
    version = state.version(path, number)
    if version is None or rest not in ("", path.rpartition("/")[2]):
        raise NotFound(_no_version(state, path, number, rest))
    return Resolved(path, readable(state, path, number), state)


def readable(state: State, path: str, number: int) -> Version:
    """Return version `number` of `path` in a state.

    Raises:
        NotFound: There is none, or its bytes are gone; the message says what there is instead.
    """
    version = state.version(path, number)
    if version is None:
        raise NotFound(_no_version(state, path, number, ""))
    if not version.readable:
        raise NotFound(
            f"Version {number} of {path!r} in {root_in_words(state.root)} is {version.status}; its bytes are gone."
        )
    return version


def _literal(state: State, path: str) -> Resolved | None:
    version = state.get(path) if path else None
    if version is not None and version.kind == "file":
        return Resolved(path, version, state)
    return Resolved(path, None, state) if state.has_folder(path) else None


def _no_version(state: State, path: str, number: int, rest: str) -> str:
    latest = state.latest(path)
    if latest is None:
        if state.had_folder(path):
            where = f"{path!r} in {root_in_words(state.root)}"
            return f"{where} is a folder and has no versions; address it as of a commit: {path}@@c{state.number}."
        return _nothing(state, path)
    if rest and number <= latest.number:
        return f"{path!r} in {root_in_words(state.root)} is a file, so there is no {rest!r} below its version {number}."
    return f"{path!r} in {root_in_words(state.root)} has {versions_up_to(latest.number)}; there is no v{number}."


def versions_up_to(number: int) -> str:
    """Return how messages say which versions a path has: "versions v1 to v3"."""
    return "only version v1" if number == 1 else f"versions v1 to v{number}"


def _no_alias(state: State, path: str, spec: str) -> str:
    if not state.had(path):
        return _nothing(state, path)
    names = sorted(state.aliases(path))
    there = f"its aliases are {', '.join(names[:_NAMED_MAX])}" if names else "it has none"
    return f"{path!r} in {root_in_words(state.root)} has no alias {spec!r}; {there}."


def _nothing(state: State, path: str) -> str:
    latest = state.latest(path) if path else None
    if latest is not None:
        return (
            f"{path!r} in {root_in_words(state.root)} is {latest.status} since its version v{latest.number}; "
            f"address that as {format_address(path, latest.number)!r}."
        )
    folder = path.rpartition("/")[0]
    while folder and not state.has_folder(folder):
        folder = folder.rpartition("/")[0]
    names = [name for name, _ in _first_children(state, folder)]
    where = repr(folder) if folder else "it"
    there = f"in {where} there are {', '.join(map(repr, names))}" if names else "it is empty"
    return f"There is no {path!r} in {root_in_words(state.root)} at commit {state.number}; {there}."


def _first_children(state: State, folder: str) -> list[tuple[str, Version | None]]:
    children = state.children(folder)
    return [child for child, _ in zip(children, range(_NAMED_MAX), strict=False)]
