"""Peak memory of a process, as Linux counts it."""

from __future__ import annotations

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
        self._idle = self._read("VmRSS")

    def bytes_over_idle(self) -> int:
        """How far the resident memory has risen above idle at its highest."""
        return self._read("VmHWM") - self._idle

    def _read(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", (self._folder / "status").read_text(), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{self._folder}/status has no {name}")
        return int(found[1]) * 1024


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
