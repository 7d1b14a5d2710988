"""A store whose every version is known: what it is filled with, and what it must give whatever others do to it."""

from __future__ import annotations

import random

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client

ROOT = f"1/{'a' * 32}/artifacts"
TABLE = b"".join(b"%d,%d\n" % (row, random.Random(row).getrandbits(64)) for row in range(20_000))
EDITED = TABLE.replace(b"7,", b"8,", 40)
EXPECTED = {
    "packed@@v1": TABLE,
    "packed@@v2": EDITED,
    "data/file@@v1": TABLE[:1000],
    "data/file@@v2": EDITED[:1000],
    "data/deleted@@v1": b"deleted",
}


def fill(store: Store, context: Context) -> None:
    """Log two versions into packs, the second leaning on the first, and two native files, one deleted."""
    root = store.root(ROOT)
    for table in (TABLE, EDITED):
        root.upload([Item("packed", table), Item("data/file", table[:1000])], context=context)
    root.upload([Item("data/deleted", b"deleted")], context=context)
    root.delete("data/deleted", context=context)


def again(store: Store) -> ArtifactRoot:
    """Return the root as another process sees it."""
    return client(*open_container(f"versioned-{store.location}")).root(ROOT)


def contents(root: ArtifactRoot) -> dict[str, bytes]:
    """Return what every version there ever was reads as."""
    return {f"{version.path}@@v{version.number}": root.read(version) for version in root.log.state().all_versions()}
