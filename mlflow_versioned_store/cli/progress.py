"""Progress bars of transfers, on a terminal's stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.wording import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from mlflow_versioned_store.artifact_root import Progress


class _Bar:
    """One bar, moved on from any thread."""

    def __init__(self, bars: Bars, task: TaskID):
        self._bars = bars
        self._task = task

    def add(self, size: int, /) -> None:
        self._bars.advance(self._task, size)

    def close(self) -> None:
        pass


def _is_watched() -> bool:
    """Tell whether somebody looks at stderr and wants bars, as MLflow's own variable says."""
    wanted = switch("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    return wanted and sys.stderr.isatty() and not output.wants_json()


@contextmanager
def transfer(title: str, total: int | None) -> Iterator[Progress | None]:
    """Show a bar while the block runs, and remove it at its end; nothing where nobody looks.

    Args:
        title: What is moved.
        total: Its bytes, where that is known.
    """
    if not _is_watched():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bar(bars, bars.add_task(printable(title), total=total))


@contextmanager
def counting(title: str) -> Iterator[Callable[[], None]]:
    """Show how many things were done while the block runs; nothing where nobody looks.

    Args:
        title: What is done.
    """
    if not _is_watched():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(printable(title), total=None)
        yield lambda: bars.advance(task)
