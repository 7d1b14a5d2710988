"""fsspec file systems: which are taken, and how a rename makes a create."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.files import TEMPORARY_PREFIX
from mlflow_versioned_store.backends.fsspec_objects import FsspecBackend
from mlflow_versioned_store.errors import Conflict, NotFound, OutcomeUnknown, Unavailable, Unsupported
from mlflow_versioned_store.testing.backend_contract import BackendContract, Subject


class Renaming(LocalFileSystem):  # type: ignore[misc]
    """A file system whose rename refuses a taken name in one step, as HDFS's does."""

    protocol = "hdfs"

    def mv(self, path1: str, path2: str, *, overwrite: bool = False) -> None:
        """Rename."""
        if overwrite:
            os.replace(path1, path2)
        else:
            os.link(path1, path2)
            os.unlink(path1)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return what is known of a path, times in milliseconds."""
        found: dict[str, Any] = super().info(path, **options)
        return found | {"mtime": None, "modification_time": found["mtime"] * 1000}


@pytest.fixture
def filesystem() -> Renaming:
    """A file system."""
    return Renaming(auto_mkdir=True, skip_instance_cache=True)


@pytest.fixture
def backend(filesystem: Renaming, tmp_path: Path) -> Backend:
    """A backend on it."""
    return FsspecBackend(filesystem, str(tmp_path), location="hdfs://test")


class TestRenaming(BackendContract):
    """The whole contract, where a create is a rename."""

    @pytest.fixture
    def subject(self, filesystem: Renaming, tmp_path: Path) -> Subject:
        """The backend and the directory below it."""

        def side_put(key: str, data: bytes) -> None:
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(data)

        return Subject(
            FsspecBackend(filesystem, str(tmp_path), location="hdfs://test"),
            side_put,
            lambda key: (tmp_path / key).read_bytes(),
        )


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_file_systems_without_an_atomic_create_are_refused(protocol: str) -> None:
    """A create is never emulated: such a file system is refused by its name."""
    with pytest.raises(Unsupported, match=f"{protocol}.*in one step"):
        FsspecBackend(fsspec.filesystem(protocol), "", location="test://")


def test_a_failed_create_leaves_no_temporary_file(backend: Backend, tmp_path: Path) -> None:
    """Who loses cleans up."""
    backend.put("a/b", b"1", create=True)
    with pytest.raises(Conflict):
        backend.put("a/b", b"2", create=True)
    assert os.listdir(tmp_path / "a") == ["b"]


def test_temporary_files_are_not_listed(backend: Backend, tmp_path: Path) -> None:
    """What a killed writer left is passed over."""
    (tmp_path / f"{TEMPORARY_PREFIX}1").write_bytes(b"half")
    assert list(backend.list("")) == []


def test_a_failure_before_the_rename_is_certain(
    backend: Backend, filesystem: Renaming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the rename itself can be uncertain."""

    def fail(*_: Any, **__: Any) -> None:
        raise TimeoutError("too slow")

    monkeypatch.setattr(filesystem, "open", fail)
    with pytest.raises(Unavailable) as before:
        backend.put("a", b"", create=True)
    assert before.type is Unavailable
    monkeypatch.undo()
    monkeypatch.setattr(filesystem, "mv", fail)
    with pytest.raises(OutcomeUnknown):
        backend.put("a", b"", create=True)


def test_a_short_read_is_an_error(backend: Backend, filesystem: Renaming, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer bytes than the file's size promises are never returned."""
    backend.put("a", b"12345")
    monkeypatch.setattr(filesystem, "cat_file", lambda *_, **__: b"12")
    with pytest.raises(Unavailable, match="2 of 5 bytes"):
        backend.get("a")


def test_a_missing_container_is_not_empty(filesystem: Renaming, tmp_path: Path) -> None:
    """A listing of nothing tells an empty container from an absent one."""
    backend = FsspecBackend(filesystem, str(tmp_path / "absent"), location="hdfs://absent")
    with pytest.raises(NotFound, match="hdfs://absent does not exist"):
        list(backend.list(""))
    with pytest.raises(NotFound, match="hdfs://absent does not exist"):
        backend.folders("")
