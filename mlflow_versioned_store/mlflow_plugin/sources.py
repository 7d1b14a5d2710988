"""Local files and folders, as items of one change."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from operator import attrgetter

from mlflow_versioned_store.errors import InvalidInput, LocalStorageFailed
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.store import Item


def file(local_file: str | os.PathLike[str], folder: str) -> Item:
    """Return one local file, to be logged into `folder`.

    Raises:
        InvalidInput: There is no such file, or it is a directory or device.
    """
    path = os.fspath(local_file)
    _check(path)
    return Item(joined(folder, os.path.basename(path)), path)


def directory(local_dir: str | os.PathLike[str], folder: str) -> list[Item]:
    """Return all files and empty folders below a local directory, sorted, to be logged into `folder`.

    Links to files are followed, links to directories left out, as MLflow's S3 repository does.

    Raises:
        InvalidInput: There is no such directory, or it contains something that is no file.
        LocalStorageFailed: A directory could not be read.
    """
    top = os.path.abspath(os.fspath(local_dir))
    if not os.path.isdir(top):
        raise InvalidInput(f"There is no directory {top!r} to log; check the path.")
    items: list[Item] = []
    _gather(top, folder, items)
    return items


def size(items: Iterable[Item]) -> int:
    """Return the bytes of all local files among `items` that are there."""
    total = 0
    for item in items:
        if isinstance(item.source, str):
            with contextlib.suppress(OSError):
                total += os.path.getsize(item.source)
    return total


def _gather(current: str, inside: str, items: list[Item]) -> None:
    """Append what is in a directory and below to `items`."""
    files, folders = _content(current)
    prefix = f"{inside}/" if inside else ""
    if inside and not files and not folders:
        items.append(Item(inside, None))
    for entry in files:
        if not entry.is_file():
            _check(entry.path)
        items.append(Item(prefix + entry.name, entry.path))
    for entry in folders:
        _gather(entry.path, prefix + entry.name, items)


def _content(folder: str) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    """Return the files and the folders directly inside a directory, each sorted."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=attrgetter("name")):
                if not entry.is_dir():
                    files.append(entry)
                elif not entry.is_symlink():
                    folders.append(entry)
    except OSError as error:
        raise LocalStorageFailed(
            f"The directory {folder!r} could not be read ({error.strerror}), so nothing was logged; mend its"
            " permissions and log again.",
            key=folder,
        ) from error
    return files, folders


def _check(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"There is no file {path!r} to log; check the path.") from None
    except OSError as error:
        raise LocalStorageFailed(f"The file {path!r} could not be read ({error.strerror}).", key=path) from error
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise InvalidInput(f"{path!r} is {what}; log_artifact takes a file, log_artifacts a directory.")
