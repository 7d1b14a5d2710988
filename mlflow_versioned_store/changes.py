"""Changes of an artifact root: what goes in, what is recorded, and what became of it."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from mlflow_versioned_store.content import locations
from mlflow_versioned_store.content.locations import Native, Reference
from mlflow_versioned_store.content.scan import Source
from mlflow_versioned_store.content.upload import FileContent
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.addresses import is_doubled
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.paths import ancestors, check_paths
from mlflow_versioned_store.history.records import Draft, DraftEntry, Operation
from mlflow_versioned_store.roots import clean_path


# Of these two a change may have tens of thousands, too: no work for the garbage collector.
class Item(msgspec.Struct, frozen=True, gc=False):
    """Something to upload.

    Args:
        path: Where to, inside the artifact root.
        source: A local path, bytes or a readable binary stream; None for an empty folder.
    """

    path: str
    source: Source | None


class Stored(msgspec.Struct, frozen=True, gc=False):
    """What became of an item.

    Args:
        path: Its path.
        version: Its version.
        unchanged: Whether that version was current already.
        size: Its bytes.
    """

    path: str
    version: int
    unchanged: bool
    size: int


class Recorded(NamedTuple):
    """A version to make of an object that exists already.

    Args:
        path: Its path.
        size: Its bytes.
        location: The object: of the store (`Native`) or elsewhere (`Reference`).
        sha256: Its SHA-256, hex; "" where nobody has read it. Such a version is never unchanged.
        note: What else belongs to it.
    """

    path: str
    size: int
    location: Native | Reference
    sha256: str = ""
    note: dict[str, Any] | None = None

    def entry(self) -> DraftEntry:
        """Return it as a change records it."""
        path, at = clean_path(self.path), locations.encode_location(self.location)
        return DraftEntry(path, "file", self.size, self.sha256, at, note=self.note)


def draft(
    operation: Operation,
    context: Context,
    entries: tuple[DraftEntry, ...],
    content: dict[str, Any] | None = None,
    frames: bytes = b"",
    change_id: str | None = None,
    *,
    anew: bool = False,
) -> Draft:
    """Return a change to be committed.

    Args:
        operation: What kind of change it is.
        context: Who makes it, and for which run.
        entries: What happens to which path, in order.
        content: What the entries' `at` refer to.
        frames: Bytes that travel inside the commit.
        change_id: Its id; by default a new one.
        anew: Make versions even where their content is current.
    """
    who, mlflow = context.who(), context.mlflow()
    change_id = change_id or uuid.uuid4().hex
    return Draft(change_id, operation, entries, content or {}, frames, who=who, context=mlflow, anew=anew)


def deletion(paths: Sequence[str], context: Context) -> Draft:
    """Return the change that ends paths and all that is below them."""
    return draft("delete", context, tuple(DraftEntry(path, "folder") for path in paths))


def stored(entries: Sequence[DraftEntry], appended: Appended) -> list[Stored]:
    """Return what became of the entries of a change that was committed."""
    return [
        Stored(entry.path, version.number if version else 0, same, entry.size)
        for entry, version, same in zip(entries, appended.versions, appended.unchanged, strict=True)
    ]


def file_entry(path: str, content: FileContent) -> DraftEntry:
    """Return an uploaded file as a change records it."""
    return DraftEntry(path, "file", content.size, content.sha256, content.at)


def checked_paths(items: Sequence[Item]) -> list[str]:
    """Return the clean paths of items that are to be made in one change.

    Raises:
        InvalidInput: A path is not valid, reads as an address, or occurs twice or as file and folder.
    """
    paths = [item.path.strip("/") for item in items]
    check_paths(paths)
    once = set(paths)
    if len(once) < len(paths):
        twice = next(path for path, count in Counter(paths).items() if count > 1)
        raise InvalidInput(f"{twice!r} cannot be uploaded twice in one change.")
    for path in paths:
        if is_doubled(path):
            raise InvalidInput(f"{path!r} would always be read as an address, for its '@@'; use a name without.")
    empty = {path for path, item in zip(paths, items, strict=True) if item.source is None}
    _check_folders(paths, once - empty)
    return paths


def _check_folders(paths: Sequence[str], files: set[str]) -> None:
    folders: set[str] = set()
    for path in paths:
        for folder in ancestors(path):
            if folder in folders:
                break
            if folder in files:
                raise InvalidInput(f"{folder!r} is uploaded as a file and as the folder of {path!r}; rename one.")
            folders.add(folder)
