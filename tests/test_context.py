"""Who and what makes a change."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_versioned_store import context
from mlflow_versioned_store.errors import InvalidInput

HEX = "0123456789abcdef0123456789abcdef"
COMMIT = "ab" * 20


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Look everything up again, before and after."""
    cached = (context.os_user, context.host, context.program, context.git_commit)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.mark.parametrize(
    ("root", "ids"),
    [
        (f"7/{HEX}/artifacts", (HEX, "7", None, None)),
        (f"{HEX}/artifacts", (HEX, None, None, None)),
        (f"team/{HEX}/artifacts", (HEX, None, None, None)),
        (f"team/mlruns/7/{HEX}/artifacts", (HEX, "7", None, None)),
        (f"7/traces/{HEX}/artifacts", (None, "7", None, HEX)),
        (f"7/models/m-{HEX}/artifacts", (None, "7", f"m-{HEX}", None)),
        (f"7/traces/tr-{HEX}/artifacts", (None, "7", None, f"tr-{HEX}")),
        ("", (None, None, None, None)),
    ],
)
def test_the_artifact_root_tells_the_mlflow_ids(root: str, ids: tuple[str | None, ...]) -> None:
    """No active run is needed, so it works in a server and in worker threads."""
    found = context.here(root)
    assert (found.run_id, found.experiment_id, found.model_id, found.trace_id) == ids


def test_a_user_that_somebody_vouches_for_is_recorded_so() -> None:
    """Only then; the operating system's user is a claim."""
    assert context.here("", user="ada", user_known="mlflow-login").user_known == "mlflow-login"
    assert context.here("", user_known="mlflow-login").user_known == "claimed"


def test_a_commit_records_what_is_known_and_how() -> None:
    """Every identity says how it is known; what is not known is left out."""
    known = context.Context(run_id=HEX, user="ada", user_known="provider", host="box", extra={"via": "gateway"})
    assert known.who() == {
        "user": {"name": "ada", "known": "provider"},
        "host": {"name": "box", "known": "claimed"},
    }
    assert known.mlflow() == {"run_id": HEX, "via": "gateway"}


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run under user ids that no passwd file knows."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 4711, raising=False)
    assert context.os_user() == "uid 4711"


@pytest.mark.parametrize(
    ("argument", "name"), [("/home/ada/train.py", "train.py"), ("/lib/mlflow/__main__.py", "mlflow"), ("-c", "-c")]
)
def test_the_program_has_a_telling_name(monkeypatch: pytest.MonkeyPatch, argument: str, name: str) -> None:
    """A script by its file, a package that runs as a program by its own name."""
    monkeypatch.setattr(sys, "argv", [argument])
    assert context.program() == name


def test_the_environment_may_name_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """CI systems set GIT_COMMIT; anything that is no commit is left out."""
    monkeypatch.setenv("GIT_COMMIT", COMMIT.upper())
    assert context.git_commit() == COMMIT
    context.git_commit.cache_clear()
    monkeypatch.setenv("GIT_COMMIT", "main; rm -rf")
    assert context.git_commit() is None
    context.git_commit.cache_clear()
    monkeypatch.setenv("GIT_COMMIT", COMMIT)
    for text in ("off", "0"):
        monkeypatch.setenv("MVS_GIT", text)
        context.git_commit.cache_clear()
        assert context.git_commit() is None
    monkeypatch.setenv("MVS_GIT", "of")
    context.git_commit.cache_clear()
    with pytest.raises(InvalidInput, match="MVS_GIT='of'"):
        context.git_commit()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the program is taken to lie, without any environment variable."""
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    monkeypatch.delenv("MVS_GIT", raising=False)
    monkeypatch.setattr(context, "_program_folder", lambda: tmp_path / "src" / "deep")
    return tmp_path


@pytest.mark.parametrize("where", ["loose", "packed", "detached", "worktree"])
def test_the_commit_is_read_without_running_git(checkout: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Branches, packed references, detached heads and worktrees; no process is started."""
    monkeypatch.setattr(subprocess, "Popen", None)
    git = checkout / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(COMMIT + "\n" if where == "detached" else "ref: refs/heads/main\n")
    if where == "packed":
        (git / "packed-refs").write_text(
            f"# pack-refs with: peeled\n{'cd' * 20} refs/heads/other\n{COMMIT} refs/heads/main\n"
        )
    else:
        (git / "refs" / "heads" / "main").write_text(COMMIT + "\n")
    if where == "worktree":
        inner = git / "worktrees" / "w"
        inner.mkdir(parents=True)
        (inner / "HEAD").write_text("ref: refs/heads/main\n")
        (inner / "commondir").write_text("../..\n")
        (checkout / "src").mkdir()
        (checkout / "src" / ".git").write_text("gitdir: ../.git/worktrees/w\n")
    assert context.git_commit() == COMMIT


@pytest.mark.parametrize("damage", ["none", "empty", "binary", "unborn"])
def test_an_odd_repository_costs_only_the_commit(checkout: Path, damage: str) -> None:
    """Nothing about git ever fails an upload."""
    git = checkout / ".git"
    if damage != "none":
        git.mkdir()
    if damage == "binary":
        (git / "HEAD").write_bytes(b"\xff\x00" * 100)
    if damage == "unborn":
        (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert context.git_commit() is None
