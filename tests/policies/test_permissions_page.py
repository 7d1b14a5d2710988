"""The page about permissions: the commands it shows work, and it tells of every role."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.cli import main
from mlflow_versioned_store.policies.roles import ROLES
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import create_store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "permissions.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^mvs policy (versioned-\w+)://my-bucket/mlflow (.*)$", PAGE, re.MULTILINE)
PROVIDERS = {"versioned-s3": "aws", "versioned-gs": "gcp"}


@pytest.mark.parametrize(("scheme", "options"), COMMANDS)
def test_each_command_prints_a_policy(scheme: str, options: str) -> None:
    """As it stands, but for the store and, since that one has none, the provider."""
    uri = f"versioned-memory://{uuid.uuid4().hex}"
    change_settings(create_store(uri).settings_log, {"dedup_scope": "experiment"}, {})
    provider = [] if "--provider" in options else ["--provider", PROVIDERS[scheme]]
    told = CliRunner().invoke(main, ["policy", uri, *options.split(), *provider])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)


def test_the_page_tells_of_every_role() -> None:
    """Each has its line."""
    assert COMMANDS
    for role in ROLES:
        assert f"\n| {role} | " in PAGE
