"""The page of environment variables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mlflow_versioned_store

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "configuration.md"
VARIABLE = (
    r"(?:MVS|MLFLOW|AWS|AZURE|GOOGLE|HADOOP|GIT)_[A-Z0-9_]*[A-Z0-9]|STORAGE_EMULATOR_HOST|[A-Z]+_PROXY"
    r"|NO_COLOR|XDG_CACHE_HOME|LOCALAPPDATA"
)


def _named_in_code() -> set[str]:
    package = Path(mlflow_versioned_store.__file__).parent
    sources = (path.read_text() for path in package.rglob("*.py") if "testing" not in path.parts)
    return set(re.findall(rf'"({VARIABLE})"', "\n".join(sources)))


def _named_on_page() -> set[str]:
    return set(re.findall(rf"`({VARIABLE})`", PAGE.read_text()))


def test_every_variable_is_on_the_page() -> None:
    """Whatever variable the code reads, the page explains."""
    assert _named_in_code() - _named_on_page() == set()


def _set_in_tests() -> set[str]:
    pages = (Path(__file__), REPOSITORY / "tests" / "conftest.py")
    sources = (path.read_text() for path in (REPOSITORY / "tests").rglob("*.py") if path not in pages)
    found = (re.fullmatch(rf"({VARIABLE})(?:=.*)?", text) for source in sources for text in _texts(ast.parse(source)))
    return {match[1] for match in found if match}


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield the texts and keywords of a test, but for what it only removes or looks for in a message."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "delenv":
        return
    if isinstance(node, ast.keyword):
        if node.arg == "match":
            return
        yield node.arg or ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _texts(child)


def test_every_variable_on_the_page_has_a_test() -> None:
    """Whatever the page promises of a variable, some test sets it and sees the effect."""
    assert _named_on_page() - _set_in_tests() == set()


@pytest.mark.parametrize("name", sorted(name for name in _named_on_page() if name.startswith("MVS_")))
def test_every_setting_on_the_page_exists(name: str) -> None:
    """The page promises no setting of ours that the code does not read."""
    assert name in _named_in_code()
