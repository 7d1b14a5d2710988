"""The addresses that all commands take."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.conftest import RUN, Mvs, Put
from tests.servers.tracking import Tracking

if TYPE_CHECKING:
    import pytest


def test_runs_are_addresses(mvs: Mvs, tracking: Tracking) -> None:
    """MLflow is asked where a run's artifacts are; versions are named as everywhere."""
    location = f"versioned-memory://{uuid.uuid4().hex}"
    run = tracking.client.create_run(tracking.new_experiment(location)).info
    for content in (b"one", b"three"):
        mvs("put", "-", f"runs:/{run.run_id}/d/a.txt", stdin=content)
    assert mvs.lines("ls", "-R", f"runs:/{run.run_id}") == ["d/a.txt"]
    assert mvs("cat", f"runs:/{run.run_id}/d@c1/a.txt").stdout == "one"
    assert mvs.json("versions", f"runs:/{run.run_id}/d/a.txt")["uri"] == f"{run.artifact_uri}/d/a.txt"
    assert "MLflow" in mvs("ls", f"runs:/{'0' * 32}", code=6).stderr


def test_no_tracking_database_is_made(mvs: Mvs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MLflow has no database yet, a run or a model is told as missing, with what to set."""
    monkeypatch.chdir(tmp_path)
    for command in ("versions", "cat", "info", "orphans"):
        for address in ("runs:/abc/x", "models:/churn/1"):
            assert "set MLFLOW_TRACKING_URI" in mvs(command, address, code=6).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_whole_root_has_a_past(mvs: Mvs, root: str, put: Put) -> None:
    """A commit may stand behind a root's URI, with or without a path below; one "@" or two."""
    put("d/a.txt", b"one")
    put("d/a.txt", b"three")
    for address in (f"{root}@c1/d/a.txt", f"{root}@@c1/d/a.txt", f"{root}/@c1/d/a.txt"):
        assert mvs("cat", address).stdout == "one"


def test_what_is_above_artifact_roots_is_said_to_be(mvs: Mvs, store: str, root: str, put: Put) -> None:
    """A command about one root names one of those below an experiment or a store, and calls neither empty."""
    put("a.txt", b"one")
    for command in ("get", "log", "diff", "restore", "tag", "versions", "cat", "alias", "annotate"):
        told = mvs(command, f"{store}/1", code=6).stderr
        assert told == f"Error: '1' is above 1 artifact root, such as 1/{RUN}/artifacts; name one.\n"
        assert f"{store} is above 1 artifact root" in mvs(command, store, code=6).stderr
    assert "the store's own root" in mvs("cat", f"{store}/nothing", code=6).stderr


def test_addresses_that_lead_nowhere_are_no_empty_results(mvs: Mvs, store: str, root: str, put: Put) -> None:
    """What sums up a place refuses one where nothing is or was, and knows versions, folders and deleted files."""
    put("d/a.txt", b"one")
    put("gone.txt", b"two")
    mvs("rm", f"{root}/gone.txt")
    for command in ("info", "stats"):
        for nowhere in (f"{root}/d/a.txt@v99", f"{root}/d/a.txt@gold", f"{root}@c99", f"{root}/no", f"{store}/no/no"):
            assert mvs(command, nowhere, code=6).stdout == ""
        for somewhere in (store, f"{store}/1", root, f"{root}/d", f"{root}/d/a.txt@v1", f"{root}/gone.txt"):
            mvs(command, somewhere)
    (group,) = mvs.json("stats", f"{root}/d/a.txt@v1")["groups"]
    assert group["name"] == f"1/{RUN}/artifacts/d/a.txt"
