"""MLflow's progress bar, in bytes."""

from __future__ import annotations

import threading

from mlflow.utils.file_utils import ArtifactProgressBar

DELAY_SECONDS = 2.0


class TransferBar:
    """A progress bar for one transfer, shown once it has lasted `DELAY_SECONDS`.

    It is MLflow's own bar, so `MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR` and an absent tqdm are respected. Safe from many
    threads.

    Args:
        title: What is shown in front of the bar.
        total: Bytes to transfer.
    """

    def __init__(self, title: str, total: int):
        self._lock = threading.Lock()
        self._bar = ArtifactProgressBar(
            title, total=total, step=1, unit="iB", unit_scale=True, unit_divisor=1024, delay=DELAY_SECONDS
        )
        self._bar.set_pbar()  # type: ignore[no-untyped-call]

    def add(self, bytes_done: int) -> None:
        """Count `bytes_done` more bytes as transferred."""
        # MLflow's own `update` draws at once, whatever the delay.
        if self._bar.pbar is not None:
            with self._lock:
                self._bar.pbar.update(bytes_done)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar.pbar is not None:
            with self._lock:
                self._bar.pbar.close()
