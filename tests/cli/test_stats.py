"""`mvs stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.catalog.usage import measure
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import create_store
from tests.engine.uploads import noise
from tests.servers.tracking import Tracking

ROOTS = [f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts", f"2/{'a' * 32}/artifacts"]


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a store in which the runs share one file, and each has one of its own."""
    uri = f"versioned-file://{tmp_path}/store"
    for number, root in enumerate(ROOTS):
        items = [Item("d/shared", noise(9, 300_000)), Item("own", noise(number, 100_000 * (number + 1)))]
        create_store(uri).root(root).upload(items, context=Context())
    return uri


def stats(*arguments: str) -> dict[str, Any]:
    """Return the document that `mvs stats` prints."""
    document: dict[str, Any] = json.loads(CliRunner().invoke(main, ["stats", "--json", *arguments]).stdout)
    return document


def names(document: dict[str, Any]) -> list[str]:
    """Return the names of its groups."""
    return [group["name"] for group in document["groups"]]


def test_groups_and_their_numbers(uri: str) -> None:
    """Each group is told with what it needs, the largest first, and the store as a whole."""
    document = stats(uri)
    measured = measure(create_store(uri)).groups
    assert names(document) == ["1", "2"]
    for group in document["groups"]:
        expected = measured[group["name"]]
        for name in ("versions", "logged", "stored", "exclusive", "shared", "elsewhere"):
            assert group[name] == getattr(expected, name)
    assert document["store"]["logged"] == 3 * 300_000 + 600_000
    assert document["store"]["stored"] == document["store"]["exclusive"] < 1_000_000


def test_what_is_told_apart(uri: str) -> None:
    """By experiment, run or path; by default what lies just inside of the URI."""
    assert names(stats(uri, "--by", "run")) == [ROOTS[2], ROOTS[1], ROOTS[0]]
    assert len(names(stats(uri, "--by", "path"))) == 6
    assert names(stats(f"{uri}/1")) == [ROOTS[1], ROOTS[0]]
    assert names(stats(f"{uri}/{ROOTS[0]}")) == [f"{ROOTS[0]}/d/shared", f"{ROOTS[0]}/own"]
    assert names(stats(f"{uri}/{ROOTS[0]}/d")) == [f"{ROOTS[0]}/d/shared"]
    assert names(stats(f"{uri}/{ROOTS[0]}/d", "--by", "experiment")) == ["1"]


def test_part_of_a_store_knows_what_others_share(uri: str) -> None:
    """What is exclusive to a run does not depend on where one looks from."""
    (run,) = stats(f"{uri}/{ROOTS[0]}", "--by", "run")["groups"]
    assert run in stats(uri, "--by", "run")["groups"]
    assert 100_000 <= run["exclusive"] < 102_000


def test_a_run_is_found_through_mlflow(tracking: Tracking, tmp_path: Path) -> None:
    """A run or a model may be named as MLflow names it."""
    run = tracking.new_run(f"versioned-file://{tmp_path}/other")
    tracking.client.log_text(run, "text", "d/a.txt")
    assert names(stats(f"runs:/{run}")) == [f"{run}/artifacts/d/a.txt"]


def test_people_read_a_table(uri: str) -> None:
    """Rows with sizes, and a last one for all of the store; none for part of it."""
    told = CliRunner().invoke(main, ["stats", uri])
    assert told.exit_code == 0
    assert told.stdout.splitlines()[0].split() == [
        "VERSIONS", "LOGGED", "STORED", "EXCLUSIVE", "SHARED", "EXPERIMENT"
    ]  # fmt: skip
    assert told.stdout.splitlines()[-1].endswith("all of the store")
    assert "all of the store" not in CliRunner().invoke(main, ["stats", f"{uri}/1"]).stdout


def test_what_lies_in_no_folder_has_words_of_its_own(tmp_path: Path) -> None:
    """Runs at the location of one experiment lie directly in the store; what is no run's is the store's own root's."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri).root(f"{'a' * 32}/artifacts").upload([Item("a", b"a")], context=Context())
    create_store(uri).root("").upload([Item("own", b"own")], context=Context())
    assert " (directly in the store)\n" in CliRunner().invoke(main, ["stats", uri]).stdout
    assert " (the store's own root)\n" in CliRunner().invoke(main, ["stats", uri, "--by", "run"]).stdout


def test_a_full_quota_is_a_warning(uri: str) -> None:
    """Who measures is told on stderr, and the share is in the table and the document."""
    change_settings(create_store(uri).settings_log, {"quota:1": 700_000, "quota:*": 1 << 40}, {})
    told = CliRunner().invoke(main, ["stats", uri])
    assert told.exit_code == 0
    assert "Warning: experiment 1 needs 86% of its quota of 700,000 bytes." in told.stderr
    assert "86%" in told.stdout
    quotas = stats(uri)["quotas"]
    assert [quota["experiment"] for quota in quotas] == ["1", "2"]
    assert CliRunner().invoke(main, ["stats", f"{uri}/2"]).stderr == ""
