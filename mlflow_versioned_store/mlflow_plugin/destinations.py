"""Where downloads land on the local disk.

The local name is the path that was asked for, so `data/t.csv@v1` and `data/t.csv@v2` lie side by side in one folder,
and a client of a tracking server, which names files by the path it asks for, gets the very same names.
"""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from mlflow_versioned_store.errors import InvalidInput, NotFound

_WINDOWS_FORBIDS = re.compile(r'[<>:"|?*\\\x00-\x1f]|[. ]+(?=/|$)')
# What Windows takes for a device, whatever follows the first dot.
_WINDOWS_DEVICE = re.compile(r"(?:(?<=/)|^)(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?= *(?:[./]|$))", re.IGNORECASE)


def folder(dst_path: str | os.PathLike[str]) -> str:
    """Return the absolute path of an existing directory to download into.

    Raises:
        NotFound: It does not exist.
        InvalidInput: It is no directory.
    """
    path = os.path.abspath(os.fspath(dst_path))
    if not os.path.exists(path):
        raise NotFound(f"The destination path for downloaded artifacts does not exist! Destination path: {path}")
    if not os.path.isdir(path):
        raise InvalidInput(
            f"The destination path for downloaded artifacts must be a directory! Destination path: {path}"
        )
    return path


def local_name(path: str) -> str:
    """Return an artifact path as a relative local one, with what Windows forbids in names replaced there."""
    if os.name != "nt":
        return path
    legal = _WINDOWS_FORBIDS.sub(lambda found: "_" * len(found[0]), path)
    return _WINDOWS_DEVICE.sub(lambda found: f"{found[0]}_", legal)


class Destinations:
    """Local paths below one folder, each inside it whatever the artifact is called and wherever links lead.

    Args:
        folder: An existing directory.
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._real_folder = os.path.realpath(folder)
        self._made = {"": folder}

    def file(self, path: str) -> str:
        """Return the local path for an artifact, its parent directory made."""
        parent, name = posixpath.split(local_name(path))
        return os.path.join(self._directory(parent), name)

    def directory(self, path: str) -> str:
        """Return the local path for an artifact folder, made where it is missing."""
        return self._directory(local_name(path))

    def _directory(self, relative: str) -> str:
        # Resolving links takes far longer than the rest, so each directory is looked at once.
        if relative not in self._made:
            path = os.path.join(self._folder, *relative.split("/"))
            if not Path(os.path.realpath(path)).is_relative_to(self._real_folder):
                raise InvalidInput(
                    f"The download was refused: {path!r} leads out of {self._folder!r}, through a link or '..'."
                )
            os.makedirs(path, exist_ok=True)
            self._made[relative] = path
        return self._made[relative]

    def check(self, paths: Iterable[str]) -> None:
        """Refuse artifacts that this disk cannot keep apart.

        Raises:
            InvalidInput: Two of the paths would be the same local file, or one is there under a name of another case.
        """
        seen: dict[str, str] = {}
        for path in paths:
            folded = _normal(local_name(path)).casefold()
            other = seen.setdefault(folded, path)
            if other != path and (local_name(other) == local_name(path) or self._ignores_case()):
                raise InvalidInput(
                    f"The artifacts {other!r} and {path!r} would be one file on this disk, which does not tell their"
                    " names apart; download them one by one into different folders."
                )
        if seen and os.listdir(self._folder) and self._ignores_case():
            present: dict[str, dict[str, str]] = {}
            for path in seen.values():
                self._check_present(path, present)

    def _check_present(self, path: str, present: dict[str, dict[str, str]]) -> None:
        """Refuse an artifact in whose place there is one whose name differs in case, from an earlier download."""
        there = self._folder
        for name in local_name(path).split("/"):
            if there not in present:
                names = os.listdir(there) if os.path.isdir(there) else []
                present[there] = {_normal(name).casefold(): name for name in names}
            found = present[there].get(_normal(name).casefold())
            if found is None:
                return
            there = os.path.join(there, found)
        other = Path(os.path.relpath(there, self._folder)).as_posix()
        if _normal(other) != _normal(local_name(path)):
            raise InvalidInput(
                f"The artifact {path!r} would replace {other!r} in {self._folder!r}, on a disk that does not tell their"
                " names apart; download it into another folder."
            )

    def _ignores_case(self) -> bool:
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="mvs-case-") as probe:
            head, name = os.path.split(probe.name)
            return os.path.exists(os.path.join(head, name.upper()))


def _normal(path: str) -> str:
    # Some disks return names in another form of Unicode than they were given.
    return unicodedata.normalize("NFC", path)
