"""Which artifact root a path of a store belongs to: a pure function of the path.

MLflow builds a repository at any prefix: a run, a directory of it, the parent of one file, the destination of a
server. So the root is read off the path itself, at the first match from the left:

    1/<32 hex>/artifacts/data/a.csv        root "1/<32 hex>/artifacts", path "data/a.csv"
    1/models/m-<hex>/artifacts/MLmodel     root "1/models/m-<hex>/artifacts", path "MLmodel"
    1/traces/tr-<hex>/artifacts/traces.json
    anything/else.csv                      root "" (the store's own), path "anything/else.csv"
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.keys import RESERVED

_RUN = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"m-[0-9a-f]+")
# MLflow 2 names traces like runs.
_TRACE = re.compile(r"tr-[0-9a-f]+|[0-9a-f]{32}")
PATH_BYTES_MAX = 4096
# Whatever may be wrong with a path of ASCII characters; most have nothing of it, and thousands are checked at a time.
_ODD = re.compile(rf"(?:^|/)(?:\.{{0,2}}|{RESERVED})(?:/|$)|[\0\\]")


class Place(NamedTuple):
    """A path of a store, split at its artifact root.

    Args:
        root: The artifact root; "" is the store's own.
        path: The path inside that root; "" is the root itself.
    """

    root: str
    path: str


def place(path: str) -> Place:
    """Split a clean path inside a store (`clean_path`) into artifact root and rest."""
    parts = path.split("/") if path else []
    length = _root_length(parts)
    return Place("/".join(parts[:length]), "/".join(parts[length:]))


def place_of_address(path: str) -> Place:
    """Split a clean path that may be an address; "…/artifacts@c5/x" is "@c5/x" in that artifact root."""
    above, mark, rest = path.partition("/artifacts@")
    root = f"{above}/artifacts"
    return Place(root, f"@{rest}") if mark and place(root).root == root else place(path)


def mlflow_part(path: str) -> int:
    """Return how many leading components of `path` lie above MLflow's own part of it.

    That part is `<run>/artifacts`, `models/m-…/artifacts` or `traces/tr-…/artifacts` and what is below.
    Where there is none, all components count.
    """
    parts = path.split("/") if path else []
    for at in range(len(parts)):
        if _is_run(parts, at) or _is_grouped(parts, at):
            return at
    return len(parts)


def experiment(root: str) -> str:
    """Return the experiment that an artifact root counts for: the first component of its name.

    "" where MLflow's own part begins there: the store then is the location of one experiment.
    """
    return root.partition("/")[0] if mlflow_part(root) else ""


def clean_path(path: str) -> str:
    """Return `path` if it may name something inside a store; slashes at its ends are dropped.

    Raises:
        InvalidInput: A component is empty, ".", ".." or reserved, or the path is too long or has a NUL or a backslash.
    """
    stripped = path.strip("/")
    if _ODD.search(stripped) is None and len(stripped) <= PATH_BYTES_MAX and stripped.isascii():
        return stripped
    if not stripped:
        return ""
    if len(stripped.encode("utf-8", "surrogatepass")) > PATH_BYTES_MAX:
        raise InvalidInput(f"The path {stripped[:80]!r}… is longer than {PATH_BYTES_MAX} bytes; use a shorter name.")
    for part in stripped.split("/"):
        _check_component(part, path)
    return stripped


def root_in_words(name: str) -> str:
    """Return how messages name an artifact root."""
    return repr(name) if name else "the store's own root"


def joined(*parts: str) -> str:
    """Return the non-empty parts with "/" between them."""
    return "/".join(part for part in parts if part)


def _check_component(part: str, path: str) -> None:
    if part in ("", ".", ".."):
        raise InvalidInput(f"The path {path!r} has the component {part!r}; use plain relative names.")
    if part == RESERVED:
        raise InvalidInput(f"The path {path!r} contains {RESERVED!r}, which is reserved for the store itself.")
    if "\0" in part or "\\" in part:
        raise InvalidInput(f"The path {path!r} contains a NUL or a backslash; use '/' between plain names.")
    try:
        part.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"The path {path!r} is not valid Unicode; rename the file.") from None


def _root_length(parts: list[str]) -> int:
    for at in range(len(parts)):
        if _is_run(parts, at):
            return at + 2
        if _is_grouped(parts, at):
            return at + 3
    return 0


def _is_run(parts: list[str], at: int) -> bool:
    return at + 1 < len(parts) and parts[at + 1] == "artifacts" and _RUN.fullmatch(parts[at]) is not None


def _is_grouped(parts: list[str], at: int) -> bool:
    if at + 2 >= len(parts) or parts[at + 2] != "artifacts":
        return False
    name = parts[at + 1]
    return (parts[at] == "models" and _MODEL.fullmatch(name) is not None) or (
        parts[at] == "traces" and _TRACE.fullmatch(name) is not None
    )
