"""One archive that tells support what a checkup found, and no secret.

What goes in is chosen here, piece by piece; and whatever goes in is searched for the secrets of this process, which
may stand in what a server answered.
"""

from __future__ import annotations

import io
import json
import logging
import os
import platform
import re
import sys
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from mlflow_versioned_store.catalog.checkup import Check, Checkup
from mlflow_versioned_store.catalog.configuration import redacted
from mlflow_versioned_store.errors import Conflict, LocalStorageFailed

DISTRIBUTION = "mlflow-versioned-store"
_WARNINGS_MAX = 100


def check_as_json(check: Check) -> dict[str, Any]:
    """Return a check as JSON; of an error its kind, key, request id and attempts."""
    found: dict[str, Any] = {name: getattr(check, name) for name in ("name", "status", "detail", "advice")}
    if (error := check.error) is not None:
        found["error"] = {name: getattr(error, name) for name in ("kind", "key", "request_id", "attempts")}
    return found


def versions() -> dict[str, str | None]:
    """Return the versions of Python, the system, and all packages that this one can use; None for absent ones."""
    names = {DISTRIBUTION, "mlflow", "mlflow-tracing", "botocore"}
    for requirement in metadata.requires(DISTRIBUTION) or ():
        names.add(re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0])
    found = {"python": sys.version.split()[0], "system": platform.platform()}
    return found | {name: _version(name) for name in sorted(names)}


@contextmanager
def warnings_recorded() -> Iterator[Sequence[str]]:
    """Collect what this package warns of within the block, the last 100 warnings."""
    handler = _Lines()
    logger = logging.getLogger("mlflow_versioned_store")
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)


def refuse_taken(file: str | os.PathLike[str]) -> None:
    """Refuse to write an archive where something is already.

    Raises:
        Conflict: There is.
    """
    if os.path.lexists(file):
        raise Conflict(f"{os.fspath(file)} is there already; name another file.")


def write_bundle(file: str | os.PathLike[str], checkup: Checkup, warnings: Sequence[str]) -> None:
    """Write the archive, a zip file.

    Args:
        file: Where to.
        checkup: What was found.
        warnings: What was warned of meanwhile.

    Raises:
        Conflict: There is such a file already; it is left alone.
        LocalStorageFailed: The file cannot be written.
    """
    refuse_taken(file)
    contents: dict[str, Any] = {
        "versions.json": versions(),
        "checks.json": [check_as_json(check) for check in checkup.checks],
        "configuration.json": [value._asdict() for value in checkup.values],
        "store.json": asdict(checkup.store.marker) if checkup.store is not None else None,
        "requests.json": asdict(checkup.requests),
        "warnings.json": list(warnings),
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, json.dumps(redacted(content), indent=2, ensure_ascii=False) + "\n")
    try:
        Path(file).write_bytes(made.getvalue())
    except OSError as error:
        raise LocalStorageFailed(f"Cannot write {os.fspath(file)}: {error.strerror or error}.") from error


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_WARNINGS_MAX)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(threadName)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
