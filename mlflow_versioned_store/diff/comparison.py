"""Comparisons and the forms they are shown in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mlflow_versioned_store.diff import page, shell
from mlflow_versioned_store.diff.files import FileFindings
from mlflow_versioned_store.diff.kinds import Kind
from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.diff.trees import TreeFindings

_WIDTH = 120


class FileDiff(FileFindings):
    """Two files: what was found, and the forms it is shown in."""

    __slots__ = ()

    def text(self, width: int = _WIDTH) -> str:
        """Return it for the shell, in lines of at most `width` characters."""
        return "\n".join(shell.file_lines(self, width))

    def json(self) -> dict[str, Any]:
        """Return it as JSON values; pictures are PNG in base64."""
        return dict(msgspec.to_builtins(self))

    def html(self) -> str:
        """Return it as one page that needs nothing else."""
        return page.file_page(self)


class TreeDiff(TreeFindings):
    """Two directories: what was found, and the forms it is shown in."""

    __slots__ = ()

    def text(self, width: int = _WIDTH) -> str:
        """Return it for the shell, in lines of at most `width` characters."""
        return "\n".join(shell.tree_lines(self, width))

    def json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**msgspec.to_builtins(self), "counts": self.counts}

    def html(self) -> str:
        """Return it as one page that needs nothing else."""
        return page.tree_page(self)


def compare(a: Side, b: Side, *, key: Sequence[str] | None = None, kind: Kind | None = None) -> FileDiff:
    """Compare two files by what they hold; content that does not parse is compared as text, or as data.

    Args:
        a: The old one.
        b: The new one.
        key: The columns that name a row of a table; None looks for one, () goes by position.
        kind: What to compare them as; None goes by their names and their first bytes.

    Raises:
        InvalidInput: The key names a column that the tables have not in common.
        VersionedStoreError: A version could not be read.
    """
    return FileDiff.between(a, b, key=key, kind=kind)


def compare_trees(
    a: Mapping[str, Side], b: Mapping[str, Side], *, labels: tuple[str, str] = ("old", "new")
) -> TreeDiff:
    """Compare two directories, given as files by path, from sizes and digests alone.

    Args:
        a: The old one.
        b: The new one.
        labels: What the reader calls them.
    """
    return TreeDiff.between(a, b, labels)
