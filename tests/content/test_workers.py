"""Threads and memory of the process: their limits, and that nothing waits for ever."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store.content import workers
from mlflow_versioned_store.content.workers import Budget, cpu_limit, memory_from_environment
from mlflow_versioned_store.errors import InvalidInput
from tests.test_pools import run

MIB = 1 << 20


class Files:
    """Stands for `Path`: files that a test makes up, and no others.

    Args:
        contents: Path to text.
    """

    def __init__(self, contents: dict[str, str]):
        self._contents = contents
        self._path = ""

    def __call__(self, path: str) -> Files:
        found = Files(self._contents)
        found._path = path
        return found

    def __truediv__(self, name: str) -> Files:
        return self(f"{self._path}/{name}")

    def read_text(self) -> str:
        """Return the text."""
        if self._path not in self._contents:
            raise FileNotFoundError(self._path)
        return self._contents[self._path]


TOP, GROUPS = "/sys/fs/cgroup", "/proc/self/cgroup"
V2 = "/sys/fs/cgroup/cpu.max"
V1_QUOTA, V1_PERIOD = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({V2: "max 100000\n"}, 8),
        ({V2: "200000 100000\n"}, 2),
        ({V2: "390000 100000\n"}, 3),
        ({V2: "10000 100000\n"}, 1),
        ({V2: "6400000 100000\n"}, 8),
        ({V2: "nonsense\n"}, 8),
        ({V1_QUOTA: "300000\n", V1_PERIOD: "100000\n"}, 3),
        ({V1_QUOTA: "-1\n", V1_PERIOD: "100000\n"}, 8),
        ({V1_QUOTA: "300000\n"}, 8),
        ({GROUPS: "0::/pod/job\n", f"{TOP}/pod/job/cpu.max": "300000 100000\n"}, 3),
        ({GROUPS: "0::/pod/job\n", f"{TOP}/pod/cpu.max": "200000 100000\n", V2: "max 100000\n"}, 2),
        ({GROUPS: "0::/job\n", f"{TOP}/job/cpu.max": "700000 100000\n", V2: "500000 100000\n"}, 5),
        ({GROUPS: "0::/\n", V2: "200000 100000\n"}, 2),
        (
            {
                GROUPS: "4:memory:/x\n3:cpu,cpuacct:/job\n",
                f"{TOP}/cpu/job/cpu.cfs_quota_us": "150000\n",
                f"{TOP}/cpu/job/cpu.cfs_period_us": "50000\n",
            },
            3,
        ),
        ({GROUPS: "4:memory:/job\n", f"{TOP}/job/cpu.max": "300000 100000\n"}, 8),
    ],
    ids=repr,
)
def test_the_limit_of_the_container_counts(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    """Threads follow the quota of either kind of control group, never beyond the CPUs that may be used."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(workers, "Path", Files(files))
    assert cpu_limit() == expected


def test_without_affinity_the_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a system knows no affinity, its number of CPUs is taken, or one."""
    monkeypatch.setattr(workers, "Path", Files({}))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert cpu_limit() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cpu_limit() == 1


@given(wishes=st.lists(st.integers(0, 250), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_a_budget_is_never_overdrawn(wishes: list[int]) -> None:
    """Whatever many threads ask for, no more is out at once than there is, and all of them get on."""
    budget = Budget(100)
    lock = threading.Lock()
    out = most = 0

    def work(wanted: int) -> None:
        nonlocal out, most
        taken = budget.take(wanted)
        with lock:
            out += taken
            most = max(most, out)
        with lock:
            out -= taken
        budget.give(taken)

    threads = [threading.Thread(target=work, args=(wanted,), daemon=True) for wanted in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= 100
    assert budget.take(100) == 100


def test_a_request_larger_than_the_budget_gets_all_of_it() -> None:
    """Nothing waits for more than there is."""
    budget = Budget(100)
    with budget.held(1 << 60):
        waiting = threading.Thread(target=lambda: budget.give(budget.take(1)), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_budget_is_given_back_after_an_error() -> None:
    """A failed upload does not make the next ones wait for ever."""
    budget = Budget(100)
    with pytest.raises(ZeroDivisionError), budget.held(100):
        raise ZeroDivisionError
    assert budget.take(100) == 100


@pytest.mark.parametrize(
    ("text", "expected"), [(None, 224 * MIB), ("", 224 * MIB), ("1G", 1024 * MIB), ("1", 64 * MIB), ("100M", 100 * MIB)]
)
def test_the_environment_sets_the_budget(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: int) -> None:
    """`MVS_MEMORY` is the whole of it, at least 64 MiB; its shares add up to no more."""
    if text is not None:
        monkeypatch.setenv("MVS_MEMORY", text)
    memory = memory_from_environment()
    assert memory.total == expected
    assert sum(one.total for one in (memory.lanes, memory.small, memory.transfers, memory.ahead)) <= expected


def test_a_budget_that_is_no_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the setting is told, not replaced by a default."""
    monkeypatch.setenv("MVS_MEMORY", "lots")
    with pytest.raises(InvalidInput, match="MVS_MEMORY"):
        memory_from_environment()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_threads_and_memory_of_its_own() -> None:
    """Pools that were busy and budgets that were used up in the parent are fresh in its child."""
    code = """
import os, threading, warnings
warnings.simplefilter("ignore")
from mlflow_versioned_store.content import workers
block = threading.Event()
for _ in range(8):
    workers.looking_up.submit(block.wait)
taken = workers.memory().lanes.take(1 << 60)
with workers.computing._lock:
    child = os.fork()
    if child == 0:
        ok = workers.looking_up.submit(int).result(20) == 0
        ok = ok and workers.computing.submit(int).result(20) == 0
        ok = ok and workers.memory().lanes.take(1 << 60) == taken
        os._exit(0 if ok else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
block.set()
"""
    assert run(code).strip() == "0"


def test_a_crowd_counts_who_is_there() -> None:
    """Everybody who is within the block counts, until they leave it, also by an error."""
    crowd = workers.Crowd()

    def leave_by_an_error() -> None:
        with crowd, crowd:
            assert crowd.count == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave_by_an_error()
    assert crowd.count == 0
