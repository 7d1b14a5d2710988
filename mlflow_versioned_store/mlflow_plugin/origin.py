"""Who asked for a change: this process itself, or a client of the tracking server that it is."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

from mlflow_versioned_store import context
from mlflow_versioned_store.context import Context, Known

_SERVER_VARIABLES = ("_MLFLOW_SERVER_ARTIFACT_ROOT", "_MLFLOW_SERVER_ARTIFACT_DESTINATION")
_LOGIN_MODULE = "mlflow.server.auth"


def origin(artifact_root: str) -> Context:
    """Return the context of a change to `artifact_root`.

    A tracking server changes what its clients ask for; their names are known where MLflow serves the request through
    Flask (all of gunicorn; the user interface and deletions of uvicorn) and the client sent one. Otherwise no user is
    recorded: the server's own did not ask for it.
    """
    if not is_server():
        return context.here(artifact_root)
    name, known = _client()
    serving = context.here(artifact_root, user=name, user_known=known, extra={"through": "tracking server"})
    return serving if name else replace(serving, user=None)


def is_server() -> bool:
    """Tell whether this process is a tracking server's."""
    return any(name in os.environ for name in _SERVER_VARIABLES)


def _client() -> tuple[str | None, Known]:
    # The server has imported Flask if it uses it; the package itself must not need it.
    flask: Any = sys.modules.get("flask")
    if flask is None or not flask.has_request_context() or flask.request.authorization is None:
        return None, "claimed"
    checks = flask.current_app.before_request_funcs.get(None, ())
    checked = any(check.__module__ == _LOGIN_MODULE for check in checks)
    return flask.request.authorization.username, "mlflow-login" if checked else "claimed"
