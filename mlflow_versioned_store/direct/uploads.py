"""Uploads by link: the parts of a native version go straight to the bucket, past whoever records it.

One process begins an upload and gives away a link for each part; whoever has them sends the parts; then any process
finishes it. What they must agree on travels in the upload's id: nothing is kept in between.

Nobody who records such a version has seen its bytes, so it has no SHA-256: it is held to its object version, which
never changes. That it is the content of before is known by the entity tag, which is equal where the same bytes were cut
into the same parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from mlflow_versioned_store.backends.object_versions import Described
from mlflow_versioned_store.backends.opening import open_s3_versions
from mlflow_versioned_store.backends.s3_versions import PARTS_MAX, S3Versions
from mlflow_versioned_store.changes import Item, Recorded, Stored, checked_paths
from mlflow_versioned_store.content.clock import GRACE_SECONDS
from mlflow_versioned_store.content.locations import Native, decode_location
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput, NotFound, Unsupported
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.native.objects import CHANGE, Target, VersionedObjects
from mlflow_versioned_store.native.patterns import compiled
from mlflow_versioned_store.native.uploading import Committed, Finisher, Made
from mlflow_versioned_store.store import ArtifactRoot, Store

# A provider may count an object's age from when its upload began, and what nobody committed is removed one day.
LINK_SECONDS = GRACE_SECONDS // 2
_ID = re.compile(r"([0-9a-f]{32})\.(.+)", re.DOTALL)


class Begun(NamedTuple):
    """An upload that waits for its parts.

    Args:
        id: By which it is finished or given up.
        links: Where to PUT each part, for twelve hours.
    """

    id: str
    links: list[str]


def begin(store: Store, path: str, count: int) -> Begun:
    """Begin an upload in parts. One request, and one for the bucket's versioning, once.

    Args:
        store: The store.
        path: The path inside it.
        count: How many parts there will be; each but the last has at least 5 MiB.

    Raises:
        Unsupported: The path is packed, or the bucket does not keep versions.
        InvalidInput: There can be no such path, or not as many parts.
    """
    if not 1 <= count <= PARTS_MAX:
        raise InvalidInput(f"{path!r} cannot be sent in {count} parts; choose 1 to {PARTS_MAX}, by their size.")
    versions, target = _native(store, path, uuid4().hex)
    versions.check_kept()
    upload = versions.begin_parts(target.key, VersionedObjects(versions, store.id).labels(target))
    links = [versions.link_part(target.key, upload, number, LINK_SECONDS) for number in range(1, count + 1)]
    return Begun(f"{target.change}.{upload}", links)


def finish(store: Store, path: str, upload_id: str, parts: Sequence[Mapping[str, Any]], context: Context) -> Stored:
    """Make the parts one object, and record it as a version. Asked again, it answers the same.

    Costs two requests beside the commit's, one for the object of the version before, and one for tags.

    Args:
        store: The store.
        path: The path inside it.
        upload_id: Which upload.
        parts: `PartNumber` and `ETag` of each, in order.
        context: Who makes the change, and for which run.

    Raises:
        NotFound: There is no such upload, and it made no object: it was given up.
        Unsupported: The path is packed, or the bucket does not keep versions.
        InvalidInput: A part is missing, too small, or another one than was sent.
    """
    versions, target, upload = _begun(store, path, upload_id)
    root = store.root(target.root)
    finished_before = False
    try:
        s3_version_id = versions.finish_parts(target.key, upload, parts)
    except (NotFound, Unsupported):
        # Some servers know such an upload still, and do not tell the version that it became.
        earlier = _finished_before(versions, target)
        if earlier is None:
            raise
        s3_version_id, finished_before = earlier, True
    found = versions.describe(target.key, s3_version_id)
    if found is None:
        raise NotFound(f"The object of {path!r} is gone: somebody deleted it. Log the artifact again.", key=target.key)
    current = root.log.state().get(target.path)
    unchanged = current is not None and _is_alike(versions, root, current, found)
    if finished_before or unchanged:
        known = _recorded(root, target.path, s3_version_id)
        if known is not None:
            return Stored(target.path, known.number, unchanged=True, size=known.size)
    native = Native(target.key, s3_version_id)
    if current is not None and unchanged:
        stored = Stored(target.path, current.number, unchanged=True, size=current.size)
    else:
        (stored,) = root.record([Recorded(target.path, found.size, native)], context=context)
    finisher = Finisher(store.backend, store.id, root.name)
    made, committed = Made(found.size, "", native), Committed(stored.version, stored.unchanged)
    finisher.finish(target.path, made, committed, context.run_id or "")
    return stored


def give_up(store: Store, path: str, upload_id: str) -> None:
    """Give up an upload and remove the parts that came; one that is over stays what it is. One request."""
    versions, target, upload = _begun(store, path, upload_id)
    try:
        versions.abandon_parts(target.key, upload)
    except NotFound:
        return


def _begun(store: Store, path: str, upload_id: str) -> tuple[S3Versions, Target, str]:
    match = _ID.fullmatch(upload_id)
    if match is None:
        raise InvalidInput(f"{upload_id!r:.100} is no upload of {path!r}; begin it anew.")
    versions, target = _native(store, path, match[1])
    return versions, target, match[2]


def _native(store: Store, path: str, change: str) -> tuple[S3Versions, Target]:
    """Return where a path is kept natively.

    Raises:
        Unsupported: It is packed.
    """
    at = store.place(path)
    (inside,) = checked_paths([Item(at.path, b"")])
    target = Target(at.root, inside, change)
    versions = open_s3_versions(store.backend)
    wanted = compiled(store.settings.native).fullmatch(inside) is not None
    if versions is None or not wanted or VersionedObjects(versions, store.id).obstacle(target, None):
        raise Unsupported(
            f"{path!r} is packed, so its bytes have to pass whoever packs them. Keep such paths natively, in an S3 "
            "bucket (`mvs init --native '**' URI` keeps all), to send them there directly."
        )
    return versions, target


def _finished_before(versions: S3Versions, target: Target) -> str | None:
    """Return the object version that an upload, now over, has made; None where it made none."""
    newest = versions.describe(target.key)
    if newest is not None and newest.s3_version_id != "null" and newest.metadata.get(CHANGE) == target.change:
        # Mostly it is this one, and not everybody may list versions.
        return newest.s3_version_id
    for one in versions.list(target.key, exactly=True):
        if not one.deleted and one.s3_version_id != "null":
            found = versions.describe(target.key, one.s3_version_id)
            if found is not None and found.metadata.get(CHANGE) == target.change:
                return one.s3_version_id
    return None


def _is_alike(versions: S3Versions, root: ArtifactRoot, version: Version, found: Described) -> bool:
    """Tell whether a version is an object of the same length and entity tag."""
    if version.kind != "file" or version.size != found.size:
        return False
    location = root.location(version)
    if not isinstance(location, Native) or location.s3_version_id is None:
        return False
    other = versions.describe(location.key, location.s3_version_id)
    return other is not None and other.e_tag == found.e_tag


def _recorded(root: ArtifactRoot, path: str, s3_version_id: str) -> Version | None:
    """Return the version of a path that an object version is."""
    files = [version for version in root.versions(path) if version.kind == "file" and version.readable]
    for located in root.log.locate(files):
        location = decode_location(located.at, located.version.size)
        if isinstance(location, Native) and location.s3_version_id == s3_version_id:
            return located.version
    return None
