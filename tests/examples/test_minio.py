"""The MinIO guide: direct clients, and clients of a server that have nothing of ours installed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.examples.guide import EXAMPLES, ROWS, commands, run
from tests.servers.binaries import MINIO
from tests.servers.process import free_port

# Everything this package brings along that MLflow does not need.
OURS = ("mlflow_versioned_store", "blake3", "obstore", "pyfastcdc", "xxhash", "zstandard")


@pytest.mark.slow
@pytest.mark.usefixtures("real_minio")
def test_the_commands_of_the_guide_work(tmp_path: Path) -> None:
    """Every command succeeds, and both kinds of clients get every version back."""
    script = commands(EXAMPLES / "minio" / "README.md")
    for port in ("9000", "9001", "5000"):
        script = re.sub(rf"(127\.0\.0\.1:|--port ){port}\b", rf"\g<1>{free_port()}", script)
    lent = _lend_mlflow(tmp_path / "lent")
    for told, done in (
        ("examples/churn.py", f"examples/churn.py --rows {ROWS}"),
        ("client/bin/pip install --quiet mlflow scikit-learn", f"! {lent} client/bin/python -c 'import {OURS[0]}'"),
        ("client/bin/python examples", f"{lent} client/bin/python examples"),
    ):
        assert told in script
        script = script.replace(told, done)
    printed = run(script, tmp_path, MINIO.path().parent)
    for version in ("@v1", "@v2"):
        assert len(re.findall(rf"^enriched_data\.csv{version} +came back", printed, re.MULTILINE)) == 2
    assert "direct/_mvs/store.json" in printed


def _lend_mlflow(folder: Path) -> str:
    """Fill a folder with the packages installed here, less ours, and return the variable that lends them to Python."""
    folder.mkdir()
    for package in Path(pd.__file__).parents[1].iterdir():
        if not package.name.startswith(OURS) and package.suffix != ".pth":
            (folder / package.name).symlink_to(package)
    return f"PYTHONPATH={folder}"
