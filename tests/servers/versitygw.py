"""versitygw: a second S3 server, of another make than MinIO, on plain files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.servers.binaries import VERSITYGW
from tests.servers.process import Process, free_port, listens
from tests.servers.s3 import S3Server


class Versitygw(S3Server):
    """A versitygw server.

    Args:
        folder: Where its data and its log go.
    """

    name = "versitygw"

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        # The server changes its directory: every path has to be absolute.
        data, versions = (folder / "data").resolve(), (folder / "versions").resolve()
        data.mkdir()
        versions.mkdir()
        self.process = Process(
            [
                str(VERSITYGW.path()),
                "--port",
                f"127.0.0.1:{port}",
                "posix",
                "--versioning-dir",
                str(versions),
                str(data),
            ],
            log=folder / "versitygw.log",
            ready=partial(listens, port),
            environment={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
        )
        self.process.start()
