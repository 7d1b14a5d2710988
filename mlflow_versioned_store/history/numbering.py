"""From drafts to changes: which version each entry makes, and what it ends, in the state that the commit finds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.addresses import check_alias, format_address, is_numbered, readings, versions_up_to
from mlflow_versioned_store.history.folding import Fold
from mlflow_versioned_store.history.paths import ancestors, sort_key
from mlflow_versioned_store.history.records import (
    ACTION_OF,
    NAMED_UNCHANGED_MAX,
    Action,
    Change,
    Draft,
    DraftEntry,
    Entry,
    Unchanged,
)
from mlflow_versioned_store.history.state import ALIAS
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import root_in_words


class Appended(NamedTuple):
    """What became of a draft.

    Args:
        commit: The commit that holds it.
        change: Which change of that commit it is, from 0.
        versions: For each entry of the draft the version that it made, found current or is about; None for a
            deletion (see `deleted`) and for an annotation of a path as such.
        unchanged: For each entry of the draft whether it was current already.
        deleted: The versions that tombstones ended.
    """

    commit: int
    change: int
    versions: tuple[Version | None, ...]
    unchanged: tuple[bool, ...]
    deleted: tuple[Version, ...]


class Numbered(NamedTuple):
    """A draft as a change, and what its caller will be told once it is committed.

    Args:
        change: The change.
        appended: What to tell the caller.
        shadows: New paths that read as addresses of versions that exist, each with the address that still leads there.
    """

    change: Change
    appended: Appended
    shadows: tuple[tuple[str, str], ...]


def number_draft(draft: Draft, fold: Fold, index: int) -> Numbered:
    """Return `draft` as change number `index` of the commit that `fold` folds, and fold it.

    Raises:
        NotFound: It is about a version or path that is not there.
        InvalidInput: It can never work, or makes a file where a folder is, or something below a file.
    """
    numbering = _Numbering(fold)
    action = ACTION_OF[draft.operation]
    for entry in draft.entries:
        if action == "make":
            numbering.make(entry, anew=draft.anew)
        elif action == "delete":
            numbering.delete(entry)
        elif action == "annotate":
            numbering.annotate(entry)
        elif action == "read":
            numbering.add(
                Entry(entry.path, action, entry.version, entry.kind, entry.size, entry.sha256, note=entry.note)
            )
        else:
            numbering.mean(entry, action)
    # Stable: entries of one path keep their order, which is all the order that means anything.
    entries = tuple(sorted(numbering.entries, key=lambda entry: sort_key(entry.path)))
    fold.apply(entries, index)
    change = Change(
        id=draft.id,
        operation=draft.operation,
        entries=entries,
        unchanged=_summary(numbering.unchanged),
        content=draft.content,
        who=draft.who,
        context=draft.context,
        note=draft.note,
    )
    return Numbered(change, numbering.appended(draft, fold, index), tuple(numbering.shadows))


class _Numbering:
    def __init__(self, fold: Fold) -> None:
        self._now = Fold(fold, fold.number, fold.time)
        self.entries: list[Entry] = []
        self.unchanged: list[tuple[str, int]] = []
        self.shadows: list[tuple[str, str]] = []
        self._deleted: list[tuple[str, int]] = []
        # For each entry of the draft the version of its path that it is about; 0 for none.
        self._results: list[int] = []
        self._is_unchanged: list[bool] = []
        self._known_folders: set[str] = set()

    def make(self, entry: DraftEntry, *, anew: bool) -> None:
        current = self._now.latest(entry.path)
        number = 1 if current is None else current.number + 1
        if current is not None and not anew and _is_same(current, entry):
            self.unchanged.append((entry.path, current.number))
            self._is_unchanged.append(True)
            self._results.append(current.number)
            return
        if current is None and "@" in entry.path:
            self._note_shadow(entry.path)
        if current is None or current.status != "live" or current.kind != entry.kind:
            self._check_kind(entry)
        made = Entry(entry.path, "make", number, entry.kind, entry.size, entry.sha256, entry.at, entry.note)
        self.add(made, result=number)

    def delete(self, entry: DraftEntry) -> None:
        current = self._now.latest(entry.path) if entry.path else None
        if current is not None and current.status == "live":
            self._end(current)
        if entry.kind == "folder":
            for version in list(self._now.below(entry.path)):
                self._end(version)
        self._results.append(0)
        self._is_unchanged.append(False)

    def annotate(self, entry: DraftEntry) -> None:
        path, number = entry.path, entry.version
        there = self._now.version(path, number) if number else self._is_known(path)
        if not there:
            what = f"version {number} of {path!r}" if number else repr(path)
            raise NotFound(f"There is no {what} in {root_in_words(self._now.root)} to annotate; name one that exists.")
        for key, value in (entry.note or {}).items():
            if key.startswith(ALIAS):
                check_alias(key.removeprefix(ALIAS), value)
                self._check_target(path, value)
        self.add(Entry(path, "annotate", number, note=entry.note), result=number)

    def mean(self, entry: DraftEntry, action: Action) -> None:
        if self._now.version(entry.path, entry.version) is None:
            raise NotFound(f"There is no version {entry.version} of {entry.path!r} in {root_in_words(self._now.root)}.")
        meant = Entry(entry.path, action, entry.version, at=entry.at, note=entry.note)
        self.add(meant, result=entry.version)

    def add(self, entry: Entry, result: int = 0) -> None:
        self._record(entry)
        self._results.append(result)
        self._is_unchanged.append(False)

    def appended(self, draft: Draft, fold: Fold, index: int) -> Appended:
        return Appended(
            commit=fold.number,
            change=index,
            versions=tuple(
                fold.version(entry.path, number) if number else None
                for entry, number in zip(draft.entries, self._results, strict=True)
            ),
            unchanged=tuple(self._is_unchanged),
            deleted=tuple(version for place in self._deleted if (version := fold.version(*place)) is not None),
        )

    def _check_kind(self, entry: DraftEntry) -> None:
        """Refuse a file where a folder is, and anything below a file: a path is one or the other, never both."""
        for folder in ancestors(entry.path):
            if folder in self._known_folders:
                break
            current = self._now.latest(folder)
            if current is not None and current.status == "live" and current.kind == "file":
                raise _two_kinds(entry.path, f"{folder!r} is a file")
            self._known_folders.add(folder)
        here = self._now.latest(entry.path)
        if entry.kind == "folder":
            if here is not None and here.status == "live" and here.kind == "file":
                raise _two_kinds(entry.path, f"{entry.path!r} is a file")
        elif (inside := next(iter(self._now.below(entry.path)), None)) is not None:
            raise _two_kinds(entry.path, f"{entry.path!r} is a folder, with {inside.path!r} in it")

    def _note_shadow(self, path: str) -> None:
        for base, spec, rest in readings(path):
            target = self._now.notes(base).get(ALIAS + spec, spec)
            if base and not rest and self._exists(base, target):
                self.shadows.append((path, f"{base}@@{spec}"))

    def _end(self, version: Version) -> None:
        self._deleted.append((version.path, version.number))
        self._record(Entry(version.path, "delete", version.number, version.kind))

    def _record(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._now.apply_one(entry, 0, 0)

    def _is_known(self, path: str) -> bool:
        return not path or self._now.latest(path) is not None or next(self._now.below(path), None) is not None

    def _check_target(self, path: str, value: str | None) -> None:
        if value is None or self._exists(path, value):
            return
        latest = self._now.latest(path)
        if value[0] == "c":
            there = f"the newest commit is c{self._now.number - 1}"
        elif latest is not None:
            there = f"it has {versions_up_to(latest.number)}"
        else:
            there = "a folder has no versions; name a commit, such as c1"
        raise NotFound(f"An alias of {path!r} cannot stand for {value!r}, which does not exist: {there}.")

    def _exists(self, path: str, target: object) -> bool:
        """Tell whether `target` ("v2", "c5") stands for something that there is of `path`."""
        if not isinstance(target, str) or not is_numbered(target):
            return False
        number = int(target[1:])
        if target[0] == "v":
            return self._now.version(path, number) is not None
        return number <= self._now.number and self._is_known(path)


def _is_same(current: Version, entry: DraftEntry) -> bool:
    known = entry.sha256 or entry.kind == "folder"
    return bool(known) and current.status == "live" and current.kind == entry.kind and current.sha256 == entry.sha256


def _two_kinds(path: str, because: str) -> InvalidInput:
    return InvalidInput(
        f"{path!r} cannot be logged: {because}, and a path is a file or a folder, never both. Use another name, or"
        " delete what is there first: that is recorded, and its versions stay."
    )


def _summary(unchanged: Sequence[tuple[str, int]]) -> Unchanged | None:
    if not unchanged:
        return None
    addresses = sorted(format_address(path, number) for path, number in unchanged)
    digest = hashlib.sha256("".join(f"{address}\n" for address in addresses).encode()).hexdigest()
    named = tuple(addresses) if len(addresses) <= NAMED_UNCHANGED_MAX else ()
    return Unchanged(count=len(addresses), sha256=digest, addresses=named)
