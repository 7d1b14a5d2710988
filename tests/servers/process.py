"""A server process: started on a free loopback port, waited for, stopped by its own process group."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.servers import reaper

START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 10.0


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Tell whether an HTTP server answers at `url`; an error status below 500 is an answer too."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections at a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A child process in a process group of its own, with a log; it dies when the test process does.

    Args:
        command: The program and its arguments.
        log: Where its output goes, appended over restarts.
        ready: Tells whether the server serves.
        environment: Variables beside those of the test process.
        folder: Its working folder; the log's by default.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._ready = ready
        self._environment = dict(environment or {})
        self._folder = folder or log.parent
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._child is not None, f"{self.command[0]} is not running"
        return self._child.pid

    def start(self) -> None:
        """Start the server and wait until it serves.

        Raises:
            RuntimeError: It ended, or did not serve within two minutes; the message ends with its log.
        """
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                start_new_session=True,
            )
        reaper.watch(self._child.pid)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._ready():
            if self._child.poll() is not None:
                raise RuntimeError(f"{self.command[0]} ended with {self._child.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.command[0]} did not serve in {START_SECONDS_MAX:.0f} s:\n{self.tail()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and all it started: politely first, then for certain."""
        if self._child is not None:
            reaper.end(self._child.pid, politely=True)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(STOP_SECONDS_MAX)
            self.kill()

    def kill(self) -> None:
        """End the server and all it started as a crash would."""
        if self._child is not None:
            reaper.end(self._child.pid)
            self._child.wait()
            reaper.forget(self._child.pid)
            self._child = None

    def tail(self, lines: int = 40) -> str:
        """Return the end of the server's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
