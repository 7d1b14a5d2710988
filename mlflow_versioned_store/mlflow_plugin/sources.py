"""Local files and folders, as items of one change."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput, LocalStorageFailed
from mlflow_versioned_store.roots import joined
from mlflow_versioned_store.store import Item


class Sources(NamedTuple):
    """What one call logs.

    Args:
        items: Files and empty folders, by their path in the repository.
        size: Bytes in all files together.
    """

    items: list[Item]
    size: int


def file(local_file: str | os.PathLike[str], folder: str) -> Sources:
    """Return one local file, to be logged into `folder`.

    Raises:
        InvalidInput: There is no such file, or it is a directory or device.
    """
    path = os.fspath(local_file)
    return Sources([Item(joined(folder, os.path.basename(path)), path)], _size(path, partial(os.stat, path)))


def directory(local_dir: str | os.PathLike[str], folder: str) -> Sources:
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
    size = sum(_gather(top, folder, items))
    return Sources(items, size)


def _gather(current: str, inside: str, items: list[Item]) -> Iterator[int]:
    """Append what is in a directory and below to `items`; yield the size of each file."""
    files, folders = _content(current)
    prefix = f"{inside}/" if inside else ""
    if inside and not files and not folders:
        items.append(Item(inside, None))
    for entry in files:
        items.append(Item(prefix + entry.name, entry.path))
        yield _size(entry.path, entry.stat)
    for entry in folders:
        yield from _gather(entry.path, prefix + entry.name, items)


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


def _size(path: str, stat_of: Callable[[], os.stat_result]) -> int:
    try:
        status = stat_of()
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"There is no file {path!r} to log; check the path.") from None
    except OSError as error:
        raise LocalStorageFailed(f"The file {path!r} could not be read ({error.strerror}).", key=path) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InvalidInput(f"{path!r} is {what}; log_artifact takes a file, log_artifacts a directory.")
    return status.st_size
