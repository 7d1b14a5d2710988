"""Who asked for a change."""

from __future__ import annotations

from collections.abc import Callable

import flask
import pytest

from mlflow_versioned_store import context
from mlflow_versioned_store.mlflow_plugin.origin import origin
from tests.mlflow_plugin.conftest import RUN

ROOT = f"1/{RUN}/artifacts"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> flask.Flask:
    """A process that serves clients, as MLflow marks it."""
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
    return flask.Flask("server")


def _login(module: str) -> Callable[[], None]:
    def check() -> None:
        """Let everybody in."""

    check.__module__ = module
    return check


def test_a_client_process_speaks_for_itself() -> None:
    """The operating system's user, and the run that the root belongs to."""
    found = origin(ROOT)
    assert (found.user, found.run_id, found.extra) == (context.os_user(), RUN, {})


@pytest.mark.parametrize(("module", "known"), [("mlflow.server.auth", "mlflow-login"), ("somebody.else", "claimed")])
def test_a_client_of_a_server_is_named_and_how_it_is_known(server: flask.Flask, module: str, known: str) -> None:
    """A name in a header is a claim unless MLflow's login checked it."""
    server.before_request(_login(module))
    with server.test_request_context(auth=("ada", "secret")):
        found = origin(ROOT)
    assert (found.user, found.user_known, found.extra) == ("ada", known, {"through": "tracking server"})


def test_a_nameless_client_is_no_user(server: flask.Flask) -> None:
    """The server's own asked for nothing. The record says that it came through a server, with or without a request."""
    with server.test_request_context():
        assert origin(ROOT).user is None
    assert origin(ROOT).extra == {"through": "tracking server"}
