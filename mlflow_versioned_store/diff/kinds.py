"""What kind of content two files are compared as."""

from __future__ import annotations

from contextlib import closing
from typing import Literal, TypeAlias

from mlflow_versioned_store.diff.encodings import is_text
from mlflow_versioned_store.diff.sides import Side

Kind: TypeAlias = Literal["table", "json", "image", "array", "text", "data"]

_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "table": (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet", ".pq"),
    "json": (".json", ".geojson", ".ipynb"),
    "image": (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    "array": (".npy", ".npz", ".safetensors"),
}
_PACKED_TABLES = tuple(f"{ending}.gz" for ending in _ENDINGS["table"][:5])
_SNIFFED_BYTES = 8 << 10


def kind_of(a: Side, b: Side) -> Kind:
    """Return what both files are by their names; where those say nothing, or not the same, whether both are text."""
    by_name = _by_name(a.path)
    return by_name if by_name == _by_name(b.path) and by_name is not None else plain_kind(a, b)


def plain_kind(a: Side, b: Side) -> Kind:
    """Return "text" where both files begin like text, else "data"."""
    return "text" if all(map(_begins_like_text, (a, b))) else "data"


def _by_name(path: str) -> Kind | None:
    lower = path.lower()
    if lower.endswith(_PACKED_TABLES):
        return "table"
    return next((kind for kind, endings in _ENDINGS.items() if lower.endswith(endings)), None)


def _begins_like_text(side: Side) -> bool:
    with closing(side.open()) as file:
        return is_text(file.read(_SNIFFED_BYTES))
