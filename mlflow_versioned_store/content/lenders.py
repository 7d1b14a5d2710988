"""Whole objects of a store that frames borrow their bytes from. Pure encoding, no I/O."""

from __future__ import annotations

from typing import NamedTuple

from mlflow_versioned_store.backends.contract import ObjectInfo
from mlflow_versioned_store.errors import Damaged, InvalidInput
from mlflow_versioned_store.roots import clean_path

_BYTES_MAX = 1 << 50


class Lender(NamedTuple):
    """An object that was not written as a pack, in exactly the state in which its chunks were noted.

    Args:
        key: Its key, inside the store.
        s3_version_id: Its object version; "" where the bucket keeps none.
        size: Its bytes.
        e_tag: The entity tag that it must still have; "" where the version id decides, or the server tells none.
    """

    key: str
    s3_version_id: str
    size: int
    e_tag: str

    def __str__(self) -> str:
        return f"adopted object {self.key}"

    @property
    def identity(self) -> str:
        """What tells its bytes from all others of the store."""
        return f"{self.key}?{self.s3_version_id}&{self.e_tag}"

    def is_still(self, info: ObjectInfo) -> bool:
        """Tell whether an object is the one that was noted."""
        return info.size == self.size and (not self.e_tag or info.e_tag in (None, self.e_tag))

    @classmethod
    def checked(cls, value: object) -> Lender:
        """Return the lender in a decoded record.

        Raises:
            Damaged: It is none, or breaks a limit of the format.
        """
        match value:
            case [str() as key, str() as s3_version_id, int() as size, str() as e_tag] if (
                _is_clean(key) and 0 < size <= _BYTES_MAX
            ):
                return cls(key, s3_version_id, size, e_tag)
        raise Damaged(f"A record names an object in a way the format does not allow: {value!r:.200}.")


def _is_clean(key: str) -> bool:
    try:
        return clean_path(key) == key != ""
    except InvalidInput:
        return False
