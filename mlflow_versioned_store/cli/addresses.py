"""What addresses on the command line lead to, and how what they lead to is written down for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.errors import NotFound
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.wording import counted, sized

if TYPE_CHECKING:
    from mlflow_versioned_store.api.stores import ArtifactRoot
    from mlflow_versioned_store.changes import Stored
    from mlflow_versioned_store.history.versions import Version
    from mlflow_versioned_store.store import Store
    from mlflow_versioned_store.tree import Tree


def open_tree(address: str) -> tuple[Store, Tree, str]:
    """Return the store that covers an address, all that is at or below the address, and its path inside the store."""
    import mlflow_versioned_store as mvs
    from mlflow_versioned_store.tree import Tree

    root, inside = mvs.locate(address)
    store, path = root.store.engine, joined(root.name, inside)
    return store, Tree(store, path), path


def locate(address: str) -> tuple[ArtifactRoot, str]:
    """Return the artifact root that covers an address, and the path or address inside it; see `mvs.locate`.

    Raises:
        NotFound: Nothing is there but artifact roots further below, which commands about one root cannot mean.
    """
    import mlflow_versioned_store as mvs
    from mlflow_versioned_store.artifact_root import Folder

    root, inside = mvs.locate(address)
    if not root.name:
        found = root.engine.resolve(inside)
        is_new = isinstance(found, Folder) and not found.path and not found.state.number
        if (found is None or is_new) and (below := root.store.roots(inside)):
            where = repr(inside) if inside else address
            raise NotFound(f"{where} is above {counted(len(below), 'artifact root')}, such as {below[0]}; name one.")
    return root, inside


def located(uri: str) -> str:
    """Return a URI of a store; MLflow is asked where a run or a model is.

    Raises:
        NotFound: MLflow knows no such run or model.
    """
    if not uri.startswith(("runs:", "models:")):
        return uri
    from mlflow_versioned_store.mlflow_plugin.locating import artifact_location

    return artifact_location(uri)


def open_place(address: str) -> tuple[Store, str]:
    """Return the store that covers an address, and the path inside it that the address is about.

    Raises:
        NotFound: There is and was nothing; the message says what there is instead.
    """
    store, _, path = open_tree(address)
    at = store.place(path)
    root = store.root(at.root)
    if (found := root.resolve(at.path)) is not None:
        return store, joined(at.root, found.path)
    if not root.log.state(refresh=False).had(at.path) and (at.root or not store.folders(at.path)):
        root.find(at.path)
    return store, path


def uri_of(store: Store, *parts: str) -> str:
    """Return the URI of a path of a store, given in parts."""
    return joined(f"versioned-{store.location}", *parts)


def document_of(store: Store, root: str, version: Version) -> dict[str, Any]:
    """Return a version as JSON values; `address` leads to it for ever.

    Args:
        store: The store.
        root: The name of its artifact root.
        version: The version.
    """
    from mlflow_versioned_store.history.addresses import format_address

    return {
        "address": format_address(uri_of(store, root, version.path), version.number),
        "path": version.path,
        "version": version.number,
        "size": version.size,
        "sha256": version.sha256,
        "time": output.iso(version.time),
        "commit": version.commit,
        "status": version.status,
    }


def show_stored(root: ArtifactRoot, stored: list[Stored]) -> None:
    """Print what became of items that were stored: the address of each, its size, and whether it was there already."""
    from mlflow_versioned_store.history.addresses import format_address

    files = [(one, format_address(one.path, one.version)) for one in stored if one.version]
    output.show(
        {
            "root": root.uri,
            "stored": [
                {
                    "address": f"{root.uri}/{address}",
                    "path": one.path,
                    "version": one.version,
                    "size": one.size,
                    "unchanged": one.unchanged,
                }
                for one, address in files
            ],
        },
        lambda: output.table(
            [output.Column("", "right"), output.Column("", dim=True), output.Column("")],
            [(sized(one.size), "unchanged" if one.unchanged else "stored", address) for one, address in files],
            header=False,
        ),
    )
