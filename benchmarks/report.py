"""The table of figures and the JSON they come from."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lines import LINES, MEMORY_MAX, Line
from benchmarks.runner import Measurement

PACKAGES = ("mlflow-versioned-store", "mlflow", "obstore", "boto3", "zstandard", "blake3", "pyfastcdc")
COLUMNS = ("work", "stock s", "ours s", "ratio", "needed", "stored B", "put+list/get/delete", "MB up/down", "peak MiB")


def table(measurements: Sequence[Measurement], mbit: float = 0) -> str:
    """A Markdown table of medians: one row a line, `✗` where something needed was not reached.

    Args:
        measurements: every round of every line and side.
        mbit: the rate of the link, which decides what ratio is needed.
    """
    by_line: dict[str, dict[str, list[Measurement]]] = defaultdict(lambda: defaultdict(list))
    for found in measurements:
        by_line[found.line][found.side].append(found)
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [_row(line, by_line[line.name], mbit) for line in LINES if line.name in by_line]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def failures(line: Line, sides: dict[str, list[Measurement]], mbit: float) -> list[str]:
    """What a line needed and did not reach, by the name of its column."""
    ours = sides.get("ours")
    if not ours:
        return []
    missed = []
    if (needed := needed_ratio(line, mbit)) and sides.get("stock") and _ratio(sides) < needed:
        missed.append("ratio")
    if line.seconds and _median(ours, "seconds") > line.seconds:
        missed.append("seconds")
    if line.stored and _median(ours, "stored") > line.stored:
        missed.append("stored")
    if line.requests and median(found.traffic.requests for found in ours) > line.requests:
        missed.append("requests")
    if max(found.memory for found in ours) > MEMORY_MAX:
        missed.append("memory")
    return missed


def needed_ratio(line: Line, mbit: float) -> float | None:
    """The ratio a line needs on a link of this rate (0: none)."""
    if mbit and line.slow_ratio and line.slow_ratio[0] == mbit:
        return line.slow_ratio[1]
    return None if mbit else line.ratio


def as_json(measurements: Sequence[Measurement], options: dict[str, Any]) -> str:
    """Every measurement, with the options, versions and machine behind it."""
    return json.dumps(
        {
            "options": options,
            "machine": {"processors": os.cpu_count(), "platform": platform.platform(), "memory": _memory()},
            "versions": {"python": platform.python_version(), **_versions()},
            "measurements": [asdict(found) for found in measurements],
        },
        indent=1,
        default=str,
    )


def _row(line: Line, sides: dict[str, list[Measurement]], mbit: float) -> tuple[str, ...]:
    missed = failures(line, sides, mbit)

    def mark(name: str, text: str) -> str:
        return f"**{text} ✗**" if name in missed else text

    seen = sides.get("ours") or sides["stock"]
    needed = needed_ratio(line, mbit)
    requests = " / ".join(f"{median(counts):.0f}" for counts in zip(*map(_requests, seen), strict=True))
    up_down = f"{_traffic(seen, 'received') / 1e6:,.1f} / {_traffic(seen, 'sent') / 1e6:,.1f}"
    both = "stock" in sides and "ours" in sides
    return (
        line.work,
        f"{_median(sides['stock'], 'seconds'):.2f}" if sides.get("stock") else "",
        mark("seconds", f"{_median(sides['ours'], 'seconds'):.2f}") if sides.get("ours") else "",
        mark("ratio", f"{_ratio(sides):.2f}") if both else "",
        f"≥ {needed:g}" if needed else "",
        mark("stored", f"{_median(seen, 'stored'):,.0f}"),
        mark("requests", requests),
        up_down,
        mark("memory", f"{max(found.memory for found in seen) / 2**20:.0f}"),
    )


def _ratio(sides: dict[str, list[Measurement]]) -> float:
    return _median(sides["stock"], "seconds") / _median(sides["ours"], "seconds")


def _median(found: Sequence[Measurement], name: str) -> float:
    return float(median(getattr(one, name) for one in found))


def _traffic(found: Sequence[Measurement], name: str) -> float:
    return float(median(getattr(one.traffic, name) for one in found))


def _requests(found: Measurement) -> tuple[int, int, int]:
    return found.traffic.writes, found.traffic.reads, found.traffic.deletes


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _memory() -> str:
    return Path("/proc/meminfo").read_text().split("\n", 1)[0]
