"""The extra distribution for plain s3:// locations, installed into a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLAIN_S3 = Path(__file__).resolve().parents[2] / "plain-s3"


@pytest.fixture(scope="session")
def plain_s3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has it: whoever puts the folder into PYTHONPATH has it installed."""
    # Built from a copy, and without isolation: nothing is left behind in the source, and nothing downloaded.
    source = shutil.copytree(PLAIN_S3, tmp_path_factory.mktemp("plain-s3") / "source")
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *options, str(source)], check=True)
    return target
