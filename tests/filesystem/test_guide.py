"""What the guide to the file system tells its reader to run."""

from __future__ import annotations

import re
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from tests.filesystem.conftest import ROOT

GUIDE = Path(__file__).resolve().parents[2] / "docs/filesystem.md"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_guide_runs(minio_store: str) -> None:
    """All its Python, in order, in an artifact root with two versions of a table."""
    artifacts = f"{minio_store}/{ROOT}"
    filesystem = fsspec.filesystem("versioned-s3")
    for version in (1, 2):
        table = pd.DataFrame({"id": np.arange(1000), "amount": np.arange(1000) * 0.5 + version})
        with filesystem.transaction:
            table.to_csv(f"{artifacts}/data/train.csv", index=False)
            table.to_parquet(f"{artifacts}/data/train.parquet")
            filesystem.pipe(f"{artifacts}/notes.txt", b"version %d" % version)
    names: dict[str, object] = {"artifacts": artifacts}
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    exec("\n".join(blocks), names)
    assert names["notes"] == "version 1"
    assert [names[name].num_rows for name in ("old", "table")] == [1000, 1000]  # type: ignore[attr-defined]
    assert names["rows"]["amount"][0] == 1  # type: ignore[index]
    assert names["largest"].item() == 999 * 0.5 + 2  # type: ignore[attr-defined]
    assert names["changed"] == [(1000,)]
    assert names["total"] == pytest.approx(sum(at * 0.5 + 1 for at in range(1000)))
    assert filesystem.cat(f"{artifacts}/notes.txt") == b"a new version"
    newest = [filesystem.info(f"{artifacts}/{name}") for name in ("data/train.parquet", "data/rows.txt")]
    assert newest[0]["created"] == newest[1]["created"]
