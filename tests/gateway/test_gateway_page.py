"""The page on the gateway: its commands and its code work as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.store import create_store
from tests.conftest import need
from tests.gateway.conftest import CONTEXT, KEY, Endpoint
from tests.servers.binaries import RCLONE

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
ROWS = (1000, 10)


def blocks(language: str) -> list[str]:
    """Return the page's code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A store with the table that the page reads, in two versions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("page")
    store = create_store(f"versioned-file://{folder}/store")
    for count in ROWS:
        pq.write_table(pa.table({"x": list(range(count))}), folder / "t.parquet")
        store.root("").upload([Item("data/t.parquet", str(folder / "t.parquet"))], context=CONTEXT)
    endpoint = Endpoint(store)
    yield endpoint
    endpoint.stop()


def here(text: str, served: Endpoint) -> str:
    """Return text of the page for the endpoint that runs."""
    assert KEY.name in text
    return text.replace("127.0.0.1:9090", served.url.partition("://")[2])


def sh(text: str, folder: Path) -> str:
    """Run commands in a folder; return what they print."""
    done = subprocess.run(
        ["sh", "-ec", text], cwd=folder, env=os.environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("code", [code for code in blocks("python") if "spark" not in code])
def test_python_code_reads_the_first_version(served: Endpoint, code: str) -> None:
    """As it stands on the page."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: dict[str, Any] = {}
    exec(here(code, served), found)
    table = found.get("table") or pq.read_table(pa.BufferReader(found["body"]))
    assert table.num_rows == ROWS[0]
    if "s3" in found:
        found["s3"].close()


def test_the_aws_command_line(served: Endpoint, tmp_path: Path) -> None:
    """Its commands on the page get the first version, twice."""
    if shutil.which("aws") is None:
        pytest.skip("the AWS command line is not installed")
    (text,) = (text for text in blocks("sh") if "aws s3" in text)
    told = sh(here(text, served), tmp_path)
    assert '"VersionId": "v2"' in told
    assert (tmp_path / "t.parquet").stat().st_size > ROWS[0]


def test_rclone(served: Endpoint, tmp_path: Path) -> None:
    """Its commands on the page list both versions and, where FUSE is installed, mount the store."""
    need(RCLONE)
    (text,) = (text for text in blocks("sh") if "rclone" in text)
    rclone = f"{RCLONE.path()} --config {tmp_path / 'none.conf'} "
    *setup, listing, mount = here(text, served).replace("rclone ", rclone).splitlines()
    assert len(sh("\n".join([*setup, listing]), tmp_path).splitlines()) == len(ROWS)
    if shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    sh("\n".join([*setup, mount.replace("/mnt/store", str(mounted))]), tmp_path)
    try:
        assert [path.name for path in (mounted / "data").iterdir()] == ["t.parquet"]
    finally:
        subprocess.run(["fusermount3", "-u", str(mounted)], check=True)


def test_every_option_is_explained() -> None:
    """The table has all options of the command but those that every command has, and no others."""
    assert isinstance(main, click.Group)
    command = main.get_command(click.Context(main), "serve-s3")
    assert command is not None
    options = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    rows = re.findall(r"^\| (`-.*?) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall("`(.*?)`", row)} == options - {"--json", "-v", "--verbose"}
