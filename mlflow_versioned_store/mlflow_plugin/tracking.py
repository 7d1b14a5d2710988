"""What MLflow's tracking server or database knows: every run, logged model and trace."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from mlflow_versioned_store.catalog.orphans import Owner
from mlflow_versioned_store.errors import NotFound, Unavailable

_PAGE = 1000
_TRACES_A_PAGE = 500
_MODELS_A_PAGE = 100
_EXPERIMENTS_AT_ONCE = 100
# A database in memory is no file; neither its options nor those of an SQLite file belong to the path.
_SQLITE_FILE = re.compile(r"sqlite(?:\+\w+)?:///(?!:memory:|file:)([^?]+)")


def tracking_place(tracking_uri: str | None = None) -> str:
    """Return the tracking URI that is meant, checked as by `check_is_there`.

    Args:
        tracking_uri: MLflow's tracking URI; by default the one that MLflow itself would use.

    Raises:
        NotFound: It is a database or folder on this machine that does not exist.
    """
    uri = str(tracking_uri or mlflow.get_tracking_uri())
    check_is_there(uri, "tracking")
    return uri


def check_is_there(uri: str, kind: Literal["tracking", "registry"]) -> None:
    """Check that a store of MLflow's exists where it is a local file or folder: MLflow would make it to look into it.

    Args:
        uri: The URI that MLflow has for it.
        kind: Which store of MLflow's it is.

    Raises:
        NotFound: It is a database or folder on this machine that does not exist.
    """
    database = _SQLITE_FILE.match(uri)
    local = database[1] if database else ""
    if is_local_uri(uri):  # type: ignore[no-untyped-call]
        local = local_file_uri_to_path(uri)  # type: ignore[no-untyped-call]
    if local and not os.path.exists(local):
        raise NotFound(
            f"MLflow's {kind} store {uri} does not exist; set MLFLOW_{kind.upper()}_URI to the one that is meant."
        )


def owners(tracking_uri: str | None = None, *, traces: bool) -> Iterator[Owner]:
    """Yield every run and logged model that MLflow knows, runs in its trash too, and the traces where they are wanted.

    One call of the tracking server for each 1,000 runs, 500 traces or 100 models, and some for each 100 experiments.

    Args:
        tracking_uri: MLflow's tracking URI; by default the one that MLflow itself would use.
        traces: Yield traces too.

    Raises:
        Unavailable: The tracking server could not be asked.
    """
    client = MlflowClient(tracking_uri=tracking_uri)
    try:
        ids = [
            experiment.experiment_id
            for experiment in _paged(client.search_experiments, view_type=ViewType.ALL, max_results=_PAGE)
        ]
        for at in range(0, len(ids), _EXPERIMENTS_AT_ONCE):
            yield from _owners_in(client, ids[at : at + _EXPERIMENTS_AT_ONCE], traces=traces)
    except MlflowException as error:
        raise Unavailable(
            f"MLflow's tracking server cannot be asked: {error}. Check its URI and your rights."
        ) from error


def _owners_in(client: MlflowClient, ids: list[str], *, traces: bool) -> Iterator[Owner]:
    for run in _paged(client.search_runs, ids, run_view_type=ViewType.ALL, max_results=_PAGE):
        info = run.info
        yield Owner("run", info.run_id, info.experiment_id, info.artifact_uri, info.lifecycle_stage == "deleted")
    # Logged models came with MLflow 3.
    if hasattr(client, "search_logged_models"):
        for model in _paged(client.search_logged_models, ids, max_results=_MODELS_A_PAGE):
            yield Owner("model", model.model_id, model.experiment_id, model.artifact_location)
    if traces:
        for trace in _paged(client.search_traces, max_results=_TRACES_A_PAGE, **_about_traces(client, ids)):
            info = trace.info
            yield Owner("trace", getattr(info, "trace_id", None) or info.request_id, info.experiment_id, None)


def _about_traces(client: MlflowClient, ids: list[str]) -> dict[str, Any]:
    known = inspect.signature(client.search_traces).parameters
    where = "locations" if "locations" in known else "experiment_ids"
    # Spans would be read from the artifacts of each.
    return {where: ids} | ({"include_spans": False} if "include_spans" in known else {})


def _paged(search: Callable[..., Any], *args: Any, **options: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(*args, **options, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
