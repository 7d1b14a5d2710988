"""What differs between two files of numbers: NumPy's .npy and .npz, and safetensors.

Headers are parsed, values are streamed in blocks; nothing is unpickled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mlflow_versioned_store.diff.sides import Side
from mlflow_versioned_store.diff.tensors import Tensor, open_tensors

if TYPE_CHECKING:
    import numpy as np

ArrayKind: TypeAlias = Literal["added", "removed", "changed"]

_SHOWN_MAX = 1000


@dataclass(frozen=True, slots=True)
class ArrayDiff:
    """One array, side by side.

    Args:
        name: Its name; "" for the one of a .npy.
        a_type: The type of its elements in the old file; None where that has it not.
        b_type: The same of the new file.
        a_shape: Its shape in the old file.
        b_shape: The same of the new file.
        changed: How many elements differ; None where they were not compared.
        unmeasured: How many of those are numbers, but NaN or infinite before or after.
        largest: The largest change of an element that is finite before and after; None where none is.
        mean: The mean change over all such elements.
        note: Why elements were not compared.
    """

    name: str
    a_type: str | None
    b_type: str | None
    a_shape: tuple[int, ...] | None
    b_shape: tuple[int, ...] | None
    changed: int | None = None
    unmeasured: int = 0
    largest: float | None = None
    mean: float | None = None
    note: str | None = None

    @property
    def kind(self) -> ArrayKind:
        """What happened to it."""
        return "added" if self.a_type is None else "removed" if self.b_type is None else "changed"


@dataclass(frozen=True, slots=True)
class ArraysDiff:
    """Two files of arrays.

    Args:
        same: How many arrays are the same.
        added: How many only the new file has.
        removed: How many only the old file has.
        changed: How many are others.
        shown: The first 1,000 that are not the same.
    """

    same: int
    added: int
    removed: int
    changed: int
    shown: tuple[ArrayDiff, ...]


def compare_arrays(a: Side, b: Side) -> ArraysDiff:
    """Compare two files of arrays, those of one name with each other.

    Raises:
        Unsupported: A file is damaged or no such file, or NumPy is not installed.
    """
    with open_tensors(a) as old, open_tensors(b) as new:
        found = [_compare(name, old.get(name), new.get(name)) for name in old | new]
    differ = [one for one in found if not _is_same(one)]
    counts = Counter(one.kind for one in differ)
    return ArraysDiff(
        len(found) - len(differ), counts["added"], counts["removed"], counts["changed"], tuple(differ[:_SHOWN_MAX])
    )


def _is_same(one: ArrayDiff) -> bool:
    return one.a_type == one.b_type and one.a_shape == one.b_shape and one.changed == 0


def _compare(name: str, a: Tensor | None, b: Tensor | None) -> ArrayDiff:
    if a is None or b is None:
        return ArrayDiff(
            name, a.type if a else None, b.type if b else None, a.shape if a else None, b.shape if b else None
        )
    note = _obstacle(a, b)
    if note:
        return ArrayDiff(name, a.type, b.type, a.shape, b.shape, note=note)
    import numpy as np

    changed = unmeasured = compared = 0
    largest = total = 0.0
    for old, new in _blocks(a, b):
        differ, sizes = _differences(old, new)
        finite = sizes[np.isfinite(sizes)]
        changed += differ
        unmeasured += sizes.size - finite.size
        compared += finite.size
        if finite.size:
            largest = max(largest, float(finite.max()))
            total += float(finite.sum())
    found = ArrayDiff(name, a.type, b.type, a.shape, b.shape, changed, unmeasured)
    if not a.is_number or not compared or changed == unmeasured > 0:
        return found
    mean = total / compared
    return replace(found, largest=largest, mean=mean if math.isfinite(mean) else None)


def _obstacle(a: Tensor, b: Tensor) -> str | None:
    if a.shape != b.shape:
        return "another shape"
    if a.has_objects or b.has_objects:
        return "objects, which only unpickling could read"
    if a.fortran_order != b.fortran_order:
        return "elements are stored in another order"
    if a.type != b.type and not (a.is_number and b.is_number):
        return "another type"
    return None


def _blocks(a: Tensor, b: Tensor) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    return zip(a.blocks(), b.blocks(), strict=True)


def _differences(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> tuple[int, np.ndarray[Any, Any]]:
    """Return how many elements differ, and by how much numbers do: 0 where they are equal, else not always finite."""
    import numpy as np

    if a.ndim == 2:
        # Elements that are no numbers come as their bytes.
        return int((a != b).any(axis=1).sum()), np.empty(0)
    with np.errstate(all="ignore"):
        differ = (a != b) & ~((a != a) & (b != b))  # noqa: PLR0124 - what is not itself is NaN
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        sizes = np.abs(b.astype(wide) - a.astype(wide))
    sizes[~differ] = 0
    return int(differ.sum()), sizes
