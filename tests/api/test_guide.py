"""What the guide to the Python API tells its reader to run."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow_versioned_store as mvs
from mlflow_versioned_store import errors

GUIDE = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text(encoding="utf-8")


def test_the_guide_runs(uri: str, tmp_path: Path) -> None:
    """All its Python, in order, does what is said beside it."""
    names: dict[str, object] = {"where": uri, "folder": str(tmp_path)}
    exec("\n".join(re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)), names)
    root = mvs.open_root(uri)
    assert (names["first"], names["row"]) == (b"id,amount\n1,10\n", b"1,12\n")
    assert (tmp_path / "everything/data/train.csv").read_bytes() == b"id,amount\n1,12\n"
    assert root.read_bytes("data/train.csv") == names["first"]
    assert {entry.name for entry in root.list()} == {"conf", "copy", "data", "log.txt"}
    assert root.store.root("1/" + "f" * 32 + "/artifacts").read_bytes("data/train.csv") == names["first"]
    assert root.tags("data/train.csv@v1") == {"stage": "raw"}


def test_the_guide_names_every_error() -> None:
    """No error is missing, and none is named that does not exist."""
    table = GUIDE.partition("## Errors")[2]
    named = set(re.findall(r"`([A-Z]\w+)`", table)) - {"VersionedStoreError"}
    builtins = {"ValueError", "LookupError", "PermissionError", "ConnectionError", "OSError"}
    assert named - builtins == set(errors.__all__) - {"VersionedStoreError"}


def test_the_guide_names_every_method() -> None:
    """Whatever an artifact root can do is shown."""
    methods = {name for name in vars(mvs.ArtifactRoot) if not name.startswith("_")} - {"name", "uri", "engine"}
    assert {name for name in methods if not re.search(rf"\broot\.{name}\b", GUIDE)} == set()
