"""The examples for other tools, each run as its reader runs it: versions differ as told, and little is moved."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.examples.guide import run

pytestmark = pytest.mark.slow


def numbers(pattern: str, printed: str) -> list[tuple[float, ...]]:
    """The numbers that a pattern finds, for each place where it is found."""
    found = [match.groups() for match in re.finditer(pattern, printed, re.MULTILINE)]
    assert found, printed
    return [tuple(float(text.replace(",", "")) for text in groups) for groups in found]


def test_pandas(tmp_path: Path) -> None:
    """A corrected table costs a tenth or less, and both versions are read: every sum went down."""
    printed = run("python examples/with_pandas.py", tmp_path)
    (_, (size,)) = numbers(r"^data/orders.csv@v\d  ([\d,]+) bytes", printed)
    ((stored,),) = numbers(r"took ([\d,]+) bytes more", printed)
    assert stored <= size / 10
    changes = numbers(r"^(?:Graz|Linz|Wels) +([\d.]+) +([\d.]+) +(-[\d.]+)$", printed)
    assert [round(now - billed, 2) for billed, now, _ in changes] == [change for _, _, change in changes]


def test_duckdb(tmp_path: Path) -> None:
    """A query over two versions finds the one zone that changed, and moves a third or less of their bytes."""
    printed = run("python examples/with_duckdb.py", tmp_path)
    assert re.findall(r"^│ (zone \d+) +│", printed, re.MULTILINE) == ["zone 7"]
    ((moved, size),) = numbers(r"moved ([\d.]+) MB of ([\d.]+) MB", printed)
    assert moved <= size / 3


def test_pyarrow(tmp_path: Path) -> None:
    """The second commit has one file, and each state of the dataset has its own values."""
    printed = run("python examples/with_pyarrow.py", tmp_path)
    second, _, first = printed.partition("c1 wrote")
    assert second.count("@v2") == 1
    assert first.count("@v1") == 3
    assert numbers(r"^weather@c(\d): .* at most ([\d.]+) °C", printed)[0] == (1, 85.0)
    assert numbers(r"^weather@c(\d): .* at most ([\d.]+) °C", printed)[1][1] <= 30


def test_pytorch(tmp_path: Path) -> None:
    """Corrected labels give the better model, and a batch moves a tenth of the dataset or less."""
    pytest.importorskip("torch", reason="PyTorch takes gigabytes; install it to run its example")
    printed = run("python examples/with_pytorch.py", tmp_path)
    (first,), (second,) = numbers(r"^trained on .*: ([\d.]+)% right$", printed)
    assert first < second
    ((size, stored),) = numbers(r"^([\d.]+) MB; with its labels corrected ([\d.]+) MB more", printed)
    ((moved,),) = numbers(r"([\d.]+) KB moved", printed)
    assert max(stored, moved / 1000) <= size / 10


def test_geospatial(tmp_path: Path) -> None:
    """A masked cloud costs a tenth of a scene or less, and so does looking at its place in any version."""
    printed = run("python examples/geospatial.py", tmp_path)
    ((size, _), (_, masked), _) = numbers(r"^\S.* {2,}([\d.]+) +([\d.]+)$", printed)
    assert masked <= size / 10
    assert "33N.tif@v1: 220 × 180 pixels, mean" in printed
    assert "33N.tif@v2: 220 × 180 pixels, masked" in printed
    moved = numbers(r"([\d.]+) MB moved", printed)
    assert len(moved) == 3
    assert max(moved) <= (size / 10,)


def test_robotics(tmp_path: Path) -> None:
    """A drive is replayed as it was and as it is, both at the pace that was asked for and no faster."""
    printed = run("python examples/robotics.py --seconds 8 --speed 20", tmp_path)
    assert "recorded 4 files" in printed
    raw, corrected = numbers(r"^drives/7/imu\S* +([\d.]+) s in ([\d.]+) s.* by ([+-][\d.]+) rad$", printed)
    assert (raw[0], corrected[0]) == (8.0, 8.0)
    assert min(raw[1], corrected[1]) >= 0.39
    assert raw[2] - corrected[2] == pytest.approx(8 * 0.31, abs=0.05)
