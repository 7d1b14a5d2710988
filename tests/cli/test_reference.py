"""The reference page of the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_reference_is_what_the_help_says() -> None:
    """docs/cli.md is what tools/cli_reference.py writes now; otherwise it has to be written anew."""
    tool = [sys.executable, str(REPOSITORY / "tools/cli_reference.py")]
    written = subprocess.run(tool, capture_output=True, check=True, timeout=60, env={"PYTHONUTF8": "1"}).stdout
    assert written.decode() == (REPOSITORY / "docs/cli.md").read_text(encoding="utf-8")
