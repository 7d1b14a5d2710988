"""The churn guide on an embedded store."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.guide import ROWS, run, stored_bytes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the guide printed, run once with nothing but a smaller table."""
    return run(f"python examples/churn.py --rows {ROWS}", tmp_path_factory.mktemp("churn"))


def test_every_version_comes_back(printed: str) -> None:
    """A file by its run's id, and both versions of a file that was logged twice, are what was logged."""
    for address in ("raw_data.csv of run", "enriched_data.csv@v1", "enriched_data.csv@v2", "enriched_data.csv "):
        assert any(line.startswith(address) and "came back" in line for line in printed.splitlines()), printed


def test_each_version_has_its_model(printed: str) -> None:
    """The models of three versions are compared, and what the data gained shows in them."""
    scores = {
        name: float(score) for name, score in re.findall(r"^(raw_version|v1|v2) +(0\.\d+)$", printed, re.MULTILINE)
    }
    assert set(scores) == {"raw_version", "v1", "v2"}
    assert scores["v2"] > scores["raw_version"]


def test_what_was_gained_is_told(printed: str) -> None:
    """The table counts four versions, and a corrected table costs a tenth of its size or less."""
    rows = stored_bytes(printed)
    assert len(rows) == 5
    logged, stored = rows["v2           enriched_data.csv, 1 % corrected"]
    assert stored <= logged / 10
    assert rows["4 versions"][1] < rows["4 versions"][0]


def test_its_last_lines_can_be_pasted(printed: str, tmp_path: Path) -> None:
    """In any folder they show both versions of a file, and the first lines of the older one."""
    *lines, ui = printed.partition("Look around:\n")[2].splitlines()
    assert "/mlflow ui " in ui
    shown = run("\n".join(lines), tmp_path)
    assert re.findall(r"^ +(v\d) ", shown, re.MULTILINE) == ["v1", "v2"]
    assert "\ncustomerID,gender," in shown
