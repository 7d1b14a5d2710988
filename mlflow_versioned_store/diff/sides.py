"""The two sides of a comparison: local files, and versions of a store."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.content.sharing import Sharing
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.versions import Version

_SUFFIXES_KEPT = 2


class Side(Protocol):
    """One file of a comparison."""

    @property
    def label(self) -> str:
        """What the reader calls it."""

    @property
    def path(self) -> str:
        """Its path; the name says what kind of file it is."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sha256(self) -> str:
        """The digest of its content, hex."""

    def open(self) -> BinaryIO:
        """Return its content as a file to read from."""

    def local(self) -> str:
        """Return the path of a local file with its content; fetched when it is first asked for."""


class FileSide:
    """A local file.

    Args:
        file: Where it is.
        label: What the reader calls it; its path where nothing is given.
    """

    def __init__(self, file: str | os.PathLike[str], label: str | None = None):
        self._file = Path(file)
        self.label = label or str(file)
        self.path = self._file.as_posix()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._file.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """The digest of its content, hex; read when it is first asked for."""
        with self._file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def open(self) -> BinaryIO:
        """Return the file, open for reading."""
        return self._file.open("rb")

    def local(self) -> str:
        """Return where it is."""
        return str(self._file)


class VersionSide:
    """A version of a store.

    Args:
        root: Its artifact root.
        version: The version.
        folder: A local folder for a copy, which is made when one is needed; the caller removes it.
    """

    def __init__(self, root: ArtifactRoot, version: Version, folder: str | os.PathLike[str]):
        self.root = root
        self.version = version
        self._folder = folder
        self.label = format_address(version.path, version.number)
        self.path = version.path
        self.size = version.size
        self.sha256 = version.sha256

    def open(self) -> BinaryIO:
        """Return the version as a file; only what is read is fetched."""
        return cast("BinaryIO", self.root.open(self.version))

    def local(self) -> str:
        """Return the path of a local copy."""
        return self._copy

    @cached_property
    def _copy(self) -> str:
        suffixes = "".join(Path(self.path).suffixes[-_SUFFIXES_KEPT:])
        path = os.path.join(self._folder, f"{self.sha256}{suffixes}")
        if not os.path.exists(path):
            self.root.download([(self.version, os.path.abspath(path))])
        return path


def sharing_of(a: Side, b: Side) -> Sharing | None:
    """Return what the new of two sides has in common with the old one in the store, where they are versions of one."""
    if isinstance(a, VersionSide) and isinstance(b, VersionSide):
        return b.root.sharing(b.version, a.root, a.version)
    return None


def same_content(a: Side, b: Side) -> bool:
    """Tell whether two sides are known to hold the same bytes."""
    return a.sha256 == b.sha256 != ""
