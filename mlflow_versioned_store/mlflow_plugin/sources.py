"""Local files and folders, as items of one change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
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
    return Sources([Item(joined(folder, os.path.basename(path)), path)], _size(path))


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
    size = 0
    for current, folders, files in _walk(top):
        relative = os.path.relpath(current, top)
        inside = folder if relative == os.curdir else joined(folder, relative.replace(os.sep, "/"))
        if not files and not folders and inside:
            items.append(Item(inside, None))
        for name in files:
            path = os.path.join(current, name)
            size += _size(path)
            items.append(Item(joined(inside, name), path))
    return Sources(items, size)


def _walk(top: str) -> Iterator[tuple[str, list[str], list[str]]]:
    # Without `onerror`, a directory that cannot be read would silently be missing from what is logged.
    for current, folders, files in os.walk(top, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not os.path.islink(os.path.join(current, name)))
        yield current, folders, sorted(files)


def _refuse(error: OSError) -> None:
    raise LocalStorageFailed(
        f"The directory {error.filename!r} could not be read ({error.strerror}), so nothing was logged; mend its"
        " permissions and log again.",
        key=str(error.filename),
    ) from error


def _size(path: str) -> int:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise InvalidInput(f"There is no file {path!r} to log; check the path.") from None
    except OSError as error:
        raise LocalStorageFailed(f"The file {path!r} could not be read ({error.strerror}).", key=path) from error
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise InvalidInput(f"{path!r} is {what}; log_artifact takes a file, log_artifacts a directory.")
    return status.st_size
