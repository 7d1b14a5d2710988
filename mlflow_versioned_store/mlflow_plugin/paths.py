"""Artifact URIs and paths as MLflow passes them, made clean or refused."""

from __future__ import annotations

import os
import posixpath
from typing import NamedTuple

from mlflow_versioned_store.backends.opening import parse
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.roots import clean_path


class Location(NamedTuple):
    """Where a repository is.

    Args:
        uri: Its URI.
        anchor: The part of it before its first "..", where there is one: both must lie in one store, so that nobody
            climbs from a path of one store into another.
    """

    uri: str
    anchor: str | None


def location(artifact_uri: str) -> Location:
    """Return where the repository at `artifact_uri` is.

    Raises:
        InvalidInput: It is no URI of ours, has a query or a fragment, or ".." leads out of its bucket or file system.
    """
    for mark in "?#":
        if mark in artifact_uri:
            raise InvalidInput(
                f"The artifact URI {artifact_uri!r} contains {mark!r}. Options go into environment variables, and a"
                " version into the path, as in data/train.csv@v2. A file with such a name is downloaded by run id"
                " together with its folder."
            )
    parse(artifact_uri)
    parts = artifact_uri.split("/")
    # MLflow asks for `d/../d/a.txt` by building a repository at `…/d/../d`.
    return Location(artifact_uri, "/".join(parts[: parts.index("..")]) if ".." in parts else None)


def reading(path: str | os.PathLike[str] | None) -> str:
    """Return an artifact path to read, list or delete; "" for the repository itself.

    Raises:
        InvalidInput: The path is absolute or leads out of the repository.
    """
    text = os.fspath(path) if path is not None else ""
    normal = posixpath.normpath(text) if text else "."
    if normal.startswith("/") or normal.split("/", 1)[0] == "..":
        raise InvalidInput(f"The artifact path {text!r} leads out of the repository; use a path below it.")
    return "" if normal == "." else normal


def writing(folder: str | os.PathLike[str] | None) -> str:
    """Return the folder to log into; "" for the repository itself.

    Raises:
        InvalidInput: The path is not made of plain names with "/" between them.
    """
    text = os.fspath(folder) if folder is not None else ""
    if os.sep != "/":
        # MLflow joins artifact paths with the operating system's separator in places.
        text = text.replace(os.sep, "/")
    if text.startswith("/"):
        raise InvalidInput(f"Invalid artifact path: {text!r}. It must be relative, such as 'data/raw'.")
    return clean_path(text)
