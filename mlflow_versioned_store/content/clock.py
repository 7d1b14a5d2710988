"""Elapsed time as garbage collection needs it: on a clock that runs through suspension."""

from __future__ import annotations

import sys
import time

GRACE_SECONDS = 24 * 3600
# What is only a help, not needed, may take this long.
HELP_SECONDS = 2.0


def elapsed() -> float:
    """Return seconds on a clock that never jumps and, where the system has one, counts while the machine sleeps."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
