"""The harness's end of a worker process: orders go in, answers come out, one line of JSON each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

READY = "ready"
# A worker that takes longer prints what every thread does, and ends.
SECONDS_MAX = float(os.environ.get("BENCHMARK_SECONDS_MAX", "600"))


class Worker:
    """One process of `benchmarks.worker`: it prepares, waits for the word, works and answers."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process, self._log = process, log

    @classmethod
    @contextmanager
    def started(cls, folder: Path, environment: Mapping[str, str]) -> Iterator[Worker]:
        """A new process with these variables beside ours; leaving waits for its end.

        Raises:
            RuntimeError: it failed; the message ends with its log.
        """
        log = folder / "workers.log"
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **environment},
            )
        worker = cls(process, log)
        with process:
            try:
                yield worker
                worker.finish()
            finally:
                process.kill()

    def prepare(self, order: Mapping[str, Any]) -> None:
        """Gives the order, and waits until everything that is not to be measured is done."""
        self._send(order)
        if self._receive() != READY:
            raise RuntimeError("a worker answered before it was told to go")

    def go(self) -> None:
        """Starts the clock."""
        self._send("go")

    def answer(self) -> Any:
        """Waits for what the work took."""
        return self._receive()

    def finish(self) -> None:
        """Waits until the process has ended."""
        if status := self._process.wait(60):
            raise RuntimeError(f"a worker ended with {status}:\n{self._log.read_text()[-4000:]}")

    def _send(self, message: Any) -> None:
        pipe = cast("IO[str]", self._process.stdin)
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    def _receive(self) -> Any:
        for text in cast("IO[str]", self._process.stdout):
            # MLflow prints to standard output as well (the address of a run, for one).
            if text.startswith(('{"', f'"{READY}"')):
                return json.loads(text)
        self.finish()
        raise RuntimeError("a worker ended before it answered")
