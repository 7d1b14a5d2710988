"""Many uploads and downloads of one process at once, and at its ends: all of them get on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import workers
from mlflow_versioned_store.content.sinks import MemorySink
from mlflow_versioned_store.content.workers import Memory
from mlflow_versioned_store.errors import AccessDenied, Damaged
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.content.making import MIB, domain_of, edited, noise, read, reader, rows, store, text, wanted


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Let the process have the least memory that can be set."""
    memory = Memory(64 * MIB)
    monkeypatch.setattr(workers, "_memory", memory)
    return memory


def all_at_once(*work: Callable[[], object]) -> list[BaseException]:
    """Run work in a thread each; return what went wrong."""
    failures: list[BaseException] = []

    def run(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "some wait for ever"
    return failures


def assert_all_is_free(memory: Memory) -> None:
    """Check that everything that was taken comes back, once what is on its way has ended."""
    for budget in (memory.lanes, memory.small, memory.transfers):
        waiting = threading.Thread(target=budget.take, args=(budget.total,), daemon=True)
        waiting.start()
        waiting.join(30)
        assert not waiting.is_alive()


def test_uploads_and_downloads_share_little_memory(little_memory: Memory) -> None:
    """Sixteen at once, of all sizes and kinds, in one domain: none waits for ever, all bytes are right."""
    domain = domain_of(open_memory("crowd"))
    lines = rows(1, 40_000)
    there = store(domain, noise("there", 18 * MIB), text(lines))
    shared = reader(domain.backend)

    def up(number: int) -> None:
        data = [noise(number % 3, 17 * MIB), text(edited(lines, number)), noise(number, 100_000), b"tiny"]
        uploaded = store(domain, *data)
        assert [read(domain.backend, uploaded, at) for at in range(4)] == data

    def down() -> None:
        sinks = [MemorySink(file.size) for file in there.files]
        shared.read([wanted(there, at, sink) for at, sink in enumerate(sinks)])
        assert [bytes(sink.data) for sink in sinks] == [noise("there", 18 * MIB), text(lines)]

    assert all_at_once(*[lambda number=number: up(number) for number in range(8)], *[down] * 8) == []
    assert_all_is_free(little_memory)


def test_failures_give_back_all_that_was_taken(little_memory: Memory) -> None:
    """Uploads that are refused and downloads that are damaged leave the budget as it was."""
    faulty = FaultyBackend(open_memory("failures"))
    domain = domain_of(faulty)
    there = store(domain, noise("there", 18 * MIB))
    faulty.when(lambda call: call.verb == "put", Fault.DENY)
    faulty.when(lambda call: call.verb == "get", Fault.CORRUPT)

    def up() -> None:
        with pytest.raises(AccessDenied):
            store(domain, noise("new", 40 * MIB))

    def down() -> None:
        with pytest.raises(Damaged):
            reader(faulty).read([wanted(there)])

    assert all_at_once(*[up, down] * 4) == []
    assert_all_is_free(little_memory)


def test_an_upload_in_an_exit_handler_succeeds() -> None:
    """What is logged while the interpreter shuts down is stored and read like anything else."""
    code = """
import atexit
from mlflow_versioned_store.backends.memory import open_memory
from tests.content.making import *
backend = open_memory("exit")
lines = rows(1, 60_000)
first = store(domain_of(backend), text(lines))
def late():
    data = [noise("late", 20 * MIB), text(edited(lines, 1)), b"tiny"]
    uploaded = store(domain_of(backend), *data)
    print([read(backend, uploaded, at) for at in range(3)] == data, uploaded.bytes_sent < 20.3 * MIB)
atexit.register(late)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.stdout.split() == ["True", "True"], done.stderr


def test_a_forked_child_uploads_and_downloads(tmp_path: Path) -> None:
    """A child of a process that was busy stores and reads files by itself."""
    code = f"""
import os, warnings
warnings.simplefilter("ignore")
from mlflow_versioned_store.backends.files import FilesBackend
from tests.content.making import *
backend = FilesBackend({str(tmp_path)!r})
lines = rows(1, 60_000)
domain = domain_of(backend)
store(domain, text(lines), noise("parent", 20 * MIB))
child = os.fork()
if child == 0:
    data = [noise("child", 20 * MIB), text(edited(lines, 1)), b"tiny"]
    uploaded = store(domain, *data)
    good = [read(backend, uploaded, at) for at in range(3)] == data and uploaded.bytes_sent < 20.3 * MIB
    os._exit(0 if good else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.stdout.strip() == "0", done.stderr
