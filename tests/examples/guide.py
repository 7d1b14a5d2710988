"""Runs what a guide tells its reader to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROWS = 20_000


def commands(guide: Path) -> str:
    """The shell commands of a guide: its `sh` blocks, in order."""
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", guide.read_text(), re.DOTALL | re.MULTILINE))


def run(script: str, folder: Path, *programs: Path) -> str:
    """Runs shell commands in a folder that has the examples, and returns what they printed.

    Args:
        script: Bash; the first command that fails ends it, and what it started ends with it.
        folder: Where it runs.
        programs: Folders that its PATH starts with, after that of the running Python.
    """
    (folder / "examples").symlink_to(EXAMPLES)
    path = os.pathsep.join([*map(str, (Path(sys.executable).parent, *programs)), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", f"set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def stored_bytes(printed: str) -> dict[str, tuple[float, float]]:
    """What the guide's last table says: for each upload, megabytes logged and megabytes stored."""
    rows = re.findall(r"^(\S.*?\S) {2,}([\d.]+) {2,}([\d.]+) {2,}[\d.]+$", printed, re.MULTILINE)
    return {what: (float(logged), float(stored)) for what, logged, stored in rows}
