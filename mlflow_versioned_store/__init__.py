"""A versioned, deduplicating artifact store for MLflow that needs no server.

    import mlflow_versioned_store as mvs

    root = mvs.open_root("versioned-s3://bucket/prefix/1/<run id>/artifacts")
    root.versions("data/train.csv")
    root.read_bytes("data/train.csv@v2")

What is named here is loaded when it is first used, so that the import itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_versioned_store import errors
    from mlflow_versioned_store.api.batches import Batch
    from mlflow_versioned_store.api.opening import locate, open, open_root, open_store  # noqa: A004
    from mlflow_versioned_store.api.stores import ArtifactRoot, Commit, Entry, Store, Stored, Version

__version__ = "0.1.0"
__all__ = [
    "ArtifactRoot",
    "Batch",
    "Commit",
    "Entry",
    "Store",
    "Stored",
    "Version",
    "errors",
    "locate",
    "open",
    "open_root",
    "open_store",
]

_MODULES = {
    "errors": "errors",
    "Batch": "api.batches",
    **dict.fromkeys(("locate", "open", "open_root", "open_store"), "api.opening"),
    **dict.fromkeys(("ArtifactRoot", "Commit", "Entry", "Store", "Stored", "Version"), "api.stores"),
}


def __getattr__(name: str) -> Any:
    module_name = _MODULES.get(name)
    if module_name is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{module_name}")
    return module if name == module_name else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
