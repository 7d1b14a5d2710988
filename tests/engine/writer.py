"""A program that writes to a store as the processes of a cluster do; the tests start several and let them go at once.

python writer.py race URI ROOT LABEL THREADS ROUNDS [PATH]      many threads upload distinct contents
python writer.py create URI LABEL                               one upload, where there may be no store yet
python writer.py upload URI ROOT PATH FILE                      one file
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.counting import counts_of
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.store import open_store

CONTEXT = Context(program="writer")


def wait_for_all() -> None:
    """Say that this process is ready, and wait until all are."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def race(uri: str, root: str, label: str, threads: str, rounds: str, path: str = "") -> dict[str, object]:
    """Upload one content a thread and round, all to `path` or each to its own, and return what became of them."""
    store, _ = open_store(uri)
    artifacts = store.root(root)
    barrier = threading.Barrier(int(threads))

    def write(number: int) -> list[tuple[str, int]]:
        barrier.wait()
        written = []
        for at in range(int(rounds)):
            content = f"{label}-{number}-{at}"
            (stored,) = artifacts.upload([Item(path or f"{content}.txt", content.encode())], context=CONTEXT)
            assert not stored.unchanged
            written.append((content, stored.version))
        return written

    _ = store.settings
    wait_for_all()
    before = counts_of(store.backend)
    with ThreadPoolExecutor(int(threads)) as pool:
        written = [one for each in pool.map(write, range(int(threads))) for one in each]
    return {"written": written, "requests": (counts_of(store.backend) - before).requests}


def create(uri: str, label: str) -> dict[str, object]:
    """Upload one file into what may not be a store yet, and return the store's id."""
    wait_for_all()
    store, path = open_store(uri, write=True)
    store.root(store.place(path).root).upload([Item(f"file-{label}", label.encode())], context=CONTEXT)
    return {"id": store.id}


def upload(uri: str, root: str, path: str, file: str) -> dict[str, object]:
    """Upload one file, and return its version and the bytes that were sent."""
    store, _ = open_store(uri)
    (stored,) = store.root(root).upload([Item(path, file)], context=CONTEXT)
    return {"version": stored.version, "bytes_up": counts_of(store.backend).bytes_up}


if __name__ == "__main__":
    ways: dict[str, Callable[..., dict[str, object]]] = {"race": race, "create": create, "upload": upload}
    sys.stdout.write(json.dumps(ways[sys.argv[1]](*sys.argv[2:])))
