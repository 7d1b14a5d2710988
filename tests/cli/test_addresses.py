"""The addresses that all commands take."""

from __future__ import annotations

import uuid

from tests.cli.conftest import Mvs, Put
from tests.servers.tracking import Tracking


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


def test_a_whole_root_has_a_past(mvs: Mvs, root: str, put: Put) -> None:
    """A commit may stand behind a root's URI, with or without a path below; one "@" or two."""
    put("d/a.txt", b"one")
    put("d/a.txt", b"three")
    for address in (f"{root}@c1/d/a.txt", f"{root}@@c1/d/a.txt", f"{root}/@c1/d/a.txt"):
        assert mvs("cat", address).stdout == "one"
