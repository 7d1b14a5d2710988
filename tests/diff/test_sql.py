"""The DuckDB that compares tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Never done in a lifetime, and DuckDB would look for a signal only between its parts.
SCRIPT = """
import os, signal, sys, threading
from mlflow_versioned_store.diff.sql import sql_over
endless = "SELECT count(*) AS n FROM range(1000000000000) AS numbers(x) WHERE x % 7 = 3"
signal.signal(signal.SIGINT, signal.default_int_handler)
with sql_over(sys.argv[1], sys.argv[1]) as db:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        db.rows(endless) if sys.argv[2] == "rows" else db.keep("kept", endless)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("method", ["rows", "keep"])
def test_ctrl_c_ends_a_query_as_it_ends_anything(tmp_path: Path, method: str) -> None:
    """A signal in the middle of a query becomes the KeyboardInterrupt that it is everywhere else."""
    (tmp_path / "a.csv").write_text("x\n1\n")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "a.csv"), method]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
