"""Running `writer.py`: several processes at once, or one that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow_versioned_store

WRITER = Path(__file__).with_name("writer.py")
SECONDS_MAX = 200.0


def start(*arguments: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a writer with the package that is tested; whatever it complains of is shown by the test."""
    package = str(Path(mlflow_versioned_store.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, str(WRITER), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": package, **(environment or {})},
    )


def run_at_once(calls: Sequence[Sequence[object]]) -> list[dict[str, Any]]:
    """Start a writer for each call, let all go when all are ready, and return what they printed."""
    writers = [start(*call) for call in calls]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        return [finish(writer) for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def finish(writer: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a writer and return what it printed."""
    output, _ = writer.communicate(timeout=SECONDS_MAX)
    assert writer.returncode == 0
    printed: dict[str, Any] = json.loads(output)
    return printed
