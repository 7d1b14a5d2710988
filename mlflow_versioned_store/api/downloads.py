"""Versions as local files: none overwrites other content unasked, and what breaks off leaves complete files only."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlflow_versioned_store.artifact_root import ArtifactRoot, Folder, Progress
from mlflow_versioned_store.errors import Conflict, InvalidInput, LocalStorageFailed
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.mlflow_plugin.destinations import Destinations, local_name

_NAMED_MAX = 3


def download(
    root: ArtifactRoot, address: str, to: str | os.PathLike[str], *, force: bool, progress: Progress | None
) -> Path:
    """Write what an address leads to; see `api.stores.ArtifactRoot.download`."""
    found = root.find(address)
    path = Path(os.path.abspath(to))
    if isinstance(found, Version) and found.kind == "file":
        if path.is_dir() or os.fspath(to).endswith(("/", os.sep)):
            path /= local_name(found.path.rpartition("/")[2])
        _write(root, path.parent, {path.name: found}, force=force, progress=progress)
        return path
    below = len(found.path) + 1 if found.path else 0
    versions = found.state.walk(found.path) if isinstance(found, Folder) else [found]
    _write(root, path, {version.path[below:]: version for version in versions}, force=force, progress=progress)
    return path


def _write(
    root: ArtifactRoot, folder: Path, wanted: Mapping[str, Version], *, force: bool, progress: Progress | None
) -> None:
    """Write versions, given by their paths below a folder, which is made where it is missing."""
    files = {path: version for path, version in wanted.items() if version.kind == "file"}
    missing = {path: version for path, version in files.items() if not _is_there(folder / local_name(path), version)}
    _check_free(folder, missing, force=force)
    folders = {path if version.kind == "folder" else path.rpartition("/")[0] for path, version in wanted.items()}
    with _folders(folder, folders):
        local = Destinations(str(folder))
        local.check(wanted)
        for path in folders:
            local.directory(path)
        targets = [(version, local.file(path)) for path, version in missing.items()]
        root.download(targets, replace=force, progress=progress)


def _check_free(folder: Path, missing: Iterable[str], *, force: bool) -> None:
    taken = [path for path in missing if os.path.lexists(folder / local_name(path))]
    for path in taken:
        if os.path.isdir(folder / local_name(path)):
            raise InvalidInput(f"{folder / local_name(path)} is a directory, where a file is to go; move it away.")
    if taken and not force:
        named = ", ".join(map(repr, taken[:_NAMED_MAX])) + (", …" if len(taken) > _NAMED_MAX else "")
        raise Conflict(
            f"{folder} has {named} already, with other content, so nothing was written. Choose another destination, "
            "or force the download (--force, force=True) to replace what is there."
        )


def _is_there(file: Path, version: Version) -> bool:
    """Tell whether a local file holds a version's content."""
    try:
        if not file.is_file() or file.stat().st_size != version.size:
            return False
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == version.sha256
    except OSError as error:
        raise LocalStorageFailed(
            f"{file} cannot be read: {error.strerror}. Check the folder.", key=str(file)
        ) from error


@contextlib.contextmanager
def _folders(top: Path, below: Iterable[str]) -> Iterator[None]:
    """Make a folder; where the block breaks off, remove whichever of it and those below is new and empty."""
    paths = {top, *top.parents}
    for relative in below:
        path = top / local_name(relative)
        while path not in paths:
            paths.add(path)
            path = path.parent
    new = [path for path in paths if not path.exists()]
    try:
        top.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for path in sorted(new, reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise Conflict(f"{error.filename} is there already, and no folder; choose another destination.") from error
        if isinstance(error, PermissionError) and not hasattr(error, "kind"):
            raise LocalStorageFailed(f"{error.filename} cannot be made a folder: {error.strerror}.") from error
        raise
