"""Artifact URIs and paths as MLflow passes them, made clean or refused."""

from __future__ import annotations

import os
import posixpath
import re
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.roots import clean_path

_URI = re.compile(r"(?P<container>[A-Za-z][A-Za-z0-9.+-]*:(?://[^/]*)?)(?P<path>.*)", re.DOTALL)


class Location(NamedTuple):
    """Where a repository is.

    Args:
        uri: Its URI, free of "." and "..".
        anchor: The part of the original URI before its first "..", where there was one: both must lie in one store,
            so that nobody climbs from a path of one store into another.
    """

    uri: str
    anchor: str | None


def location(artifact_uri: str) -> Location:
    """Return where the repository at `artifact_uri` is.

    MLflow asks for `d/../d/a.txt` by building a repository at `…/d/../d`, so ".." is resolved here.

    Raises:
        InvalidInput: The URI has a query or a fragment, or ".." leads out of its bucket or file system.
    """
    match = _URI.fullmatch(artifact_uri)
    if match is None:
        raise InvalidInput(f"{artifact_uri!r} is not a URI; write it like versioned-s3://bucket/prefix.")
    for mark in "?#":
        if mark in artifact_uri:
            raise InvalidInput(
                f"The artifact URI {artifact_uri!r} contains {mark!r}. Options go into environment variables, and a"
                " version into the path, as in data/train.csv@v2. A file with such a name is downloaded by run id"
                " together with its folder."
            )
    parts = match["path"].split("/")
    if not {".", ".."}.intersection(parts):
        return Location(artifact_uri, None)
    anchor = match["container"] + "/".join(parts[: parts.index("..")]) if ".." in parts else None
    return Location(match["container"] + _resolved(parts, artifact_uri), anchor)


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


def joined(*parts: str) -> str:
    """Return the non-empty parts with "/" between them."""
    return "/".join(part for part in parts if part)


def _resolved(parts: list[str], artifact_uri: str) -> str:
    resolved: list[str] = []
    for part in parts:
        if part == "..":
            if not any(resolved):
                raise InvalidInput(f"The artifact URI {artifact_uri!r} climbs out of its own root with '..'.")
            resolved.pop()
        elif part != ".":
            resolved.append(part)
    return "/".join(resolved)
