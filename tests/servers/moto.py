"""moto: an S3 server in Python, in memory. It checks no secret, no checksum and no expiry."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tests.servers.process import Process, answers, free_port
from tests.servers.s3 import S3Server


class Moto(S3Server):
    """A moto server.

    Args:
        folder: Where its log goes.
    """

    name = "moto"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.process = Process(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            log=folder / "moto.log",
            ready=partial(answers, self.endpoint),
        )
        self.process.start()
