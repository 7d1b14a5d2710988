"""`mvs orphans`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.store import create_store
from tests.servers.tracking import Tracking


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a store that holds a root nobody knows."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri).root(f"{'f' * 32}/artifacts").upload([Item("a", b"a")], context=Context())
    return uri


def test_both_ways_are_told(tracking: Tracking, uri: str) -> None:
    """Roots without an owner and owners without a root, for programs and for people."""
    logged, empty = (tracking.client.create_run(e).info.run_id for e in [tracking.new_experiment(uri)] * 2)
    tracking.client.log_text(logged, "text", "a.txt")
    told = CliRunner().invoke(main, ["orphans", uri, "--json"])
    document = json.loads(told.stdout)
    assert (told.exit_code, document["owned"]) == (0, 1)
    orphan = {"root": f"{'f' * 32}/artifacts", "kind": "run", "id": "f" * 32, "reason": "unknown"}
    assert document["orphans"] == [orphan]
    assert [(owner["kind"], owner["id"]) for owner in document["empty"]] == [("run", empty)]
    assert document["tracking_uri"] == tracking.uri
    table = CliRunner().invoke(main, ["orphans", uri, "--tracking-uri", tracking.uri]).stdout
    assert f"Compared with MLflow at {tracking.uri}." in table
    assert "1 artifact root with an owner in MLflow, 1 without." in table
    assert f"{'f' * 32}/artifacts" in table
    assert empty in table
    assert logged not in table


def test_traces_are_asked_for_where_there_are_some(tracking: Tracking, uri: str) -> None:
    """A trace that MLflow does not know leaves an orphan like a run."""
    assert tracking.client.search_experiments()
    root = "1/traces/tr-12/artifacts"
    create_store(uri).root(root).upload([Item("traces.json", b"{}")], context=Context())
    orphans = json.loads(CliRunner().invoke(main, ["orphans", f"{uri}/1", "--json"]).stdout)["orphans"]
    assert orphans == [{"root": root, "kind": "trace", "id": "tr-12", "reason": "unknown"}]


def test_a_silent_tracking_server_is_no_orphan(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow cannot be asked nothing is listed, and the exit code says why."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = CliRunner().invoke(main, ["orphans", uri, "--tracking-uri", "http://127.0.0.1:9"])
    assert (told.exit_code, told.stdout) == (4, "")


def test_a_place_without_roots_and_owners_is_no_empty_result(tracking: Tracking, uri: str) -> None:
    """An address that nothing is at or below ends with 6; an experiment that has logged nothing yet does not."""
    told = CliRunner().invoke(main, ["orphans", f"{uri}/nosuch"])
    assert (told.exit_code, told.stdout) == (6, "")
    run = tracking.client.create_run(tracking.new_experiment(f"{uri}/later")).info.run_id
    assert run in CliRunner().invoke(main, ["orphans", f"{uri}/later"]).stdout


def test_no_tracking_database_is_made(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not there owns nothing, which must not read as if all were orphans."""
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for arguments in (
        [],
        ["--tracking-uri", f"sqlite:///{tmp_path}/no.db"],
        ["--tracking-uri", f"file://{tmp_path}/no"],
    ):
        told = CliRunner().invoke(main, ["orphans", uri, *arguments])
        assert (told.exit_code, told.stdout) == (6, "")
        assert "MLFLOW_TRACKING_URI" in told.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_where_nothing_is_known_people_are_asked(tracking: Tracking, uri: str) -> None:
    """A tracking store that knows no owner at all may be the wrong one."""
    told = CliRunner().invoke(main, ["orphans", uri, "--tracking-uri", tracking.uri])
    assert "is that the right one?" in told.stderr
