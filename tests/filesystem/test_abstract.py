"""fsspec's own suites: copying, downloading, uploading, opening and piping as every file system does."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from mlflow_versioned_store.filesystem import VersionedFileSystem


class Fixtures(AbstractFixtures):  # type: ignore[misc]
    """Where the suites work: in an artifact root of each kind of store."""

    @pytest.fixture
    def fs(self, filesystem: VersionedFileSystem) -> VersionedFileSystem:
        """Return the file system."""
        return filesystem

    @pytest.fixture
    def fs_path(self, fs: VersionedFileSystem, root: str) -> str:
        """Return the folder in which the tests work."""
        path: str = fs._strip_protocol(root)
        return path

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        """Return what joins paths."""
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        """Folders are there where something lies in them."""
        return False


class TestCopy(AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """Copying within the file system."""


class TestGet(AbstractGetTests, Fixtures):  # type: ignore[misc]
    """Downloading."""


class TestPut(AbstractPutTests, Fixtures):  # type: ignore[misc]
    """Uploading."""


class TestOpen(AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """Opening."""


class TestPipe(AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """Writing bytes."""
