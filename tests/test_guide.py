"""The user guide, taken from its beginning to its end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_session import replay

REPOSITORY = Path(__file__).resolve().parent.parent
GUIDE = REPOSITORY / "docs/guide.md"
PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]


def take(page: str, database: Path, folder: Path) -> tuple[str, str]:
    """Do in a folder what the guide says: save its first program, type its commands, run the rest of its Python.

    Returns:
        The guide with what its commands print now, and what its Python printed.
    """
    home = folder / "churn"
    home.mkdir()
    shutil.copy(database, home / "mlflow.db")
    program, *more = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (home / "train.py").write_text(program, encoding="utf-8")
    before, commands = page.split("## Words")
    taken = f"{before}## Words{replay(commands, folder)}"
    run_id = re.search(r"[0-9a-f]{32}", " ".join(os.listdir(home / "store/_mvs/log")))
    assert run_id
    printed = subprocess.check_output(
        [sys.executable, "-c", "\n".join(more)],
        cwd=home,
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "RUN": run_id[0]},
        text=True,
    )
    return taken, printed


@pytest.mark.slow
def test_the_guide_can_be_taken(tracking_database: Path, tmp_path: Path) -> None:
    """Every command prints what the guide shows, and all its Python runs and finds what the guide says."""
    page = GUIDE.read_text(encoding="utf-8")
    taken, printed = take(page, tracking_database, tmp_path)
    assert taken == page
    assert re.search(r"^v2 33 14363b363b29 20\d\d-", printed, re.MULTILINE), printed
    assert "b'1,0.5'" in printed
    assert "1 added, 0 removed, 1 changed" in printed
    moved = re.search(r"^\d requests moved (\d+) bytes$", printed, re.MULTILINE)
    assert moved
    assert int(moved[1]) < 1_000_000
    assert (tmp_path / "churn/change.html").read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_lead_somewhere(page: Path) -> None:
    """Every link of the documentation to a file of this repository leads to one that exists."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


if __name__ == "__main__":
    # Writes the page anew, with what its commands print: python -m tests.test_guide DATABASE FOLDER
    GUIDE.write_text(take(GUIDE.read_text(encoding="utf-8"), Path(sys.argv[1]), Path(sys.argv[2]))[0], encoding="utf-8")
