"""Processes that are killed: nothing half-done shows, and what a long upload had published is not sent again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.content import packing
from mlflow_versioned_store.content.locations import decode_content
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.keys import log
from mlflow_versioned_store.store import create_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from tests.engine.processes import SECONDS_MAX, finish, start
from tests.engine.uploads import (
    CONTEXT,
    INLINE,
    OLD,
    PACKED,
    ROOT,
    check_old_versions,
    contents_of,
    items,
    numbers,
    one_new_version,
)
from tests.servers.s3 import S3Server

SIZE = 400 << 20


class DyingFlush:
    """Flushes, records what is durable by that, and ends the process at the `last`th call, before or after the flush.

    Args:
        last: At which call.
        after: Whether that flush still happens.
        record: The file to record in: a line for each flushed file or folder, with the names then in the folder.
    """

    def __init__(self, last: int, *, after: bool, record: Path):
        self._numbers = count(1)
        self._last = last
        self._after = after
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        # The end of a process cuts short what other threads are writing.
        self._recording = threading.Lock()

    def __call__(self, descriptor: int) -> None:
        """Flush, or die."""
        # Several threads flush at once; each draws a number of its own.
        last = next(self._numbers) == self._last
        if last and not self._after:
            self._die()
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        durable = {
            "inode": os.fstat(descriptor).st_ino,
            "folder": os.readlink(f"/proc/self/fd/{descriptor}") if is_folder else None,
            "names": os.listdir(descriptor) if is_folder else [],
        }
        os.fsync(descriptor)
        with self._recording:
            os.write(self._record, json.dumps(durable).encode() + b"\n")
        if last:
            self._die()

    def _die(self) -> None:
        with self._recording:
            os._exit(9)


def fail_power(root: Path, old: set[Path], record: Path) -> None:
    """Take from disk what was never flushed: the bytes of new files, and the names of new files and folders."""
    flushed = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    inodes = {one["inode"] for one in flushed}
    named = {Path(one["folder"]) / name for one in flushed if one["folder"] for name in one["names"]}
    for path in sorted(root.rglob("*"), reverse=True):
        if path.relative_to(root) in old:
            continue
        if path not in named:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif path.is_file() and path.stat().st_ino not in inodes:
            os.truncate(path, 0)


def upload_in_child(root: Path, contents: dict[str, bytes], flush: Callable[[int], None]) -> int:
    """Upload in a forked child and return its exit status: 0 where it came to an end."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            client(FilesBackend(str(root), flush=flush)).root(ROOT).upload(items(contents), context=CONTEXT)
            status = 0
        finally:
            # A child must never return into pytest.
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the path of an open folder")
@pytest.mark.parametrize("contents", [pytest.param(INLINE, id="inline"), pytest.param(PACKED, id="packed")])
@pytest.mark.parametrize(("power", "after"), [("stays", False), ("fails", True)])
def test_a_process_killed_at_any_flush(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, power: str, *, after: bool
) -> None:
    """Killed at any flush, also by a power failure: old versions read, all or nothing is new, a retry works once."""
    monkeypatch.setattr(packing, "PACK_BYTES", 256 << 10)
    new_store(FilesBackend(str(tmp_path / "old"))).root(ROOT).upload(items(OLD), context=CONTEXT)
    old = {path.relative_to(tmp_path / "old") for path in (tmp_path / "old").rglob("*")}
    for last in count(1):
        root, record = tmp_path / str(last), tmp_path / f"{last}.flushed"
        shutil.copytree(tmp_path / "old", root)
        status = upload_in_child(root, contents, DyingFlush(last, after=after, record=record))
        assert status in (0, 9)
        if power == "fails":
            fail_power(root, old, record)
        container = FilesBackend(str(root))
        check_old_versions(container)
        acknowledged = contents_of(container)
        assert acknowledged in (OLD, OLD | contents)
        client(container).root(ROOT).upload(items(contents), context=CONTEXT)
        assert contents_of(container) == OLD | contents
        assert numbers(container, contents) == one_new_version(contents)
        invariants.check_all(client(container), ROOT)
        shutil.rmtree(root)
        if status == 0:
            assert acknowledged == OLD | contents
            break
    # A commit flushes itself and its folder; a pack and what leads to it each do so too.
    assert last > (20 if contents is PACKED else 2)


def staged_bytes(container: Backend) -> int:
    """Return the bytes of the packs that `stage` commits name."""
    changes = [change for commit in Log(container, log(ROOT), root=ROOT).commits() for change in commit.changes]
    packs = {pack for change in changes if change.operation == "stage" for pack in decode_content(change.content).packs}
    return sum(pack.size for pack in packs)


def kill_and_run_again(uri: str, folder: Path, environment: dict[str, str]) -> None:
    """Kill a long upload after some stages, run it again, and check that little of what was staged is sent again."""
    create_store(uri)
    container = client(*open_container(uri)).backend
    source = folder / "model.bin"
    noise = random.Random(5)
    data = b"".join(noise.randbytes(SIZE // 4) for _ in range(4))
    source.write_bytes(data)
    writer = start("upload", uri, ROOT, "model.bin", source, environment=environment)
    deadline = time.monotonic() + SECONDS_MAX
    while staged_bytes(container) <= SIZE / 4 and writer.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    staged = staged_bytes(container)
    assert staged > SIZE / 4
    assert client(container).root(ROOT).walk() == [], "the upload came to its end before it was killed"
    # What follows must find what was staged by itself, since it is another process.
    again = finish(start("upload", uri, ROOT, "model.bin", source, environment=environment))
    assert again["version"] == 1
    assert again["bytes_up"] <= SIZE - staged + SIZE / 10
    store = client(container)
    (version,) = store.root(ROOT).walk()
    assert store.root(ROOT).read(version) == data
    invariants.commits_are_chained(store, ROOT)
    invariants.commits_name_durable_packs(store, ROOT)


@pytest.mark.slow
def test_a_killed_upload_to_files_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed while it stores 200 MB, run again it sends at most a tenth again of what was published."""
    kill_and_run_again(f"versioned-file://{tmp_path}/store", tmp_path, {"MVS_STAGE_SECONDS": "0.1"})


@pytest.mark.slow
def test_a_killed_upload_to_s3_goes_on_where_it_was(
    minio: S3Server, s3_env: Callable[[S3Server], None], tmp_path: Path
) -> None:
    """The same on MinIO."""
    s3_env(minio)
    kill_and_run_again(f"versioned-s3://{minio.new_bucket()}", tmp_path, {"MVS_STAGE_BYTES": "48M"})
