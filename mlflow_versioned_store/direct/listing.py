"""What lies at a place in a bucket: objects with all their versions, where the bucket keeps them, in order of keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.s3_bucket import bucket_versioning
from mlflow_versioned_store.backends.s3_versions import S3Versions
from mlflow_versioned_store.content.locations import Reference
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.roots import joined

# An object that was written before its bucket kept versions, or while that was suspended.
NULL_VERSION = "null"


class Existing(NamedTuple):
    """One version of an object.

    Args:
        reference: What leads to exactly this version.
        size: Bytes.
        modified: When it was written, UTC.
    """

    reference: Reference
    size: int
    modified: datetime


class Object(NamedTuple):
    """An object with its versions.

    Args:
        path: Its key below the place.
        versions: The oldest first.
        deleted: Whether it is deleted now.
    """

    path: str
    versions: list[Existing]
    deleted: bool = False


class Place:
    """A place in a bucket, or one object.

    Args:
        uri: "s3://bucket/prefix", "gs://…" or "az://…".

    Raises:
        InvalidInput: It is not in an object store.
    """

    def __init__(self, uri: str):
        scheme, separator, rest = uri.rstrip("/").partition("://")
        if not separator or scheme not in ("s3", "gs", "az"):
            raise InvalidInput(
                f"{uri!r} is not a place in a bucket (s3://, gs://, az://); what lies elsewhere is logged, not adopted."
            )
        self._backend: Backend
        self._backend, self.path = open_container(f"versioned-{scheme}://{rest}")
        self.uri = joined(self._backend.location, self.path)

    @property
    def container(self) -> str:
        """The bucket, such as "s3://bucket"."""
        return self._backend.location

    def object_here(self) -> bool:
        """Tell whether the place is one object rather than a folder of objects. One request."""
        return bool(self.path) and next(self._backend.list(self.path, limit=1), None) is None

    def objects(self) -> Iterator[Object]:
        """Yield the objects below the place, or the one object at it, with the path "". One request a thousand."""
        if self.container.startswith("s3://"):
            yield from self._with_versions()
        elif self.object_here():
            info = self._backend.head(self.path)
            yield Object("", [Existing(self._reference(self.path, None, info.e_tag), info.size, info.modified)])
        else:
            for info in self._backend.list(self.path):
                existing = Existing(self._reference(info.key, None, info.e_tag), info.size, info.modified)
                yield Object(self._below(info.key), [existing])

    def _with_versions(self) -> Iterator[Object]:
        keeps_versions = bucket_versioning(self._backend) != "off"
        versions = S3Versions(self.container.partition("://")[2], "", s3_config.resolve())
        listed = versions.list(self.path, exactly=self.object_here())
        for key, same in groupby(listed, key=lambda one: one.key):
            newest_first = list(same)
            kept = [
                Existing(
                    self._reference(key, one.s3_version_id if keeps_versions else None, one.e_tag),
                    one.size,
                    one.modified,
                )
                for one in reversed(newest_first)
                if not one.deleted
            ]
            yield Object(self._below(key), kept, deleted=any(one.deleted and one.current for one in newest_first))

    def _reference(self, key: str, s3_version_id: str | None, e_tag: str | None) -> Reference:
        # A version id says it all, but the null version is overwritten wherever versioning is suspended.
        needed = e_tag if s3_version_id in (None, NULL_VERSION) else None
        return Reference(f"{self.container}/{key}", s3_version_id, needed)

    def _below(self, key: str) -> str:
        return key[len(self.path) :].lstrip("/") if self.path else key
