"""The command line as tests call it, and a store with a little history."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlflow_versioned_store.cli import main

RUN = "0123456789abcdef" * 2


class Mvs:
    """`mvs`, run in this process."""

    def __call__(self, *arguments: str, code: int = 0, stdin: bytes | None = None) -> Result:
        """Run a command, which ends with `code`."""
        told = CliRunner().invoke(main, [*arguments], input=stdin, prog_name="mvs")
        assert told.exit_code == code, told.output
        return told

    def lines(self, *arguments: str) -> list[str]:
        """Return the lines that a command prints."""
        return self(*arguments).stdout.splitlines()

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Return the one document that a command prints when asked for JSON."""
        told = self(*arguments, "--json", code=code).stdout
        assert told.count("\n") == 1
        return json.loads(told)


@pytest.fixture
def mvs() -> Mvs:
    """The command line."""
    return Mvs()


@pytest.fixture
def store(mvs: Mvs) -> str:
    """The URI of a new store."""
    uri = f"versioned-memory://{uuid.uuid4().hex}/store"
    mvs("init", uri)
    return uri


@pytest.fixture
def root(store: str) -> str:
    """The URI of a run's artifact root in it."""
    return f"{store}/1/{RUN}/artifacts"


@pytest.fixture
def put(mvs: Mvs, root: str) -> Callable[[str, bytes], None]:
    """Log bytes under a path of the artifact root."""

    def log(path: str, data: bytes) -> None:
        mvs("put", "-", f"{root}/{path}", stdin=data)

    return log


Put = Callable[[str, bytes], None]
