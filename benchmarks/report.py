"""The table of figures and the JSON they come from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lines import BOTH, LINES, Line
from benchmarks.runner import Measurement

PACKAGES = ("mlflow-versioned-store", "mlflow", "obstore", "boto3", "zstandard", "blake3", "pyfastcdc")
COLUMNS = (
    "work",
    "stock s",
    "ours s",
    "ratio",
    "needed",
    "CPU s",
    "stored B",
    "put+list/get/delete",
    "MB up/down",
    "peak MiB",
)


@dataclass(frozen=True)
class Report:
    """The medians of what was measured, line by line.

    Attributes:
        measurements: every round of every line and side.
        mbit: the rate of the link to the object store; 0 means none.
        latency_ms: the latency of that link.
    """

    measurements: Sequence[Measurement]
    mbit: float = 0
    latency_ms: float = 0

    def table(self) -> str:
        """A Markdown table of one row a line, with `✗` where something needed was not reached."""
        measured = {found.line for found in self.measurements}
        rows = [COLUMNS, ("---",) * len(COLUMNS), *(self._row(line) for line in LINES if line.name in measured)]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)

    def missed(self, line: Line) -> set[str]:
        """Which columns of a line show something needed that was not reached."""
        needed, ratio = self._needed_ratio(line), self._ratio(line)
        missed: set[str] = set()
        if not self._of(line.name, "ours"):
            return missed
        if needed and ratio and ratio < needed:
            missed.add("ratio")
        for column in ("seconds", "stored", "requests", "writes"):
            limit = getattr(line, column)
            if limit and self._median(line.name, "ours", column) > limit:
                missed.add(column)
        if line.sent and self._of(line.name, "stock"):
            most = line.sent * self._median(line.name, "stock", "sent")
            if self._median(line.name, "ours", "sent") > most:
                missed.add("sent")
        if max(found.memory for found in self._of(line.name, "ours")) > line.memory:
            missed.add("memory")
        if line.multiple:
            column, other, factor = line.multiple
            if self._median(line.name, "ours", column) > factor * self._median(other, "ours", column):
                missed.add(column)
        return missed

    def _row(self, line: Line) -> tuple[str, ...]:
        missed = self.missed(line)

        def mark(columns: str, text: str) -> str:
            return f"**{text} ✗**" if missed & set(columns.split()) else text

        name, needed, ratio = line.name, self._needed_ratio(line), self._ratio(line)
        side = "ours" if self._of(name, "ours") else "stock"
        classes = (self._median(name, side, column) for column in ("writes", "reads", "deletes"))
        return (
            line.work,
            f"{self._median(name, 'stock', 'seconds'):.2f}" if self._of(name, "stock") else "",
            mark("seconds", f"{self._median(name, 'ours', 'seconds'):.2f}") if self._of(name, "ours") else "",
            mark("ratio", f"{ratio:.2f}") if ratio else "",
            f"≥ {needed:.2g}" if needed else "",
            " / ".join(f"{self._median(name, side, 'cpu_seconds'):.2f}" for side in BOTH if self._of(name, side)),
            mark("stored", f"{self._median(name, side, 'stored'):,.0f}"),
            mark("requests writes", " / ".join(f"{count:.0f}" for count in classes)),
            mark("sent", " / ".join(f"{self._median(name, side, way) / 1e6:,.1f}" for way in ("received", "sent"))),
            mark("memory", f"{max(found.memory for found in self._of(name, side)) / 2**20:.0f}"),
        )

    def _needed_ratio(self, line: Line) -> float | None:
        if self.latency_ms:
            return None
        if self.mbit:
            return line.slow_ratio[1] if line.slow_ratio and line.slow_ratio[0] == self.mbit else None
        return line.ratio

    def _ratio(self, line: Line) -> float | None:
        if not (self._of(line.name, "stock") and self._of(line.name, "ours")):
            return None
        return self._median(line.name, "stock", "seconds") / self._median(line.name, "ours", "seconds")

    def _of(self, line: str, side: str) -> list[Measurement]:
        return [found for found in self.measurements if (found.line, found.side) == (line, side)]

    def _median(self, line: str, side: str, column: str) -> float:
        found = self._of(line, side)
        return float(median(getattr(one if hasattr(one, column) else one.traffic, column) for one in found))


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
