"""New versions out of existing ones, of the same or another artifact root of a store, without moving their bytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import msgspec

from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.changes import Item, Stored, checked_paths
from mlflow_versioned_store.content import locations
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.locations import INLINE, Content, Extent, IndexName, Location, Packed
from mlflow_versioned_store.content.packs import Holder, PackName
from mlflow_versioned_store.content.upload import INLINE_STORED_MAX, upload
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Damaged, Unavailable, VersionedStoreError
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.history.records import DraftEntry, Operation
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.roots import joined

_log = logging.getLogger("mlflow_versioned_store")


class Taken(NamedTuple):
    """A version that is to be made again.

    Args:
        source: The artifact root that has it.
        version: The version.
        path: The path that it gets.
    """

    source: ArtifactRoot
    version: Version
    path: str


def take(root: ArtifactRoot, taken: Sequence[Taken], *, operation: Operation, context: Context) -> list[Stored]:
    """Make versions in an artifact root out of versions of roots of the same store, in one atomic change.

    The new versions name the objects that hold the old ones. Read and uploaded are only the bytes of another
    deduplication domain, those in packs that are about to be collected, and those inside commits that are too many for
    one. What is current already makes no new version.

    Costs one request for each commit that made the versions, one LIST and a HEAD for each pack of theirs not seen
    lately, and the commit.

    Args:
        root: The artifact root that gets the versions.
        taken: What to make; a path may occur once.
        operation: "restore" or "upload".
        context: Who makes the change, and for which run.

    Raises:
        InvalidInput: A path is not valid, reads as an address, or occurs twice or as file and folder.
        Damaged, ObjectMissing: Stored bytes are not what was committed.
        VersionedStoreError: The store refused or failed; nothing is visible of the change.
    """
    checked_paths([Item(one.path, b"" if one.version.kind == "file" else None) for one in taken])
    domain, change = root.domain, _Change()
    files = _located([one for one in taken if one.version.kind == "file"])
    unusable = _unusable(domain, {holder for file in files for holder in file.needs()})
    again = []
    for file in files:
        domains = {holder.domain for holder in file.needs() if isinstance(holder, PackName)}
        abroad = file.taken.source.name != root.name and not domains <= {domain.name}
        if abroad or not unusable.isdisjoint(file.needs()) or not change.has_room_for(file):
            again.append(file.taken)
        else:
            change.add(file)
    leaned_on = change.needs()
    uploaded = upload(domain, [one.source.open(one.version) for one in again]) if again else None
    if uploaded is not None:
        for one, stored in zip(again, uploaded.files, strict=True):
            # As a reader of the commit would find it.
            at, content = msgspec.json.decode(msgspec.json.encode([stored.at, uploaded.content]))
            change.add(_file(one, at, content, lambda: uploaded.frames))
        if _unusable(domain, leaned_on):
            raise Unavailable("Packs that this change leans on were collected meanwhile; do it again.")
    entries = [_entry(one, change.places.get(one.path)) for one in taken]
    try:
        return root.commit(operation, entries, content=change.content(), frames=bytes(change.frames), context=context)
    finally:
        if uploaded is not None:
            uploaded.settle()


@dataclass(frozen=True, slots=True)
class _File:
    """A file to make: what is taken, where its bytes are, what its extents count, and how to get inline frames."""

    taken: Taken
    location: Location
    content: Content
    frames: Callable[[], Buffer]

    def packs(self) -> list[PackName]:
        """Return the packs that its extents lie in."""
        extents = self.location.extents if isinstance(self.location, Packed) else ()
        return [self.content.packs[extent.pack] for extent in extents if extent.pack != INLINE]

    def needs(self) -> list[Holder]:
        """Return those packs, and what they may lean on."""
        packs = self.packs()
        return [*packs, *self.content.bases] if packs else []

    def inline(self) -> list[Extent]:
        """Return the extents that lie inside its commit."""
        extents = self.location.extents if isinstance(self.location, Packed) else ()
        return [extent for extent in extents if extent.pack == INLINE]


class _Change:
    """The content of one change, gathered from that of others."""

    def __init__(self) -> None:
        self.places: dict[str, Any] = {}
        self.frames = bytearray()
        self._packs: dict[PackName, int] = {}
        self._bases: dict[Holder, None] = {}
        self._indexes: dict[IndexName, None] = {}

    def has_room_for(self, file: _File) -> bool:
        """Tell whether the inline frames of a file still fit into the commit."""
        inline = sum(extent.stored for extent in file.inline())
        return not inline or len(self.frames) + inline <= INLINE_STORED_MAX

    def add(self, file: _File) -> None:
        """Gather what a commit must say of a file."""
        location = file.location
        if isinstance(location, Packed):
            frames = memoryview(file.frames()) if file.inline() else memoryview(b"")
            location = Packed(tuple(self._moved(extent, file, frames) for extent in location.extents), location.tree)
            if file.packs():
                self._bases.update(dict.fromkeys(file.content.bases))
                self._indexes.update(dict.fromkeys(file.content.indexes))
        self.places[file.taken.path] = locations.encode_location(location)

    def needs(self) -> set[Holder]:
        """Return all packs and lenders that are needed."""
        return {*self._packs, *self._bases}

    def content(self) -> dict[str, Any]:
        """Return what the places refer to."""
        return locations.encode_content(locations.content_of(self._packs, self._bases, self._indexes))

    def _moved(self, extent: Extent, file: _File, frames: memoryview) -> Extent:
        if extent.pack != INLINE:
            pack = self._packs.setdefault(file.content.packs[extent.pack], len(self._packs))
            return msgspec.structs.replace(extent, pack=pack)
        offset, run = len(self.frames), frames[extent.offset : extent.offset + extent.stored]
        self.frames += run
        return msgspec.structs.replace(extent, offset=offset)


def _located(taken: Sequence[Taken]) -> list[_File]:
    """Return the files in the order in which they were taken."""
    by_root: dict[ArtifactRoot, list[Taken]] = {}
    for one in taken:
        by_root.setdefault(one.source, []).append(one)
    files: dict[str, _File] = {}
    for source, ones in by_root.items():
        for one, found in zip(ones, source.log.locate([one.version for one in ones]), strict=True):
            place, log = found.place, source.log
            frames = partial(log.frames, place.commit, place.change)
            files[one.path] = _file(one, found.at, found.content, frames)
    return [files[one.path] for one in taken]


def _file(taken: Taken, at: Any, content: dict[str, Any], frames: Callable[[], Buffer]) -> _File:
    """Return a file whose record is checked.

    Raises:
        Damaged: It names packs that its change does not.
    """
    location, decoded = locations.decode_location(at, taken.version.size), locations.decode_content(content)
    if isinstance(location, Packed) and any(extent.pack >= len(decoded.packs) for extent in location.extents):
        raise Damaged(f"{_name(taken)}: its commit names fewer packs than it needs. Verify the log.")
    return _File(taken, location, decoded, frames)


def _unusable(domain: Domain, holders: Iterable[Holder]) -> set[Holder]:
    """Return which packs and lenders may not be leaned on; all, where that cannot be told."""
    wanted = set(holders)
    try:
        return domain.sightings.unusable(wanted)
    except VersionedStoreError as error:
        _log.warning("Bytes are read and stored again, since nobody can say which packs may be used: %s", error)
        return wanted


def _entry(taken: Taken, at: Any) -> DraftEntry:
    version = taken.version
    return DraftEntry(taken.path, version.kind, version.size, version.sha256, at, note={"from": _name(taken)})


def _name(taken: Taken) -> str:
    return joined(taken.source.name, format_address(taken.version.path, taken.version.number))
