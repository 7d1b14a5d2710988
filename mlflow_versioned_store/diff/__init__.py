"""What differs between two files, or two directories: as objects, as text for the shell, as JSON, as an HTML page.

Both sides are given by `Side`: `VersionSide` for a version of a store, `FileSide` for a local file. Tables need DuckDB,
arrays NumPy and pictures Pillow (the extra `diff`); without them such files are compared as text or as bytes.
"""

from __future__ import annotations

from mlflow_versioned_store.diff.comparison import FileDiff, TreeDiff, compare, compare_trees
from mlflow_versioned_store.diff.sides import FileSide, Side, VersionSide

__all__ = ["FileDiff", "FileSide", "Side", "TreeDiff", "VersionSide", "compare", "compare_trees"]
