"""MLflow's progress bar, in bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from mlflow.utils.file_utils import ArtifactProgressBar

DELAY_SECONDS = 2.0


class TransferBar:
    """A progress bar for one transfer, shown once it has lasted `DELAY_SECONDS`; until then it costs nothing.

    It is MLflow's own bar, so `MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR` and an absent tqdm are respected. Safe from many
    threads.

    Args:
        title: What is shown in front of the bar.
        total: Returns the bytes to transfer; asked once the bar is shown.
    """

    def __init__(self, title: str, total: Callable[[], int]):
        self._title = title
        self._total = total
        self._done = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._bar: ArtifactProgressBar | None = None

    def add(self, size: int, /) -> None:
        """Count `size` more bytes as transferred."""
        with self._lock:
            self._done += size
            if self._bar is None:
                if time.monotonic() - self._started >= DELAY_SECONDS:
                    self._show()
            elif self._bar.pbar is not None:
                self._bar.pbar.update(size)

    def close(self) -> None:
        """Leave the bar as it is."""
        with self._lock:
            if self._bar is not None and self._bar.pbar is not None:
                self._bar.pbar.close()

    def _show(self) -> None:
        self._bar = ArtifactProgressBar(
            self._title,
            total=self._total(),
            step=1,
            initial=self._done,
            unit="iB",
            unit_scale=True,
            unit_divisor=1024,
        )
        self._bar.set_pbar()  # type: ignore[no-untyped-call]
