"""Who and what makes a change: this process and the MLflow run, model or trace it works for.

Everything here is what the process says of itself, so it is recorded as "claimed", except where somebody else
vouched for the user.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from mlflow_versioned_store.environment import switch

Known: TypeAlias = Literal["claimed", "mlflow-login", "provider"]

_EXPERIMENT = r"(?:(?:.*/)?(?P<experiment>[^/]+)/)?"
# In this order: MLflow 2 names traces like runs.
_ROOTS = (
    re.compile(_EXPERIMENT + r"models/(?P<model>m-[0-9a-f]+)/artifacts"),
    re.compile(_EXPERIMENT + r"traces/(?P<trace>tr-[0-9a-f]+|[0-9a-f]{32})/artifacts"),
    re.compile(_EXPERIMENT + r"(?P<run>[0-9a-f]{32})/artifacts"),
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GIT_FILE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Context:
    """What a commit records of its origin.

    Args:
        run_id: The MLflow run whose artifacts change.
        experiment_id: The MLflow experiment, where the artifact root tells it.
        model_id: The MLflow logged model whose artifacts change.
        trace_id: The MLflow trace whose artifacts change.
        user: Who made the change.
        user_known: How the user is known: "claimed" by the client, by an "mlflow-login", by the storage "provider".
        host: The machine's name, claimed.
        program: The program's file name, claimed.
        git_commit: The commit checked out where the program lies, claimed.
        extra: Further short facts for the record.
    """

    run_id: str | None = None
    experiment_id: str | None = None
    model_id: str | None = None
    trace_id: str | None = None
    user: str | None = None
    user_known: Known = "claimed"
    host: str | None = None
    program: str | None = None
    git_commit: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def who(self) -> dict[str, dict[str, str]]:
        """Return the identities, each with how it is known, as a commit records them."""
        named = {"user": self.user, "host": self.host, "program": self.program, "git": self.git_commit}
        return {
            role: {"name": name, "known": self.user_known if role == "user" else "claimed"}
            for role, name in named.items()
            if name
        }

    def mlflow(self) -> dict[str, str]:
        """Return the MLflow ids and further facts, as a commit records them."""
        ids = {
            "run_id": self.run_id,
            "experiment_id": self.experiment_id,
            "model_id": self.model_id,
            "trace_id": self.trace_id,
        }
        return {name: value for name, value in ids.items() if value} | dict(self.extra)


def here(
    artifact_root: str,
    *,
    user: str | None = None,
    user_known: Known = "claimed",
    extra: Mapping[str, str] | None = None,
) -> Context:
    """Return the context of a change that this process makes to `artifact_root`.

    Costs no request and starts no process; what does not change is looked up once.

    Args:
        artifact_root: The artifact root's name inside its store, such as "1/<run id>/artifacts".
        user: Who asked for the change; by default the operating system's user.
        user_known: How `user` is known.
        extra: Further short facts for the record.
    """
    match = next((found for pattern in _ROOTS if (found := pattern.fullmatch(artifact_root))), None)
    ids = match.groupdict() if match else {}
    experiment = ids.get("experiment")
    return Context(
        run_id=ids.get("run"),
        experiment_id=experiment if experiment and experiment.isdigit() else None,
        model_id=ids.get("model"),
        trace_id=ids.get("trace"),
        user=user if user is not None else os_user(),
        user_known=user_known if user is not None else "claimed",
        host=host(),
        program=program(),
        git_commit=git_commit(),
        extra=extra or {},
    )


@functools.cache
def os_user() -> str | None:
    """Return the operating system's user name, or its number where it has no name (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else None


@functools.cache
def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


@functools.cache
def program() -> str:
    """Return the file name of the running program, or the name of the package that `python -m` runs."""
    folder, name = os.path.split(sys.argv[0] if sys.argv and sys.argv[0] else sys.executable)
    return os.path.basename(folder) if name == "__main__.py" else name


@functools.cache
def git_commit() -> str | None:
    """Return the git commit that the program was started from, or None where there is none.

    `GIT_COMMIT` decides where it is set. Otherwise the repository's own files are read, so neither the `git` program
    nor a new process is needed. `MVS_GIT=off` turns the look-up off.
    """
    if not switch("MVS_GIT"):
        return None
    declared = os.environ.get("GIT_COMMIT", "").strip().lower()
    if declared:
        return declared if _COMMIT.fullmatch(declared) else None
    try:
        return _checked_out(_program_folder())
    except (OSError, ValueError):
        # An unreadable or odd repository only costs this one fact.
        return None


def _program_folder() -> Path:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).resolve().parent if file else Path.cwd()


def _checked_out(folder: Path) -> str | None:
    for candidate in (folder, *folder.parents):
        git = candidate / ".git"
        if git.is_file():
            # A worktree or submodule: the file says where its folder is.
            pointer = _read(git).removeprefix("gitdir:").strip()
            return _head((candidate / pointer).resolve())
        if git.is_dir():
            return _head(git)
    return None


def _head(git: Path) -> str | None:
    head = _read(git / "HEAD").strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    reference = head.removeprefix("ref:").strip()
    shared = git / "commondir"
    for place in (git, (git / _read(shared).strip()).resolve() if shared.is_file() else git):
        if (place / reference).is_file():
            commit = _read(place / reference).strip()
            return commit if _COMMIT.fullmatch(commit) else None
        if (place / "packed-refs").is_file():
            for line in _read(place / "packed-refs").splitlines():
                commit, _, name = line.partition(" ")
                if name == reference and _COMMIT.fullmatch(commit):
                    return commit
    return None


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(_GIT_FILE_BYTES_MAX).decode("utf-8", "replace")
