"""The plugin where processes fork, exit, run event loops, or have next to nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mlflow_versioned_store
from mlflow_versioned_store._entry import artifact_repository
from tests.mlflow_plugin.conftest import RUN

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
    from tests.servers.s3 import S3Server


@pytest.fixture(params=["versioned-file", "versioned-s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The artifact location of a run, in a fresh store."""
    if request.param == "versioned-file":
        return f"versioned-file://{tmp_path / 'store'}/1/{RUN}/artifacts"
    minio: S3Server = request.getfixturevalue("minio")
    use: Callable[[S3Server], None] = request.getfixturevalue("s3_env")
    use(minio)
    return f"versioned-s3://{minio.new_bucket()}/1/{RUN}/artifacts"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_reads_and_writes_what_its_parent_does(location: str, tmp_path: Path) -> None:
    """DataLoader workers and preloaded servers fork after the parent has used the store."""
    repository = artifact_repository(location)
    (tmp_path / "parent.bin").write_bytes(os.urandom(300_000))
    (tmp_path / "child.bin").write_bytes(os.urandom(300_000))
    repository.log_artifact(tmp_path / "parent.bin")

    def child() -> None:
        read = Path(repository.download_artifacts("parent.bin")).read_bytes()
        assert read == (tmp_path / "parent.bin").read_bytes()
        repository.log_artifact(tmp_path / "child.bin")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
    assert process.exitcode == 0
    read = Path(repository.download_artifacts("child.bin")).read_bytes()
    assert read == (tmp_path / "child.bin").read_bytes()
    repository.log_artifact(tmp_path / "child.bin", "again")


def test_a_running_event_loop_is_no_hindrance(repository: VersionedArtifactRepository, tmp_path: Path) -> None:
    """Notebooks run user code inside one."""
    (tmp_path / "a.txt").write_bytes(b"1")

    async def cell() -> str:
        repository.log_artifact(tmp_path / "a.txt")
        return repository.download_artifacts("a.txt")

    assert Path(asyncio.run(cell())).read_bytes() == b"1"


EXITING = """
import atexit, sys
from mlflow_versioned_store._entry import artifact_repository

def last():
    repository = artifact_repository(sys.argv[1])
    repository.log_artifacts(sys.argv[2], "late")
    print(open(repository.download_artifacts("late/large.bin", sys.argv[3]), "rb").read() == large)
    print([info.path for info in repository.list_artifacts("late")])

large = open(sys.argv[2] + "/large.bin", "rb").read()
atexit.register(last)
"""


def test_an_exit_handler_still_logs_and_reads(location: str, tmp_path: Path) -> None:
    """Even where nothing of the store was used before thread pools began to refuse work."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "large.bin").write_bytes(os.urandom(3_000_000))
    (tmp_path / "in" / "small.txt").write_bytes(b"1")
    script = tmp_path / "exiting.py"
    script.write_text(EXITING)
    done = _python(script, location, tmp_path / "in", tmp_path / "out")
    assert done.stdout.split("\n")[:2] == ["True", "['late/large.bin', 'late/small.txt']"], done.stderr


BARE = """
import os, sys
import mlflow.store.artifact.artifact_repo
if hasattr(os, "register_at_fork"):
    # Not before: parts of the standard library take it for granted.
    del os.register_at_fork
from mlflow_versioned_store._entry import artifact_repository

def work(folder):
    repository = artifact_repository(f"versioned-file://{folder}/store/1/{sys.argv[1]}/artifacts")
    for _ in range(2):
        repository.log_artifact(f"{folder}/a.bin")
    local = repository.download_artifacts("a.bin@v1", f"{folder}/out")
    print(open(local, "rb").read() == open(f"{folder}/a.bin", "rb").read())

# The first round imports what a stranger to this machine may not read.
work(sys.argv[2])
if hasattr(os, "setuid") and os.getuid() == 0:
    os.setuid(54321)
work(sys.argv[3])
"""


def test_next_to_nothing_is_enough() -> None:
    """No home, no passwd entry, no git, no fork hooks, nowhere to write but the store and the destination."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in ("one", "two", "one/out", "two/out"):
            (folder / name).mkdir()
        for name in ("one", "two"):
            (folder / name / "a.bin").write_bytes(os.urandom(300_000))
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)
        script = folder / "bare.py"
        script.write_text(BARE)
        nowhere = str(folder / "nowhere")
        bare = dict.fromkeys(("PATH", "TMPDIR", "TMP", "TEMP", "HOME"), nowhere)
        done = _python(script, RUN, folder / "one", folder / "two", environment=bare)
    assert done.stdout.split() == ["True", "True"], done.stderr


def _python(
    script: Path, *arguments: object, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    variables = dict(os.environ) if environment is None else dict(environment)
    # The package as this process has it, from whatever folder the child runs in.
    package = str(Path(mlflow_versioned_store.__file__).parent.parent)
    variables["PYTHONPATH"] = os.pathsep.join([package, *sys.path])
    command = [sys.executable, str(script), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=variables, cwd=script.parent, check=False, timeout=120
    )
