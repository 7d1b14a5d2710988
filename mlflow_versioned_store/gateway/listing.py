"""Listings in the order of S3: the UTF-8 bytes of the keys, common prefixes, and pages."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from mlflow_versioned_store.history.state import State

PathsOf: TypeAlias = Callable[[State], Iterable[str]]
_PATHS_KEPT = 500_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listed.

    Args:
        prefix: What the keys begin with.
        delimiter: Where a key is cut off behind the prefix; "" for whole keys.
        after: Keys and common prefixes up to this one are left out.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""


class Listed(NamedTuple):
    """A key, or the common prefix of several."""

    key: str
    is_prefix: bool = False


def grouped(paths: Sequence[str], offset: str, wanted: Wanted) -> Iterator[Listed]:
    """Yield the keys and common prefixes of one artifact root, in order.

    Args:
        paths: Its paths, sorted.
        offset: What stands before each to make a key.
        wanted: What is listed.
    """
    at = _first(paths, offset, wanted)
    while at < len(paths):
        key = offset + paths[at]
        if not key.startswith(wanted.prefix):
            return
        cut = key.find(wanted.delimiter, len(wanted.prefix)) if wanted.delimiter else -1
        if cut < 0:
            yield Listed(key)
            at += 1
            continue
        group = key[: cut + len(wanted.delimiter)]
        if group > wanted.after and not wanted.after.startswith(group):
            yield Listed(group, is_prefix=True)
        if len(group) <= len(offset):
            return
        at = bisect_left(paths, behind(group)[len(offset) :], at)


def has_passed(offset: str, after: str) -> bool:
    """Tell whether every key that begins with `offset` sorts before `after`."""
    return after > offset and not after.startswith(offset)


def behind(prefix: str) -> str:
    """Return the first text that sorts behind everything that begins with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _first(paths: Sequence[str], offset: str, wanted: Wanted) -> int:
    at = bisect_left(paths, wanted.prefix[len(offset) :]) if wanted.prefix.startswith(offset) else 0
    if wanted.after.startswith(offset):
        return max(at, bisect_right(paths, wanted.after[len(offset) :]))
    return len(paths) if has_passed(offset, wanted.after) else at


def current_paths(state: State) -> Iterable[str]:
    """Return the paths of all files that are current."""
    return (version.path for version in state.walk() if version.kind == "file")


def all_paths(state: State) -> Iterable[str]:
    """Return the paths of all files that ever were."""
    return {version.path for version in state.all_versions() if version.kind == "file"}


class SortedPaths:
    """The sorted paths of the states listed last: the next page need not sort them again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, PathsOf], list[str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, state: State, paths_of: PathsOf) -> Sequence[str]:
        """Return the sorted paths of a state."""
        key = (state.root, state.digest, paths_of)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # History sorts folders before what begins like them; S3 does not.
        paths = sorted(paths_of(state))
        with self._lock:
            self._kept[key] = paths
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > _PATHS_KEPT:
                self._kept.popitem(last=False)
        return paths
