"""`mvs rescope`: an experiment gets chunks of its own, and a policy of its own after that."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import RUN, Mvs

OTHER = RUN[::-1]


def test_a_store_is_parted_into_its_experiments(mvs: Mvs, tmp_path: Path) -> None:
    """A dry run counts; the move is done once, and every version reads as before."""
    store = f"versioned-file://{tmp_path}/store"
    mvs("init", store)
    data = bytes(range(256)) * 4096
    for experiment, run in (("1", RUN), ("2", OTHER)):
        mvs("put", "-", f"{store}/{experiment}/{run}/artifacts/f", stdin=data)
    assert mvs.json("rescope", store, "--dry-run")["versions"] == 2
    assert not (tmp_path / "store/_mvs/data/experiment-1").exists()
    (line,) = mvs.lines("rescope", store)
    assert line == "Moved 2 versions (2.00 MiB) of 2 artifact roots."
    assert mvs.json("rescope", store)["versions"] == 0
    assert mvs("cat", f"{store}/2/{OTHER}/artifacts/f@v1").stdout_bytes == data
    assert sorted(path.name for path in (tmp_path / "store/_mvs/data").iterdir()) == [
        "all",
        "experiment-1",
        "experiment-2",
    ]
