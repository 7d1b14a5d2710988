"""Ends the servers of a test process that died without stopping them.

A small process of its own reads, from a pipe that only the test process writes to, which process groups run. When
the pipe ends and groups are left, the test process was killed: it ends them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys

_reaper: subprocess.Popen[str] | None = None


def watch(group: int) -> None:
    """End this process group when the test process dies."""
    _tell(f"+{group}")


def forget(group: int) -> None:
    """Leave this process group alone: it has ended, and its number may be used again."""
    _tell(f"-{group}")


def end(group: int, *, politely: bool = False) -> None:
    """End a process group; one that has ended already is no error."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            os.kill(group, signal.SIGTERM)  # there are no groups, and nothing is polite
        else:
            os.killpg(group, signal.SIGTERM if politely else signal.SIGKILL)


def _tell(message: str) -> None:
    global _reaper
    if _reaper is None:
        _reaper = subprocess.Popen(
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        atexit.register(_dismiss, _reaper)
    assert _reaper.stdin is not None
    _reaper.stdin.write(message + "\n")
    _reaper.stdin.flush()


def _dismiss(reaper: subprocess.Popen[str]) -> None:
    reaper.communicate()


def _reap() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups.add(group) if line[0] == "+" else groups.discard(group)
    for group in groups:
        end(group)


if __name__ == "__main__":
    _reap()
