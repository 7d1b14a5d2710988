"""`mvs doctor`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import create_store
from tests.servers.tracking import Tracking


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a new store."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri)
    return uri


def test_a_healthy_store_ends_with_0(uri: str) -> None:
    """Every check is a line, and the configuration stands below."""
    told = CliRunner().invoke(main, ["doctor", uri])
    assert told.exit_code == 0
    assert "conditional writes" in told.stdout
    assert "MVS_MEMORY" in told.stdout
    assert "failed" not in told.stdout


def test_a_failed_check_ends_with_1(uri: str) -> None:
    """Scripts need not read what was found, and people are told what to do."""
    change_settings(create_store(uri).settings_log, {"needs_to_write": ["magic"]}, {})
    told = CliRunner().invoke(main, ["doctor", uri, "--json"])
    document = json.loads(told.stdout)
    assert (told.exit_code, document["status"]) == (1, "failed")
    (failed,) = (check for check in document["checks"] if check["status"] == "failed")
    assert (failed["name"], failed["error"]["kind"]) == ("settings", "unsupported")
    assert "magic" in failed["detail"]


def test_reading_only_is_a_choice(uri: str) -> None:
    """Then nothing that writes is tried."""
    document = json.loads(CliRunner().invoke(main, ["doctor", uri, "--read-only", "--json"]).stdout)
    assert document["requests"]["put"] == 0
    assert "create" not in {check["name"] for check in document["checks"]}


def test_fixing_is_a_choice_too(uri: str) -> None:
    """What was put right is said; not with --read-only, which forbids it."""
    create_store(uri).keep_natively(["**"], Context())
    told = CliRunner().invoke(main, ["doctor", uri, "--fix"])
    assert (told.exit_code, "objects removed: 0" in told.stdout) == (0, True)
    assert CliRunner().invoke(main, ["doctor", uri, "--fix", "--read-only"]).exit_code == 2


def test_the_bundle_is_written_beside(uri: str, tmp_path: Path) -> None:
    """What was found is printed as well, and a file that is there is refused before anything is tried."""
    bundle = str(tmp_path / "bundle.zip")
    told = CliRunner().invoke(main, ["doctor", uri, "--bundle", bundle])
    assert (told.exit_code, "settings" in told.stdout) == (0, True)
    assert "checks.json" in zipfile.ZipFile(bundle).namelist()
    again = CliRunner().invoke(main, ["doctor", uri, "--bundle", bundle])
    assert (again.exit_code, again.stdout) == (8, "")


def test_no_secret_is_printed(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """Values that may be secret are named only, and hidden in whatever a message repeats."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    for arguments in (
        [uri],
        [uri, "--json"],
        ["versioned-s3://wJalrXUtnFEMI!"],
        ["versioned-s3://wJalrXUtnFEMI!", "--json"],
    ):
        told = CliRunner().invoke(main, ["doctor", *arguments])
        assert "AWS_SECRET_ACCESS_KEY" in told.stdout
        assert "wJalrXUtnFEMI" not in told.stdout


def test_nothing_is_left_behind(uri: str, tmp_path: Path) -> None:
    """A folder of a local disk looks afterwards as it did before, whether a store is in it or none."""
    before = sorted(tmp_path.rglob("*"))
    for place in (uri, f"versioned-file://{tmp_path}/absent/deep"):
        CliRunner().invoke(main, ["doctor", place])
        assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_looked_up_in_mlflow(tracking: Tracking, tmp_path: Path) -> None:
    """MLflow is asked where a run's artifacts are, and the plugin is the one of that place."""
    run = tracking.new_run(f"versioned-file://{tmp_path}/other")
    tracking.client.log_text(run, "text", "a.txt")
    told = CliRunner().invoke(main, ["doctor", f"runs:/{run}"])
    assert (told.exit_code, "failed" in told.stdout) == (0, False)


def test_what_is_no_address_of_ours_is_no_matter_of_the_plugin(tmp_path: Path) -> None:
    """One check says what to write instead."""
    checks = json.loads(CliRunner().invoke(main, ["doctor", str(tmp_path), "--json"]).stdout)["checks"]
    assert [check["name"] for check in checks] == ["configuration"]
    assert "versioned-file://" in checks[0]["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MVS_CREATE", "nver"),
        ("MVS_CACHE_SIZE", "abc"),
        ("MVS_CACHE", "x"),
        ("MVS_MEMORY", "much"),
        ("MVS_STAGE_SECONDS", "soon"),
        ("MVS_STAGE_BYTES", "many"),
        ("MVS_DEDUP", "x"),
        ("MVS_DELTA", "x"),
        ("MVS_GIT", "x"),
    ],
)
def test_a_variable_that_nobody_understands_fails(
    uri: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """What an upload would refuse is told before one does."""
    monkeypatch.setenv(name, value)
    told = CliRunner().invoke(main, ["doctor", uri, "--read-only", "--json"])
    failed = [check for check in json.loads(told.stdout)["checks"] if check["status"] == "failed"]
    assert "variables" in {check["name"] for check in failed}
    assert name in failed[0]["detail"]
