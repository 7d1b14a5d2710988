"""Opening stores, artifact roots and files by their URIs."""

from __future__ import annotations

from typing import Literal, overload

from mlflow_versioned_store import store as engine
from mlflow_versioned_store.api.stores import ArtifactRoot, Store
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.version_file import VersionFile
from mlflow_versioned_store.version_writer import VersionWriter

_OF_MLFLOW = ("runs:", "models:")


def open_store(uri: str, *, create: bool = False) -> Store:
    """Return the store that covers a URI.

    Costs one parallel round trip; none for a store that this process knows.

    Args:
        uri: The store's location, or anything below it, such as "versioned-s3://bucket/prefix/1/<run>/artifacts".
        create: Make a store where there is none: by default at `uri` less its MLflow part. Some forty requests.

    Raises:
        NoStore: There is none.
        InvalidInput: It is no URI of a versioned store.
        AccessDenied: Whether there is one may not be seen; set `MVS_STORE`.
        Unsupported: It needs a newer release, or its server lacks what a store needs.
    """
    return Store(engine.open_store(uri, write=create)[0])


def open_root(where: str | None = None, *, run_id: str | None = None, create: bool = False) -> ArtifactRoot:
    """Return an artifact root. Costs what `open_store` costs, and the root itself nothing.

    Args:
        where: "versioned-…://…/artifacts", "runs:/<run id>", "models:/name/1", "models:/name@alias" or
            "models:/m-<id>". MLflow is asked, and needs to be installed, for the last four only.
        run_id: The id of an MLflow run, in place of `where`.
        create: Make a store where there is none.

    Raises:
        NoStore: There is no store.
        NotFound: MLflow knows no such run or model.
        InvalidInput: Not exactly one of `where` and `run_id` is given; `where` leads into a root instead of to one; or
            to artifacts that only MLflow's tracking server can reach.
    """
    if (where is None) == (run_id is None):
        raise InvalidInput("Say which artifact root: either its URI or a run_id.")
    uri = where if where is not None else f"runs:/{run_id}"
    root, path = locate(uri, create=create)
    if path:
        raise InvalidInput(f"{uri} leads to {path!r} in {root.uri}; open that root, or use locate, which returns both.")
    return root


def locate(uri: str, *, create: bool = False) -> tuple[ArtifactRoot, str]:
    """Return the artifact root that covers a URI, and the path or address inside it; "" for the root itself.

    Whether something is there is not looked at. Costs what `open_store` costs.

    Args:
        uri: As for `open_root`, followed by any path or address: "runs:/<run id>/data/train.csv@v2".
        create: Make a store where there is none.

    Raises:
        NoStore: There is no store.
        NotFound: MLflow knows no such run or model.
        InvalidInput: It is no such URI.
    """
    if uri.startswith(_OF_MLFLOW):
        # Nothing else needs MLflow, which takes seconds to import.
        from mlflow_versioned_store.mlflow_plugin.locating import artifact_location

        uri = artifact_location(uri)
    store, path = engine.open_store(uri, write=create)
    place = store.place(path)
    return ArtifactRoot(store, store.root(place.root)), place.path


@overload
def open(uri: str, mode: Literal["rb"] = "rb") -> VersionFile: ...  # noqa: A001 - called as mvs.open


@overload
def open(uri: str, mode: Literal["wb"]) -> VersionWriter: ...  # noqa: A001


def open(uri: str, mode: Literal["rb", "wb"] = "rb") -> VersionFile | VersionWriter:  # noqa: A001
    """Open a file of a store by its URI, to read or to write it; see `ArtifactRoot.open`.

    Args:
        uri: As for `locate`.
        mode: "rb" or "wb". Writing makes a store where there is none.

    Raises:
        NotFound: There is no such file or version, or no store.
        InvalidInput: The URI or the mode can never work.
    """
    root, address = locate(uri, create=mode == "wb")
    return root.open(address, mode)
