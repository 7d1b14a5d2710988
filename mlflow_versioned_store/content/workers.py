"""Threads and memory of the whole process, shared by all uploads and downloads.

Threads follow the CPU limit of the container, not of the host.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mlflow_versioned_store.pools import Pool

TRANSFERS_AT_ONCE = 16
LOOKUPS_AT_ONCE = 8
_CGROUPS, _CGROUPS_V1 = "/sys/fs/cgroup", "/sys/fs/cgroup/cpu"


def cpu_limit() -> int:
    """Return how many CPUs this process may use: affinity and the container's quota, rounded down, at least 1."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cpus, int(quota))) if quota else cpus


class Budget:
    """A count of bytes that waits when it is used up; one request larger than all of it gets all of it."""

    def __init__(self, total: int):
        self.total = total
        self._free = total
        self._changed = threading.Condition()

    def take(self, wanted: int) -> int:
        """Wait until `wanted` bytes are free, take them and return how many were taken."""
        taken = min(wanted, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= taken)
            self._free -= taken
        return taken

    def try_take(self, wanted: int) -> bool:
        """Take `wanted` bytes if they are free now; tell whether they were."""
        with self._changed:
            if self._free < wanted:
                return False
            self._free -= wanted
            return True

    @property
    def used(self) -> int:
        """Bytes that are taken now."""
        return self.total - self._free

    def give(self, taken: int) -> None:
        """Give back what `take` returned."""
        with self._changed:
            self._free += taken
            self._changed.notify_all()

    @contextmanager
    def held(self, wanted: int) -> Iterator[None]:
        """Hold `wanted` bytes within a block."""
        taken = self.take(wanted)
        try:
            yield
        finally:
            self.give(taken)


class Crowd:
    """Counts who is within a block at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def __enter__(self) -> None:
        self._add(1)

    def __exit__(self, *_: object) -> None:
        self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self.count += number


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # not glibc
        return None
    return trim


def give_back_freed_memory() -> None:
    """Return freed memory to the system, where the C library would keep it for each of many threads (glibc)."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


class Memory:
    """How the process-wide memory budget is shared out, bytes.

    `lanes` admits large uploads, `small` those that must not wait behind them; `transfers` bounds the packs and ranges
    on their way. Whoever holds part of `transfers` needs nothing more to give it back, so no two wait for each other.
    `ahead` is what open files have fetched ahead of their readers, who may never come for it; nobody waits for that.
    `downloads` are those under way.
    """

    def __init__(self, total: int):
        self.total = total
        self.lanes = Budget(total * 7 // 16)
        self.ahead = Budget(total // 16)
        self.transfers = Budget(total * 3 // 8)
        self.small = Budget(total // 8)
        self.downloads = Crowd()

    def lane(self, size: int) -> AbstractContextManager[None]:
        """Admit, within a block, whoever stores `size` bytes."""
        if size <= _SMALL_BYTES:
            return self.small.held(4 * size)
        return self.lanes.held(min(LANE_BYTES, 4 * size))


DEFAULT_MEMORY = 224 << 20
# Two segments and the pack that fills.
LANE_BYTES = 48 << 20
_SMALL_BYTES = 2 << 20
_MEMORY_MIN = 64 << 20


def memory_from_environment() -> Memory:
    """Return the budget that `MVS_MEMORY` sets ("256M", "1G" or bytes; at least 64 MiB)."""
    from mlflow_versioned_store.content.sizes import parse_bytes

    text = os.environ.get("MVS_MEMORY")
    return Memory(max(_MEMORY_MIN, parse_bytes(text, "MVS_MEMORY")) if text else DEFAULT_MEMORY)


_memory: Memory | None = None
_memory_lock = threading.Lock()


def memory() -> Memory:
    """Return the process's memory budget."""
    global _memory
    with _memory_lock:
        if _memory is None:
            _memory = memory_from_environment()
        return _memory


def _new_memory_after_fork() -> None:
    # The child has none of the threads that would give back what the parent's threads had taken.
    global _memory, _memory_lock
    _memory, _memory_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_memory_after_fork)

computing = Pool("compute", cpu_limit)
sending = Pool("send", lambda: TRANSFERS_AT_ONCE)
fetching = Pool("fetch", lambda: TRANSFERS_AT_ONCE)
looking_up = Pool("look-up", lambda: LOOKUPS_AT_ONCE)


def _cgroup_quota() -> float | None:
    """Return how many CPUs the process's control group and those above it allow at most; None for any number."""
    quotas = (quota for folder in _cgroups() for quota in (_quota(folder), _quota_v1(folder)) if quota is not None)
    return min(quotas, default=None)


def _cgroups() -> Iterator[str]:
    """Yield the folders of the control groups that may limit the process."""
    yield from (_CGROUPS, _CGROUPS_V1)
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = _CGROUPS_V1 if controllers else _CGROUPS
        while path.strip("/"):
            yield f"{top}{path}"
            path = path.rpartition("/")[0]


def _quota(folder: str) -> float | None:
    try:
        quota, period = Path(f"{folder}/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _quota_v1(folder: str) -> float | None:
    try:
        quota = int(Path(f"{folder}/cpu.cfs_quota_us").read_text())
        return quota / int(Path(f"{folder}/cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None
