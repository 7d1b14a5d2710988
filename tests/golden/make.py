"""A program that makes the golden stores of the current format, once; what is committed is never made again.

    python tests/golden/make.py FOLDER

FOLDER gets one store for each digest, and `expected.json`: what is in them, from what was uploaded and not from what
reads back. Limits of writers are set low, so that little data shows what much data looks like.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import uuid
from pathlib import Path
from typing import Any

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.history import checkpoints, columns
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import Draft, DraftEntry, Operation
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import new_store
from mlflow_versioned_store.testing.models import Content, RootModel

RUN = "0123456789abcdef" * 2
ROOT = f"1/{RUN}/artifacts"
MODEL = f"1/models/m-{RUN}/artifacts"
TABLE = "data/table.csv"
CONTEXT = Context(run_id=RUN, experiment_id="1", user="ann", program="make.py")


def table(change: int) -> bytes:
    """Return a table of some 290 KB, of which each change differs a little from the one before."""
    kinds = [b"churned", b"stayed", b"joined"]
    rows = [b"%06d,%s\n" % (row, kinds[row * row % 89 % 3]) for row in range(20_000)]
    for number in range(1, change + 1):
        dice = random.Random(number)
        for _ in range(5):
            rows[dice.randrange(len(rows))] = b"changed in %d,%d\n" % (number, dice.getrandbits(32))
    return b"".join(rows)


def noise(seed: int, size: int) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


class Maker:
    """Makes one artifact root beside its model.

    Args:
        store: The store.
        root: The artifact root.
    """

    def __init__(self, store: Store, root: str):
        self._store = store
        self._root = root
        self.model = RootModel()

    def upload(self, contents: dict[str, Content]) -> None:
        """Upload in one change."""
        items = [Item(path, content) for path, content in contents.items()]
        assert self._store.root(self._root).upload(items, context=CONTEXT) == self.model.upload(contents)

    def delete(self, path: str) -> None:
        """Delete a path."""
        assert self._store.root(self._root).delete(path, context=CONTEXT) == self.model.delete(path)

    def append(self, operation: Operation, *entries: DraftEntry) -> None:
        """Append what no upload does."""
        log = Log(self._store.backend, keys.log(self._root), root=self._root, digest=self._store.marker.digest)
        draft = Draft(uuid.uuid4().hex, operation, entries, who=CONTEXT.who(), context=CONTEXT.mlflow())
        log.append([draft])
        self._store.root(self._root).walk()
        self.model.commits.append(dict(self.model.current))

    def expected(self) -> dict[str, Any]:
        """Return what is in the root."""
        versions = {
            f"{path}@@v{number}": None if content is None else [len(content), hashlib.sha256(content).hexdigest()]
            for path, contents in self.model.versions.items()
            for number, content in enumerate(contents, 1)
        }
        commits = [sorted(self.model.walk(current)) for current in self.model.commits]
        return {"versions": versions, "current": sorted(self.model.walk()), "commits": commits}


def fill(store: Store) -> dict[str, Any]:
    """Fill a store with one of everything, and return what is in it, root by root."""
    run, model, other = Maker(store, ROOT), Maker(store, MODEL), Maker(store, "")
    run.upload({"small.txt": b"one", "empty": b"", "empty folder": None, "notes/ü ö.txt": "grüße".encode()})
    run.upload({TABLE: table(0), "data/model.bin": noise(1, 20_000)})
    for change in range(1, 9):
        run.upload({TABLE: table(change)})
    run.upload({f"many/{number:02d}": noise(number, 100 + number) for number in range(20)})
    run.upload({"small.txt": b"two"})
    run.upload({"small.txt": b"two"})
    run.delete("notes")
    run.upload({"many": b"a file where a folder was"})
    run.append("annotate", DraftEntry(TABLE, note={"alias:gold": "v3", "description": "row, state\n" * 500}))
    run.append("consume", DraftEntry(TABLE, version=2))
    native = noise(2, 1000)
    store.backend.put(f"{ROOT}/native.bin", native)
    digest = hashlib.sha256(native).hexdigest()
    run.model.upload({"native.bin": native})
    run.model.commits.pop()
    run.append("upload", DraftEntry("native.bin", "file", len(native), digest, {"native": f"{ROOT}/native.bin"}))
    model.upload({"MLmodel": b"flavors: {}\n", TABLE: table(3)})
    other.upload({"reports/weekly.txt": b"all is well"})
    change_settings(store.settings_log, {"stage_seconds": 30, "of a later release": [1]}, CONTEXT.who())
    return {ROOT: run.expected(), MODEL: model.expected(), "": other.expected()}


def main(folder: Path) -> None:
    """Make the stores in `folder`, which must not exist."""
    folder.mkdir()
    checkpoints.COMMITS_MAX, checkpoints.GROWTH, columns.CHUNK_ROWS_MAX = 4, 3, 16
    expected = {}
    for digest in ("blake3", "sha256"):
        expected[digest] = fill(new_store(FilesBackend(str(folder / digest)), digest=digest))
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
