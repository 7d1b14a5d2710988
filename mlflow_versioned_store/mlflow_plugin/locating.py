"""Where MLflow keeps the artifacts of a run, a logged model or a registered model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.tracking.artifact_utils import get_artifact_uri

from mlflow_versioned_store.errors import AccessDenied, InvalidInput, NotFound, Unavailable, VersionedStoreError
from mlflow_versioned_store.mlflow_plugin.tracking import check_is_there, tracking_place
from mlflow_versioned_store.roots import joined

# A registered model may be a logged model, or the artifacts of a run, which MLflow then names by such a URI again.
_STEPS_MAX = 4
# MLflow takes an address behind a run or a model for a part of its name.
_LOGGED_MODEL = re.compile(r"(models:/m-[0-9a-f]{32})(@[^/]*)?(?:/(.*))?")
_ERRORS: dict[str, type[VersionedStoreError]] = {
    "RESOURCE_DOES_NOT_EXIST": NotFound,
    "NOT_FOUND": NotFound,
    "INVALID_PARAMETER_VALUE": InvalidInput,
    "PERMISSION_DENIED": AccessDenied,
    "UNAUTHENTICATED": AccessDenied,
}


def artifact_location(uri: str) -> str:
    """Return the location that a `runs:/` or `models:/` URI leads to, with what follows the run or the model.

    MLflow's tracking server or database is asked, where MLflow is configured to look for it.

    Args:
        uri: Such as "runs:/<run id>/data/t.csv@v2", "models:/name/1", "models:/name@alias", "models:/m-<id>".

    Raises:
        NotFound: MLflow knows no such run or model, or its database on this machine does not exist; none is made.
        InvalidInput: It is no such URI, or it leads to artifacts that only the tracking server can reach.
        AccessDenied, Unavailable: MLflow could not be asked.
    """
    if not uri.partition(":")[2].strip("/"):
        raise InvalidInput(f"{uri!r} names nothing; write runs:/<run id>, models:/name/1 or models:/name@alias.")
    location = uri
    for _ in range(_STEPS_MAX):
        if location.startswith("runs:"):
            location = _asked(_run_location, location)
        elif location.startswith("models:"):
            location = _asked(_model_location, location)
        else:
            break
    if location.startswith("mlflow-artifacts:"):
        raise InvalidInput(
            f"{uri} is at {location}, behind MLflow's tracking server, which shows files but no versions. Use the "
            "versioned-… URI of the server's own artifact destination, with access to it."
        )
    return location


def _run_location(uri: str) -> str:
    tracking_place()
    run, _, path = uri.removeprefix("runs:").strip("/").partition("/")
    run_id, mark, address = run.partition("@")
    return joined(get_artifact_uri(run_id), mark + address, path)  # type: ignore[no-untyped-call]


def _model_location(uri: str) -> str:
    tracking_place()
    check_is_there(mlflow.get_registry_uri(), "registry")
    logged = _LOGGED_MODEL.fullmatch(uri)
    if logged:
        model, *inside = logged.groups(default="")
    else:
        model, *inside = ModelsArtifactRepository.split_models_uri(uri)  # type: ignore[no-untyped-call]
    return joined(ModelsArtifactRepository.get_underlying_uri(model), *inside)  # type: ignore[no-untyped-call]


def _asked(ask: Callable[[str], Any], uri: str) -> str:
    try:
        return str(ask(uri))
    except MlflowException as error:
        kind = _ERRORS.get(error.error_code, Unavailable)
        said = str(error.message).rstrip(".")
        raise kind(f"MLflow cannot say where {uri} is: {said}. Check the id and the tracking URI.") from error
