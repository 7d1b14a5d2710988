"""Taking in what lies in a bucket already: versions that refer to the objects where they are, without a copy.

Which artifact root an object belongs to follows from its key, as for everything in a store. On a bucket that keeps
object versions each of them becomes a version, in their order; elsewhere an object is held to its entity tag and size.
What was taken in before is passed over, so adoption may be interrupted, and run again for what came since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from mlflow_versioned_store import changes
from mlflow_versioned_store.artifact_root import ArtifactRoot
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.changes import Recorded
from mlflow_versioned_store.content.borrowing import LENDER_BYTES_MIN, Borrowing
from mlflow_versioned_store.content.lenders import Lender
from mlflow_versioned_store.content.locations import Native, Reference, decode_location, encode_content
from mlflow_versioned_store.content.whole_objects import WholeObject
from mlflow_versioned_store.context import here
from mlflow_versioned_store.direct.listing import NULL_VERSION, Existing, Object, Place
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.records import DraftEntry
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.native.objects import STORE as NATIVE_STORE
from mlflow_versioned_store.pools import in_order
from mlflow_versioned_store.references import open_reference
from mlflow_versioned_store.roots import clean_path, joined, place
from mlflow_versioned_store.store import Store

_ROOTS_AT_ONCE = 8
# A commit's entries; a root of more objects has several commits.
_OBJECTS_AT_ONCE = 5000
_NAMED_MAX = 5
# So much is read before what was read is committed: what an interruption costs, and of what an index knows the rows.
_READ_AT_ONCE_BYTES = 1 << 30


@dataclass(slots=True)
class Adopted:
    """What was taken in, or would be.

    Args:
        roots: Artifact roots that have new versions.
        versions: New versions.
        size: Their bytes.
        known: Object versions that were taken in, or logged natively, before.
        deleted: Paths that are recorded as deleted, because their objects are.
        skipped: Objects that can be no artifact.
        named: Some of those.
    """

    roots: int = 0
    versions: int = 0
    size: int = 0
    known: int = 0
    deleted: int = 0
    skipped: int = 0
    named: list[str] = field(default_factory=list)

    def add(self, other: Adopted) -> None:
        """Count what was taken in elsewhere, too."""
        self.roots += other.roots
        self.versions += other.versions
        self.size += other.size
        self.known += other.known
        self.deleted += other.deleted


class Adoption(NamedTuple):
    """What to take in, and how.

    Args:
        source: The place where it lies.
        into: The path in the store that the source's own path becomes.
        write: Write; otherwise only count.
        hashed: Read every object once to record its SHA-256, and to let later uploads share its chunks.
        on_version: Is told of each version.
    """

    source: Place
    into: str
    write: bool
    hashed: bool
    on_version: Callable[[], None]


def adopt(store: Store | None, adoption: Adoption) -> Adopted:
    """Take objects in, and return what was taken in.

    Costs a listing of the source (one request a thousand objects), and for each artifact root about four requests; no
    object is read, unless it is hashed.

    Args:
        store: The store; None where there is none yet, and nothing is written.
        adoption: What to take in.

    Raises:
        AccessDenied: References to the source are not followed here; `MVS_ALLOWED_REFERENCES` allows them.
        VersionedStoreError: The source or the store could not be read or written; what was taken in stays.
    """
    found = Adopted()
    with ThreadPoolExecutor(_ROOTS_AT_ONCE, thread_name_prefix="mvs-adopt") as pool:

        def submit(piece: tuple[str, list[Object]]) -> Future[Adopted]:
            return pool.submit(_adopt_root, store, *piece, adoption)

        for one in in_order(submit, _by_root(adoption, found), at_once=2 * _ROOTS_AT_ONCE):
            found.add(one)
    return found


def _by_root(adoption: Adoption, found: Adopted) -> Iterator[tuple[str, list[Object]]]:
    """Yield artifact roots with their objects, named inside the root; a large one comes in several pieces."""
    # Objects of the store's own root lie between those of others, and are gathered.
    own: list[Object] = []
    for name, placed in groupby(_placed(adoption, found), key=lambda one: one[0]):
        objects = own if not name else []
        for _, one in placed:
            objects.append(one)
            if len(objects) == _OBJECTS_AT_ONCE:
                yield name, objects.copy()
                objects.clear()
        if name and objects:
            yield name, objects
    if own:
        yield "", own


def _placed(adoption: Adoption, found: Adopted) -> Iterator[tuple[str, Object]]:
    """Yield the objects with the artifact root that each belongs to; what can be no artifact is counted."""
    for one in adoption.source.objects():
        path = joined(adoption.into, one.path)
        if RESERVED in path.split("/"):
            continue
        try:
            clean = clean_path(path) if not path.endswith("/") else ""
        except InvalidInput:
            clean = ""
        at = place(clean)
        if not at.path:
            found.skipped += 1
            if len(found.named) < _NAMED_MAX:
                found.named.append(one.path)
            continue
        yield at.root, one._replace(path=at.path)


def _adopt_root(store: Store | None, name: str, objects: Sequence[Object], adoption: Adoption) -> Adopted:
    root = store.root(name) if store is not None else None
    known = _known(root) if root is not None else {}
    found = Adopted()
    batch = _Batch(root, hashed=adoption.hashed) if root is not None and adoption.write else None
    for one in objects:
        new = [version for version in one.versions if _name(version.reference) not in known.get(one.path, ())]
        found.known += len(one.versions) - len(new)
        new = [version for version in new if store is None or not _is_unfinished(store, version.reference)]
        found.versions += len(new)
        found.size += sum(version.size for version in new)
        gone = one.deleted and bool(new or _is_current(root, one.path))
        found.deleted += gone
        for version in new:
            if batch is not None:
                batch.add(one.path, version)
            adoption.on_version()
        if batch is not None and gone:
            batch.delete(one.path)
    found.roots = int(bool(found.versions or found.deleted))
    if batch is not None:
        batch.commit()
    return found


class _Batch:
    """Versions and deletions that one commit will record, or several where hashed ones are large."""

    def __init__(self, root: ArtifactRoot, *, hashed: bool):
        self._root = root
        self._hashed = hashed
        self._start()

    def add(self, path: str, version: Existing) -> None:
        """Record the next version of a path; a hashed one is read."""
        sha256 = _sha256(self._root, path, version, self._borrowing) if self._hashed else ""
        note = {"adopted": version.modified.isoformat(timespec="milliseconds")}
        self._recorded.append(Recorded(path, version.size, version.reference, sha256, note))
        self._read += version.size if self._hashed else 0
        if self._read >= _READ_AT_ONCE_BYTES:
            self.commit()

    def delete(self, path: str) -> None:
        """Record that a path, all of whose versions were added, is deleted."""
        self._gone.append(path)

    def commit(self) -> None:
        """Make the commit."""
        content = encode_content(self._borrowing.finish())
        context = here(self._root.name)
        drafts = []
        if self._recorded:
            entries = tuple(one.entry() for one in self._recorded)
            drafts.append(changes.draft("upload", context, entries, content))
        if self._gone:
            drafts.append(changes.draft("delete", context, tuple(DraftEntry(path) for path in self._gone)))
        if drafts:
            self._root.log.append(drafts)
        self._borrowing.settle()
        self._start()

    def _start(self) -> None:
        self._borrowing = Borrowing(self._root.domain)
        self._recorded: list[Recorded] = []
        self._gone: list[str] = []
        self._read = 0


def _known(root: ArtifactRoot) -> dict[str, set[str]]:
    """Return which object versions the versions of a root are, by path."""
    state = root.log.state()
    if not state.number:
        return {}
    known: dict[str, set[str]] = {}
    versions = [version for version in state.all_versions() if version.kind == "file" and version.readable]
    for located in root.log.locate(versions):
        location = decode_location(located.at, located.version.size)
        if isinstance(location, Native):
            uri = joined(root.store_location, location.key)
            location = Reference(uri, location.s3_version_id)
        if isinstance(location, Reference):
            known.setdefault(located.version.path, set()).add(_name(location))
    return known


def _is_unfinished(store: Store, reference: Reference) -> bool:
    """Tell whether an object was written by an upload to this store that never committed it. At most one request."""
    above = f"{store.location}/"
    if not store.settings.native or reference.s3_version_id is None or not reference.uri.startswith(above):
        return False
    versions = open_versions(store.backend)
    described = versions.describe(reference.uri[len(above) :], reference.s3_version_id) if versions else None
    return described is not None and described.metadata.get(NATIVE_STORE) == store.id


def _name(reference: Reference) -> str:
    """Return what tells an object version from every other."""
    return f"{reference.uri} {reference.s3_version_id or ''} {reference.e_tag or ''}"


def _is_current(root: ArtifactRoot | None, path: str) -> bool:
    return root is not None and root.log.state(refresh=False).get(path) is not None


def _sha256(root: ArtifactRoot, path: str, version: Existing, borrowing: Borrowing) -> str:
    """Return the SHA-256 of an object version, which is read once, and lends its chunks if it can."""
    reference = version.reference
    backend, key = open_reference(reference.uri, root.store_location)
    whole = WholeObject(
        reference.uri,
        backend,
        key,
        s3_version_id=reference.s3_version_id,
        e_tag=reference.e_tag,
        size=version.size,
        sha256="",
    )
    lender = _lender(root, path, version)
    if lender is None:
        return whole.hashed(lambda _offset, _data: None)
    return borrowing.read(lender, whole.stream())


def _lender(root: ArtifactRoot, path: str, version: Existing) -> Lender | None:
    """Return what an object version lends as; None where later uploads must not lean on it.

    Only what is at the key of its own artifact can be read by all who may read the domain.
    """
    key, reference = joined(root.name, path), version.reference
    in_place = reference.uri == joined(root.store_location, key)
    if not in_place or version.size < LENDER_BYTES_MIN or reference.s3_version_id == NULL_VERSION:
        return None
    held_to = (reference.s3_version_id or "", version.size, reference.e_tag or "")
    domain = root.domain
    return Lender(key, *held_to) if domain.dedup and not domain.own_key and (held_to[0] or held_to[2]) else None
