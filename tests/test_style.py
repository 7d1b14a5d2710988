"""The rules of style that no linter knows: sizes, docstrings, and that the import contracts are there."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mlflow_versioned_store

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("mlflow_versioned_store", "tests", "benchmarks", "examples", "plain-s3", "tools")
FUNCTION_LINES_MAX = 60
MODULE_LINES_MAX = 500

SOURCES = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py"))
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(mlflow_versioned_store.__path__, "mlflow_versioned_store.")
    if not found.name.endswith("__main__")
)


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_modules_and_functions_are_short(path: Path) -> None:
    """No module is longer than 500 lines and no function longer than 60."""
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MODULE_LINES_MAX, f"{_name(path)} has {source.count(chr(10))} lines"
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lines = {f"{node.name} (line {node.lineno})": (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: count for name, count in lines.items() if count > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name: str) -> None:
    """Every public module, class, function, method and property says what it is, itself or in the base it overrides."""
    module = importlib.import_module(name)
    assert [where for where, thing in _public(module) if not inspect.getdoc(thing)] == []


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_tests_state_a_property(path: Path) -> None:
    """Every test function says in a docstring what holds."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [test.name for test in tests if not ast.get_docstring(test)] == []


def test_import_contracts_are_there() -> None:
    """The linter is told that layers import downwards only, none in a circle, and that one folder imports MLflow."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    layers = config["importlinter:contract:layers"]
    assert layers["type"] == "layers"
    assert layers["containers"] == "mlflow_versioned_store"
    assert layers.getboolean("exhaustive")
    assert "history | content" in layers["layers"].splitlines()
    cycles = config["importlinter:contract:cycles"]
    assert (cycles["type"], cycles["ancestors"]) == ("acyclic_siblings", "mlflow_versioned_store")
    mlflow = config["importlinter:contract:mlflow"]
    assert (mlflow["type"], mlflow["forbidden_modules"].split()) == ("forbidden", ["mlflow"])
    assert mlflow["ignore_imports"].split() == ["mlflow_versioned_store.mlflow_plugin.**", "->", "mlflow"]


def test_setup_cfg_is_not_overruled() -> None:
    """There is no [project] table: with one, setuptools would drop the entry points and extras of setup.cfg."""
    assert "project" not in tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    yield module.__name__, module
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing
        if inspect.isclass(thing):
            yield from _public_members(thing)


def _public_members(owner: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(owner).items():
        documented = inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod)
        if documented and not name.startswith("_"):
            yield f"{owner.__name__}.{name}", getattr(owner, name)
