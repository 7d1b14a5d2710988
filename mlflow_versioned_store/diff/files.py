"""What differs between two files, by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from mlflow_versioned_store.content.sharing import Sharing
from mlflow_versioned_store.diff.arrays import ArraysDiff, compare_arrays
from mlflow_versioned_store.diff.images import ImageDiff, compare_images
from mlflow_versioned_store.diff.json_values import JsonDiff, compare_json
from mlflow_versioned_store.diff.kinds import Kind, kind_of, plain_kind
from mlflow_versioned_store.diff.sides import Side, same_content, sharing_of
from mlflow_versioned_store.diff.tables import TableDiff, compare_tables
from mlflow_versioned_store.diff.texts import TextDiff, compare_texts
from mlflow_versioned_store.errors import Unsupported

Detail: TypeAlias = TextDiff | TableDiff | JsonDiff | ImageDiff | ArraysDiff


@dataclass(frozen=True, slots=True)
class End:
    """One of the two files.

    Args:
        label: What the reader calls it.
        size: Bytes.
        sha256: The digest of its content, hex.
    """

    label: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FileFindings:
    """What was found about two files.

    Args:
        a: The old one.
        b: The new one.
        equal: Whether they hold the same bytes.
        kind: What they were compared as.
        sharing: What they have in common in the store, where it can tell.
        warnings: What the reader must know about the comparison.
        detail: What differs; None where the bytes are the same, or nothing more is known of them.
    """

    a: End
    b: End
    equal: bool
    kind: Kind
    sharing: Sharing | None
    warnings: tuple[str, ...]
    detail: Detail | None

    @classmethod
    def between(cls, a: Side, b: Side, *, key: Sequence[str] | None = None, kind: Kind | None = None) -> Self:
        """Compare two files; see `comparison.compare`."""
        ends = End(a.label, a.size, a.sha256), End(b.label, b.size, b.sha256)
        chosen = kind or kind_of(a, b)
        if same_content(a, b):
            return cls(*ends, equal=True, kind=chosen, sharing=None, warnings=(), detail=None)
        warnings: list[str] = []
        detail: Detail | None = None
        for attempt in dict.fromkeys((chosen, plain_kind(a, b), "data")):
            chosen = attempt
            try:
                detail, more = _compare(attempt, a, b, key)
                warnings += more
                break
            except Unsupported as error:
                warnings.append(str(error))
        return cls(*ends, equal=False, kind=chosen, sharing=sharing_of(a, b), warnings=tuple(warnings), detail=detail)


def _compare(kind: Kind, a: Side, b: Side, key: Sequence[str] | None) -> tuple[Detail | None, tuple[str, ...]]:
    match kind:
        case "table":
            return compare_tables(a, b, key)
        case "json":
            return compare_json(a, b), ()
        case "image":
            return compare_images(a, b), ()
        case "array":
            return compare_arrays(a, b), ()
        case "text":
            return compare_texts(a, b)
        case "data":
            return None, ()
