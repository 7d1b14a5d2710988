"""Who may read through the gateway: access keys from a file or the environment, each with what it may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from mlflow_versioned_store.errors import InvalidInput

ACCESS_KEY_VARIABLE = "MVS_GATEWAY_ACCESS_KEY"
SECRET_KEY_VARIABLE = "MVS_GATEWAY_SECRET_KEY"  # noqa: S105 - a name, not a secret
_SECRET_LENGTH_MIN = 16


@dataclass(frozen=True, slots=True, repr=False)
class AccessKey:
    """One access key.

    Args:
        name: The access key.
        secret: Its secret.
        places: What it may read, "bucket" or "bucket/prefix"; everything where empty.
    """

    name: str
    secret: str
    places: tuple[str, ...] = ()

    def may_read(self, bucket: str, key: str) -> bool:
        """Tell whether it may read an object, or list those that begin so."""
        return not self.places or any(
            bucket == place or f"{bucket}/{key}".startswith(place if "/" in place else f"{place}/")
            for place in self.places
        )

    def may_see(self, bucket: str) -> bool:
        """Tell whether it may read anything of a bucket."""
        return not self.places or any(place.split("/", 1)[0] == bucket for place in self.places)


def from_environment() -> dict[str, AccessKey]:
    """Return the access key of the environment, if there is one."""
    name, secret = os.environ.get(ACCESS_KEY_VARIABLE), os.environ.get(SECRET_KEY_VARIABLE)
    return _checked([AccessKey(name, secret)]) if name and secret else {}


def from_file(path: str) -> dict[str, AccessKey]:
    """Return the access keys in a file.

    A line holds an access key, its secret, and what it may read where that is not everything, with blanks between:
    `analyst 0123456789abcdef sales/2026/`. Lines that begin with "#" say something to people.

    Raises:
        InvalidInput: Others than its owner may read it, or a line is not of that form.
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The access keys cannot be read from {path}: {error}.") from error
    if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
        raise InvalidInput(f"Others may read the secrets in {path}; `chmod 600 {path}` closes it.")
    keys = []
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 2:
            raise InvalidInput(f"Line {number} of {path} is not an access key, its secret and what it may read.")
        keys.append(AccessKey(fields[0], fields[1], tuple(fields[2:])))
    return _checked(keys)


def _checked(keys: Iterable[AccessKey]) -> dict[str, AccessKey]:
    checked: dict[str, AccessKey] = {}
    for key in keys:
        if key.name in checked:
            raise InvalidInput(f"The access key {key.name!r} is there twice.")
        if len(key.secret) < _SECRET_LENGTH_MIN:
            raise InvalidInput(f"The secret of {key.name!r} is shorter than {_SECRET_LENGTH_MIN} characters.")
        checked[key.name] = key
    return checked
