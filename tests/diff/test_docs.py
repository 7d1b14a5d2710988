"""The page about diffs: its code and its commands do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.store import open_store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "diff.md").read_text(encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an artifact root with two versions of a table; the third is in the working directory."""
    uri = f"versioned-file://{tmp_path}/store/1/{'a' * 32}/artifacts"
    store, _ = open_store(uri, write=True)
    engine = store.root(f"1/{'a' * 32}/artifacts")
    for content in (b"id,x\n1,a\n2,b\n", b"id,x\n1,a\n2,c\n"):
        engine.upload([Item("data/train.csv", content)], context=Context())
    engine.annotate("data/train.csv", {"alias:gold": "v1"}, context=Context())
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text("id,x\n1,a\n3,b\n")
    return uri


def blocks(language: str) -> list[str]:
    """Return the code blocks of the page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_work(root: str) -> None:
    """Every command on the page runs, and shows what differs."""
    (block,) = blocks("console")
    for line in block.splitlines():
        arguments = shlex.split(line.removeprefix("$ mvs ").replace("$ROOT", root))
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert "train.csv" in result.output
    assert Path("diff.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_code_works(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The Python on the page runs, and finds the row that changed."""
    (block,) = blocks("python")
    exec(compile(block, "docs/diff.md", "exec"), {"ROOT": root})
    printed = capsys.readouterr().out
    assert "0 0 1 (0, 1)" in printed
    assert "changed ('2', 'b') ('2', 'c')" in printed
