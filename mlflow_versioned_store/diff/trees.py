"""What differs between two directories, or two states of one: known from names, sizes and digests alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from mlflow_versioned_store.content.sharing import Sharing
from mlflow_versioned_store.diff.sides import Side, same_content, sharing_of

TreeKind: TypeAlias = Literal["added", "removed", "changed", "renamed"]
KINDS: tuple[TreeKind, ...] = ("added", "removed", "changed", "renamed")


@dataclass(frozen=True, slots=True)
class TreeChange:
    """One file that differs.

    Args:
        kind: What happened to it.
        path: Its path in the new directory, or in the old one where it was removed.
        old_path: Its path in the old directory, where it was renamed.
        a_size: Its bytes in the old directory; None where it was added.
        b_size: Its bytes in the new one; None where it was removed.
        sharing: What both contents have in common, where it changed and the store can tell.
    """

    kind: TreeKind
    path: str
    old_path: str | None
    a_size: int | None
    b_size: int | None
    sharing: Sharing | None


@dataclass(frozen=True, slots=True)
class TreeFindings:
    """What was found about two directories.

    Args:
        a: What the reader calls the old one.
        b: What the reader calls the new one.
        unchanged: How many files are the same.
        changes: The files that differ, by path.
    """

    a: str
    b: str
    unchanged: int
    changes: tuple[TreeChange, ...]

    @property
    def counts(self) -> dict[TreeKind, int]:
        """How many files were added, removed, changed and renamed."""
        return {kind: sum(change.kind == kind for change in self.changes) for kind in KINDS}

    @classmethod
    def between(cls, a: Mapping[str, Side], b: Mapping[str, Side], labels: tuple[str, str]) -> Self:
        """Compare two directories, given as files by path. A file that went from one path to another was renamed."""
        common = [path for path in a if path in b]
        changed = [path for path in common if not same_content(a[path], b[path])]
        gone = {path: side for path, side in a.items() if path not in b}
        come = {path: side for path, side in b.items() if path not in a}
        renamed = _renamed(gone, come)
        old_paths = set(renamed.values())
        changes = [
            *(_change("changed", path, a[path], b[path]) for path in changed),
            *(_change("renamed", new, gone[old], come[new], old) for new, old in renamed.items()),
            *(_change("removed", path, side, None) for path, side in gone.items() if path not in old_paths),
            *(_change("added", path, None, side) for path, side in come.items() if path not in renamed),
        ]
        changes.sort(key=lambda change: change.path)
        return cls(*labels, len(common) - len(changed), tuple(changes))


def _change(kind: TreeKind, path: str, a: Side | None, b: Side | None, old_path: str | None = None) -> TreeChange:
    sharing = sharing_of(a, b) if kind == "changed" and a and b else None
    return TreeChange(kind, path, old_path, a.size if a else None, b.size if b else None, sharing)


def _renamed(gone: Mapping[str, Side], come: Mapping[str, Side]) -> dict[str, str]:
    """Return old paths by new ones; of several files with one content, those of one name belong together first."""
    old_paths: dict[str, list[str]] = {}
    for path in sorted(gone):
        if gone[path].size and gone[path].sha256:
            old_paths.setdefault(gone[path].sha256, []).append(path)
    renamed = {}
    for name_matters in (True, False):
        for new in sorted(come):
            candidates = old_paths.get(come[new].sha256, [])
            fit = [old for old in candidates if not name_matters or _name(old) == _name(new)]
            if fit and new not in renamed:
                renamed[new] = fit[0]
                candidates.remove(fit[0])
    return renamed


def _name(path: str) -> str:
    return path.rpartition("/")[2]
