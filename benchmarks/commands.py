"""`mvs` in a process of its own, from its start to its end; and a root with a long history to look at.

The history is made in memory, commit by commit as any writer makes it, and copied: that is faster than logging it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_THREADS = 16
Work = Callable[[], None]


def grow_history(order: dict[str, Any]) -> Work:
    """As many commits as the order says, each of which logs one small file."""
    import mlflow

    from mlflow_versioned_store.context import Context
    from mlflow_versioned_store.history.records import Draft, DraftEntry
    from mlflow_versioned_store.store import create_store, open_store

    def work() -> None:
        store, name = open_store(mlflow.get_artifact_uri(), write=True)
        grown = create_store(f"versioned-memory://{uuid.uuid4().hex}")
        log, who = grown.root(name).log, Context(user="ada", host="lab", program="train.py").who()
        for number in range(order["count"]):
            content = f"row {number}\n".encode()
            digest = hashlib.sha256(content).hexdigest()
            entry = DraftEntry(f"data/part-{number:06d}.csv", size=len(content), sha256=digest, at=[0, 0, len(content)])
            log.append([Draft(uuid.uuid4().hex, "upload", (entry,), frames=content, who=who)])
        keys = [info.key for info in grown.backend.list("_mvs/log")]
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(lambda key: store.backend.put(key, grown.backend.get(key).data), keys):
                pass

    return work


def run_command(order: dict[str, Any]) -> Work:
    """`mvs` with the arguments of the order, "{root}" in them being the run's artifact root; its lines are counted."""
    import mlflow

    root = mlflow.get_artifact_uri()
    arguments = [argument.format(root=root) for argument in order["arguments"]]

    def work() -> None:
        command = [sys.executable, "-m", "mlflow_versioned_store", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if (lines := done.stdout.count("\n")) < order["lines"]:
            raise RuntimeError(f"mvs {arguments[0]} printed {lines} lines, not {order['lines']}")

    return work


OPERATIONS: dict[str, Callable[[dict[str, Any]], Work]] = {
    "grow_history": grow_history,
    "run_command": run_command,
}
