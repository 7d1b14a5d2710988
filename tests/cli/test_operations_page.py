"""The page for operators: what it names exists, and what exists is named."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import mlflow_versioned_store as mvs
from mlflow_versioned_store.catalog.usage import LEVELS
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.settings import Settings, parse_setting
from mlflow_versioned_store.store import create_store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
STORE = "versioned-s3://my-bucket/mlflow"
COMMANDS = re.findall(rf"^\$ mvs (\w+) {STORE}(.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """The URI of a new store."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri)
    return uri


@pytest.mark.parametrize(("name", "rest"), [command for command in COMMANDS if command[0] != "orphans"])
def test_commands_work_as_they_stand(uri: str, name: str, rest: str) -> None:
    """Each command of the page can be typed as it is."""
    told = CliRunner().invoke(main, [name, uri, *rest.replace("'", "").split()])
    assert told.exit_code == 0, told.output


def test_reading_all_finds_what_is_damaged(uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page's program names each file that is damaged, and no other."""
    root = mvs.open_store(uri).root(f"1/{'a' * 32}/artifacts")
    for name in ("good", "hurt"):
        root.upload(random.Random(name).randbytes(1 << 20), f"d/{name}.bin")
    (tmp_path / "empty").mkdir()
    root.upload(tmp_path / "empty", "e")
    pack = max((tmp_path / "store/_mvs/data/all/packs").rglob("*/*"), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(program.replace(STORE, uri), {})
    (line,) = capsys.readouterr().out.splitlines()
    assert "d/hurt.bin@@v1: " in line


def test_every_command_has_its_place() -> None:
    """The page tells of all commands for operators, with every option of theirs."""
    for name in ("doctor", "info", "stats", "settings", "orphans"):
        assert f"`mvs {name}`" in PAGE
    assert {name for name, _ in COMMANDS} == {"doctor", "stats", "settings", "orphans"}
    for option in ("--read-only", "--fix", "--bundle", "--by", "--tracking-uri"):
        assert option in PAGE
    assert all(level in PAGE for level in LEVELS)


def test_every_check_is_explained(uri: str) -> None:
    """What a checkup can print stands in the page's table."""
    rows = re.findall(r"^\| ([a-z, ]+) \|", PAGE.partition("## What it holds")[0], re.MULTILINE)
    explained = {name.strip() for row in rows for name in row.split(",")}
    told = CliRunner().invoke(main, ["doctor", uri]).stdout.partition("\n\n")[0]
    printed = {re.split(r"\s{2,}", line)[1] for line in told.splitlines()[1:]}
    assert printed | {"bucket versioning", "lifecycle rules", "quotas", "plain objects"} == explained - {"check"}


def test_every_setting_is_explained() -> None:
    """The settings that can be set are in the table, and their defaults are true."""
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", PAGE.partition("## Quotas")[2], re.MULTILINE)
    defaults = {name: default.strip("`") for names, values in rows for name, default in _pairs(names, values)}
    with pytest.raises(ValueError, match="There are") as refused:
        parse_setting("no-such-setting=1")
    names = str(refused.value).partition("There are ")[2].rstrip(".").split(", ")
    assert set(names) <= set(defaults)
    for name in names:
        if defaults[name] == "none":
            assert not getattr(Settings(), name, None)
        else:
            assert getattr(Settings(), name) == parse_setting(f"{name}={defaults[name]}")[1]


def _pairs(names: str, values: str) -> list[tuple[str, str]]:
    found = re.findall("`(.*?)`", names)
    given = values.split(", ")
    return list(zip(found, given * (len(found) // len(given)), strict=True))
