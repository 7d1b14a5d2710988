"""Peak memory of a process, as Linux counts it; and memory that is at hand before a clock starts."""

from __future__ import annotations

import contextlib
import mmap
import re
from pathlib import Path


class Peak:
    """Watches a process from now on; what it holds now counts as idle.

    Args:
        pid: the process; by default this one. Watching another needs its owner's rights.
    """

    def __init__(self, pid: int | str = "self") -> None:
        self._folder = Path(f"/proc/{pid}")
        # 5 sets the high-water mark back to what is resident now, so that imports do not count.
        (self._folder / "clear_refs").write_text("5")
        self._idle = _read(self._folder / "status", "VmRSS")

    def bytes_over_idle(self) -> int:
        """How far the resident memory has risen above idle at its highest."""
        return _read(self._folder / "status", "VmHWM") - self._idle


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").iterdir():
            children = [int(child) for child in (task / "children").read_text().split()]
            found += children
            waiting += children
    return found


def warm(size: int) -> None:
    """Touch `size` bytes of memory, or as much as there is, and free it at once.

    A virtual machine may have given memory that was idle for some seconds back to its host. To get a gibibyte of it
    back can take three seconds, a gibibyte that is at hand a third of one: whoever came first would pay.
    """
    size = min(size, _read(Path("/proc/meminfo"), "MemAvailable") // 2) // mmap.PAGESIZE * mmap.PAGESIZE
    with contextlib.closing(mmap.mmap(-1, size)) as memory:
        for page in range(0, size, mmap.PAGESIZE):
            memory[page] = 1


def _read(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{file} has no {name}")
    return int(found[1]) * 1024
