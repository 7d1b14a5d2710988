"""`rclone serve s3`: an S3 server that ignores conditional writes, so the one that must be refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.servers.binaries import RCLONE
from tests.servers.process import Process, free_port, listens
from tests.servers.s3 import S3Server


class RcloneS3(S3Server):
    """An rclone server.

    Args:
        folder: Where its data and its log go.
    """

    name = "rclone"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        data = folder / "data"
        data.mkdir()
        self.process = Process(
            [
                str(RCLONE.path()),
                "serve",
                "s3",
                "--addr",
                f"127.0.0.1:{port}",
                "--auth-key",
                f"{self.access_key},{self.secret_key}",
                str(data),
            ],
            log=folder / "rclone.log",
            ready=partial(listens, port),
            environment={"RCLONE_CONFIG": str(folder / "none.conf")},
        )
        self.process.start()
