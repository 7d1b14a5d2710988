"""`mvs` as a whole: its commands, its help, and how it fails."""

from __future__ import annotations

import json
import logging
import pkgutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from click.testing import CliRunner

import mlflow_versioned_store.cli
from mlflow_versioned_store import errors, store
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.cli.failures import EXIT_CODES
from mlflow_versioned_store.cli.group import SECTIONS
from tests.cli.conftest import Mvs, Put

COMMANDS = list(chain.from_iterable(SECTIONS.values()))
HEAVY = {"boto3", "duckdb", "mlflow", "numpy", "obstore", "pandas", "rich"}


def test_every_command_is_listed() -> None:
    """A module with a command is one of the sections' names, and the other way round."""
    modules = [found.name for found in pkgutil.iter_modules(mlflow_versioned_store.cli.__path__)]
    loaded = {name: __import__(f"mlflow_versioned_store.cli.{name}", fromlist=[name]) for name in modules}
    assert sorted(name.replace("_", "-") for name in loaded if hasattr(loaded[name], "command")) == sorted(
        [*COMMANDS, "command"]
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_same_manners(mvs: Mvs, name: str) -> None:
    """Each says what it does, and can print JSON and say more."""
    told = mvs(name, "--help").stdout
    assert "--json" in told
    assert "--verbose" in told


def test_help_imports_nothing_heavy() -> None:
    """`mvs --help` loads no client of a store, no MLflow and nothing that draws."""
    script = (
        "import sys; from click.testing import CliRunner; from mlflow_versioned_store.cli import main;"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()) & HEAVY == set()


def test_exit_codes_are_in_the_help(mvs: Mvs) -> None:
    """What scripts rely on is written where people look."""
    told = mvs("--help").stdout
    for code, meaning in EXIT_CODES.items():
        assert f"  {code:<3}  {meaning.split(',')[0]}"[:60] in told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LocalStorageFailed("x"), 1),
        (errors.InvalidInput("x"), 2),
        (errors.CredentialsMissing("x"), 3),
        (errors.Throttled("x"), 4),
        (errors.Unsupported("x"), 5),
        (errors.NoStore("x"), 6),
        (errors.ObjectMissing("x"), 7),
        (errors.Conflict("x"), 8),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_exit_code(
    mvs: Mvs, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """Whatever goes wrong, one line says so on stderr, and nothing stands on stdout."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(store, "create_store", fail)
    told = mvs("init", "versioned-memory://x", code=code)
    assert (told.stdout, told.stderr.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("cat", ["/a.txt"]), ("ls", [""]), ("versions", ["/a.txt", "--json"])],
    ids=["cat", "ls", "json"],
)
def test_a_full_disk_is_told_in_one_line(mvs: Mvs, tmp_path: Path, command: str, arguments: list[str]) -> None:
    """Where what is printed cannot be written, one line says so, and Python adds nothing of its own at its end."""
    uri = f"versioned-file://{tmp_path}/store"
    mvs("init", uri)
    mvs("put", "-", f"{uri}/a.txt", stdin=b"text" * 100)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mlflow_versioned_store", command, uri + arguments[0], *arguments[1:]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    expected = "Error: The output cannot be written: No space left on device. Check the disk and the name.\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_what_the_system_refuses_is_told_in_one_line(mvs: Mvs, root: str, put: Put) -> None:
    """A name that no disk takes ends a command like any failure."""
    put("a.txt", b"one")
    told = mvs("get", f"{root}/a.txt", "x" * 300, code=1).stderr
    assert (told.count("\n"), "File name too long" in told) == (1, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_no_command_is_a_document_too(mvs: Mvs, name: str) -> None:
    """With --json what cannot be parsed is one document and one line, as every other error."""
    told = mvs(name, "--no-such-option", "--json", code=2)
    assert told.stderr.count("\n") == 1
    error = json.loads(told.stdout)["error"]
    assert (error["kind"], "--no-such-option" in error["message"]) == ("invalid-input", True)
    assert mvs.json("no-such-command", code=2)["error"]["kind"] == "invalid-input"
    assert mvs("no-such-command", code=2).stderr.startswith("Usage:")


def test_every_command_prints_one_document(mvs: Mvs, store: str, root: str, put: Put, tmp_path: Path) -> None:
    """With --json the output of each command is JSON that any program reads, and nothing else."""
    put("d/a.txt", b"one")
    put("d/a.txt", b"two")
    file = f"{root}/d/a.txt"
    (tmp_path / "local.txt").write_text("three")
    asked: list[list[str]] = [
        *([name, file] for name in ("ls", "versions", "log", "diff")),
        ["get", file, str(tmp_path / "got")],
        ["put", str(tmp_path / "local.txt"), file],
        ["alias", file, "gold"],
        ["tag", file, "stage=raw"],
        ["annotate", file, "rows=2"],
        ["restore", f"{file}@v1"],
        ["materialize", file, "--to", str(tmp_path / "copies")],
        ["export", "--plain", root, str(tmp_path / "plain")],
        ["rm", file],
        ["init", store],
        ["info", store],
        ["stats", store],
        ["settings", store],
        ["doctor", store],
        ["cache"],
        ["completion", "bash"],
    ]
    for arguments in asked:
        told = mvs(*arguments, "--json").stdout
        assert told.count("\n") == 1
        assert isinstance(json.loads(told), dict | list)
    assert mvs.json("cat", f"{file}@v1", code=2)["error"]["kind"] == "invalid-input"


def test_every_error_has_an_exit_code() -> None:
    """No class of the tree of errors is without one."""
    from mlflow_versioned_store.cli.failures import _CODES

    for name in errors.__all__:
        codes = [code for kind, code in _CODES if issubclass(getattr(errors, name), kind)]
        assert codes[0] in EXIT_CODES


def test_programs_get_errors_as_documents(mvs: Mvs, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json all that is known of an error stands on stdout; with -v people see it too."""

    def fail(*_: object, **__: object) -> None:
        raise errors.AccessDenied("No.\nNever.", key="a/b", request_id="R1", attempts=3)

    monkeypatch.setattr(store, "create_store", fail)
    assert mvs.json("init", "versioned-memory://x", code=3) == {
        "error": {"message": "No.\nNever.", "kind": "access-denied", "key": "a/b", "request_id": "R1", "attempts": 3}
    }
    assert mvs("init", "versioned-memory://x", code=3).stderr == "Error: No. Never.\n"
    told = mvs("init", "versioned-memory://x", "-v", code=3).stderr
    assert told == "Error: No. Never.\n  kind: access-denied\n  key: a/b\n  request_id: R1\n  attempts: 3\n"


def test_the_logger_speaks_on_stderr(mvs: Mvs, tmp_path: Path) -> None:
    """Warnings are always told, what is done with -v; and nothing of it stays in the process."""
    logger = logging.getLogger("mlflow_versioned_store")
    before = logger.level, list(logger.handlers)
    uri = f"versioned-file://{tmp_path}/store"
    told = mvs("init", uri, "-v")
    assert told.stderr.startswith("Info: Created the versioned store ")
    assert mvs("init", f"versioned-file://{tmp_path}/other").stderr == ""
    (tmp_path / "a.txt").write_text("a")
    assert mvs("put", str(tmp_path / "a.txt"), f"versioned-file://{tmp_path}/new/").stderr.startswith(
        "Warning: Created"
    )
    assert (logger.level, list(logger.handlers)) == before


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("s3://bucket/a", "Write versioned-s3://bucket/a."),
        ("data/train.csv", f"Write versioned-file://{Path.cwd()}/data/train.csv for a local path."),
        ("https://example.org/a", "They begin with versioned-s3://"),
    ],
)
def test_what_is_no_address_is_met_with_what_to_write(mvs: Mvs, address: str, advice: str) -> None:
    """A local path and the URI of a bucket are answered with the URI that was meant."""
    assert advice in mvs("ls", address, code=2).stderr


def test_completion_knows_the_commands(mvs: Mvs) -> None:
    """The script is for the shell that was named, and what it asks gets an answer."""
    assert "#compdef mvs" in mvs("completion", "zsh").stdout
    asked = {"_MVS_COMPLETE": "zsh_complete", "COMP_WORDS": "mvs ver", "COMP_CWORD": "1"}
    told = CliRunner().invoke(main, [], prog_name="mvs", complete_var="_MVS_COMPLETE", env=asked)
    assert "versions" in told.stdout
