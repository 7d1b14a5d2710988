"""Changes and commits, and how they are written.

A caller says what it did as a `Draft`; the log numbers it into a `Change` of a `Commit`. The object of a commit is a
sealed record (`history.sealed`) and behind it the inline frames of its changes, end to end. Where the bytes of a
version are (`at`, `content`) is the business of the content layer and opaque here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.contract import Buffer
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history import columns, sealed
from mlflow_versioned_store.history.columns import Table
from mlflow_versioned_store.history.paths import check_paths
from mlflow_versioned_store.history.sealed import Digest
from mlflow_versioned_store.history.versions import KINDS, Kind

Operation: TypeAlias = Literal[
    "upload", "delete", "restore", "consume", "annotate", "expire", "purge", "relocate", "stage"
]
Action: TypeAlias = Literal["make", "delete", "expire", "purge", "move", "annotate", "read"]

OPERATIONS: frozenset[str] = frozenset(get_args(Operation))
ACTIONS: frozenset[str] = frozenset(get_args(Action))
ACTION_OF: Mapping[str, Action] = {
    "upload": "make",
    "restore": "make",
    "delete": "delete",
    "consume": "read",
    "annotate": "annotate",
    "expire": "expire",
    "purge": "purge",
    "relocate": "move",
    "stage": "read",
}
KNOWN: frozenset[str] = frozenset({"claimed", "mlflow-login", "provider"})
NAMED_UNCHANGED_MAX = 16
VALUES_BYTES_MAX = 48 << 20

_ENTRY_BYTES = 128
# A record has up to four levels more around a draft's values than the check that is made of them.
_LEVELS_AROUND = 4

_ID = re.compile(r"[0-9a-f]{32}")


# A change may have thousands of entries, and none is ever part of a cycle: no work for the garbage collector.
class DraftEntry(msgspec.Struct, frozen=True, gc=False):
    """What a change does to one path.

    Args:
        path: The path inside the artifact root; "" (everything) only for a deletion or an annotation.
        kind: "file" or "folder". A deletion of a "folder" ends everything below it too.
        size: Bytes, for a file that is made.
        sha256: The file's digest in hex, for a file that is made; "" where nobody has read it yet.
        at: Where the bytes are; the content layer's JSON.
        version: The version meant, where one exists already (consume, expire, purge, relocate, annotate; for an
            annotation 0 is the path as such).
        note: An annotation's keys and values (a null removes a key), or what else belongs to this entry.
    """

    path: str
    kind: Kind = "file"
    size: int = 0
    sha256: str = ""
    at: Any = None
    version: int = 0
    note: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """One change as its caller made it, not yet numbered.

    Args:
        id: 32 hex digits, made once and kept over every retry: how a change recognises itself in the log.
        operation: What kind of change it is.
        entries: What happens to which path, in order.
        content: What the entries' `at` refer to; the content layer's JSON.
        frames: Bytes that travel inside the commit.
        who: Identities (user, host, program, git), each `{"name": …, "known": …}`; see `identity`.
        context: The MLflow run, experiment, model.
        note: Anything else worth recording.
        anew: Whether a version is made even where its content is current.
    """

    id: str
    operation: Operation
    entries: tuple[DraftEntry, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)
    frames: Buffer = b""
    who: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)
    anew: bool = False


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What a change did to one path, numbered.

    Args:
        path: The path.
        action: What happened: a version was made, ended by a tombstone, expired, purged, moved, annotated, read.
        version: Which version; 0 for an annotation of the path as such.
        kind: "file" or "folder".
        size: Bytes, where a version was made.
        sha256: Digest, where a file was made.
        at: Where the bytes are.
        note: An annotation.
    """

    path: str
    action: Action
    version: int
    kind: Kind = "file"
    size: int = 0
    sha256: str = ""
    at: Any = None
    note: Any = None


class Unchanged(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a change found to be current already: how many, a digest of them all, and their addresses when few.

    Args:
        count: How many.
        sha256: SHA-256 of their addresses in doubled form, sorted, one a line.
        addresses: They themselves, where they are at most 16.
    """

    count: int
    sha256: str
    addresses: tuple[str, ...] = ()


class FrameRange(msgspec.Struct, frozen=True):
    """Which of the bytes behind the record belong to a change, and their digest."""

    offset: int
    length: int
    digest: str


class PartRef(msgspec.Struct, frozen=True):
    """A part of a large table: its object's digest, its rows, its first and last path."""

    digest: str
    rows: int
    first: str
    last: str


class CheckpointRef(msgspec.Struct, frozen=True):
    """A checkpoint: which commits it folds, and the digest of its object."""

    level: int
    first: int
    number: int
    digest: str


class Change(msgspec.Struct, frozen=True):
    """A numbered change inside a commit.

    Args:
        id: The draft's id.
        operation: What kind of change it is; one that this release does not know is kept and means nothing.
        entries: What happened to which path, sorted by path; the same path in the order of the draft. Empty where
            `parts` hold them.
        parts: Where the entries of a very large change are.
        unchanged: What was current already.
        content: What the entries' `at` refer to.
        frames: Its bytes in the commit's object.
        who: Identities.
        context: The MLflow run, experiment, model.
        note: Anything else recorded.
    """

    id: str
    operation: str
    entries: tuple[Entry, ...] = ()
    parts: tuple[PartRef, ...] = ()
    unchanged: Unchanged | None = None
    content: dict[str, Any] = {}
    frames: FrameRange | None = None
    who: dict[str, Any] = {}
    context: dict[str, Any] = {}
    note: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic, immutable change of an artifact root.

    Args:
        root: The artifact root.
        number: 1, 2, 3 … without gaps.
        parent: The digest of the parent's record; "" for the first commit.
        time: When, in milliseconds since 1970 UTC, by the writer's clock and never before the parent; a reader puts
            the store's time where that is more than 5 minutes behind.
        changes: What happened.
        since: What happened since the last checkpoint and before this commit, a JSON text a commit.
        checkpoints: The checkpoints that hold for this commit, the newest first.
        record: The record as stored; what the next commit's `parent` is the digest of.
        digest: The digest of `record`.
    """

    root: str
    number: int
    parent: str
    time: int
    changes: tuple[Change, ...]
    since: tuple[bytes, ...] = ()
    checkpoints: tuple[CheckpointRef, ...] = ()
    record: bytes = b""
    digest: str = ""


class _WireChange(msgspec.Struct, omit_defaults=True):
    id: str
    operation: str
    who: dict[str, Any] = {}
    context: dict[str, Any] = {}
    note: dict[str, Any] = {}
    entries: Table | None = None
    parts: tuple[PartRef, ...] = ()
    unchanged: Unchanged | None = None
    content: dict[str, Any] = {}
    frames: FrameRange | None = None


class _WireCommit(msgspec.Struct, omit_defaults=True):
    mvs: int
    root: str
    number: int
    time: int
    parent: str = ""
    changes: list[_WireChange] = []
    checkpoints: tuple[CheckpointRef, ...] = ()
    since: list[msgspec.Raw] = []


class _WirePart(msgspec.Struct):
    mvs: int
    nonce: str
    entries: Table


def identity(name: str, known: str) -> dict[str, str]:
    """Return an identity for `Draft.who`: a name and how it is known.

    Args:
        name: The user, host, program or git commit.
        known: "claimed" by the client, by an "mlflow-login", or by the storage "provider".

    Raises:
        InvalidInput: `known` is none of these.
    """
    if known not in KNOWN:
        raise InvalidInput(f"An identity is known as {', '.join(sorted(KNOWN))}, not {known!r}.")
    return {"name": name, "known": known}


def check_draft(draft: Draft) -> int:
    """Check everything about a draft that can be checked without the log, and return about how large its record is.

    Raises:
        InvalidInput: A path, digest, size, id or value could not be read back.
    """
    if not _ID.fullmatch(draft.id):
        raise InvalidInput(f"A change's id has 32 hex digits; {draft.id!r} has not.")
    if draft.operation not in OPERATIONS:
        raise InvalidInput(f"{draft.operation!r} is no operation; use one of {', '.join(sorted(OPERATIONS))}.")
    for role, who in draft.who.items():
        if not isinstance(who, dict) or who.get("known") not in KNOWN:
            raise InvalidInput(f"The identity {role!r} does not say how it is known ({', '.join(sorted(KNOWN))}).")
    action = ACTION_OF[draft.operation]
    whole_root = action in ("delete", "annotate")
    check_paths([entry.path for entry in draft.entries if entry.path or not whole_root])
    for entry in draft.entries:
        if entry.kind not in KINDS or not 0 <= entry.size <= columns.INTEGER_MAX or entry.version < 0:
            raise InvalidInput(f"The entry for {entry.path!r} has an impossible kind, size or version.")
        digest_fits = entry.kind == "file" and keys.is_digest(entry.sha256)
        if action == "make" and entry.sha256 and not digest_fits:
            raise InvalidInput(f"The entry for {entry.path!r} has a digest that is no SHA-256, or that of a folder.")
    values = sealed.encode(
        [
            draft.content,
            draft.who,
            draft.context,
            draft.note,
            [entry.at for entry in draft.entries],
            [entry.note for entry in draft.entries],
        ]
    )
    _check_finite([entry.note for entry in draft.entries if entry.note])
    size = len(values) + sum(len(entry.path) + _ENTRY_BYTES for entry in draft.entries)
    if len(values) > VALUES_BYTES_MAX or not sealed.is_shallow(values, sealed.DEPTH_MAX - _LEVELS_AROUND):
        raise InvalidInput(
            f"The change's values take {len(values)} bytes or nest too deep for one record; log it in several calls."
        )
    return size


def _check_finite(notes: list[dict[str, Any]]) -> None:
    """Check that notes hold no number that JSON cannot write: it would become null, which removes a note."""
    try:
        json.dumps(notes, allow_nan=False, default=str)
    except ValueError as wrong:
        raise InvalidInput("JSON has no NaN and no infinity, so no note can be one; write it as a text.") from wrong


def encode_commit(commit: Commit, digest: Digest) -> bytes:
    """Return the record of `commit`; its inline frames go behind it.

    Raises:
        InvalidInput: It is beyond what a reader would accept.
    """
    wire = _WireCommit(
        mvs=sealed.FORMAT,
        root=commit.root,
        number=commit.number,
        time=commit.time,
        parent=commit.parent,
        changes=[_wire_change(change) for change in commit.changes],
        checkpoints=commit.checkpoints,
        since=[msgspec.Raw(delta) for delta in commit.since],
    )
    return sealed.seal(sealed.encode(wire), digest)


def decode_commit(data: Buffer, digest: Digest, name: str) -> tuple[Commit, int]:
    """Return the commit whose object is `data`, and where its inline frames begin.

    Args:
        data: The whole object.
        digest: The store's digest function.
        name: The object's key, for messages.

    Raises:
        Damaged: The object is not what `encode_commit` wrote, or its frames are cut short.
        Unsupported: It is of a newer format, or needs a feature that this release lacks.
    """
    with sealed.reading(name):
        text, end = sealed.unseal(data, digest)
        wire = sealed.decode(text, _WireCommit, name)
        record = bytes(memoryview(data)[:end])
        if wire.time < 0 or (wire.parent and not keys.is_digest(wire.parent)):
            raise ValueError("its time or its parent is impossible")
        commit = Commit(
            root=wire.root,
            number=wire.number,
            parent=wire.parent,
            time=wire.time,
            changes=tuple(_read_change(change) for change in wire.changes),
            since=tuple(bytes(delta) for delta in wire.since),
            checkpoints=_read_checkpoints(wire.checkpoints, wire.number),
            record=record,
            digest=digest(record),
        )
        # Frames are there whole, or not at all where a purge has removed them.
        if len(data) - end not in (0, _check_frames(commit.changes)):
            raise ValueError("its inline frames are cut short, or something else follows them")
    return commit, end


def encode_part(entries: Sequence[Entry], nonce: str, digest: Digest) -> bytes:
    """Return the object of a part of a change's entries.

    Args:
        entries: The part's entries.
        nonce: Makes the object's digest, and so its key, unlike that of any other upload.
        digest: The store's digest function.
    """
    return sealed.seal(sealed.encode(_WirePart(sealed.FORMAT, nonce, entries_table(entries))), digest)


def decode_part(data: Buffer, ref: PartRef, digest: Digest, name: str) -> tuple[Entry, ...]:
    """Return the entries in the part that `ref` names.

    Raises:
        Damaged: The object is not what `ref` names.
        Unsupported: It is of a newer format.
    """
    with sealed.reading(name):
        if digest(data) != ref.digest:
            raise ValueError("its digest is not the one that its commit names")
        text, _ = sealed.unseal(data, digest)
        entries = read_entries(sealed.decode(text, _WirePart, name).entries)
        if len(entries) != ref.rows:
            raise ValueError(f"it has {len(entries)} entries where its commit counts {ref.rows}")
    return entries


def entries_table(entries: Sequence[Entry]) -> Table:
    """Return `entries` as a table of `history.columns`."""
    table: Table = {
        "path": [entry.path for entry in entries],
        "action": columns.constant([entry.action for entry in entries]),
        "version": columns.pack_ints([entry.version for entry in entries]),
        "kind": columns.constant([entry.kind for entry in entries]),
        "size": columns.pack_ints([entry.size for entry in entries]),
        "sha256": columns.pack_digests([entry.sha256 for entry in entries]),
        "at": columns.pack_json([entry.at for entry in entries]),
        "note": columns.pack_json([entry.note for entry in entries]),
    }
    defaults = {"kind": "file", "size": 0, "sha256": "", "at": None, "note": None}
    return {name: column for name, column in table.items() if name not in defaults or column != defaults[name]}


def read_entries(table: Table) -> tuple[Entry, ...]:
    """Return the entries in `table`.

    Raises:
        ValueError, TypeError, LookupError, OverflowError: It is no such table.
    """
    rows = columns.rows_of(table)
    paths = table["path"]
    actions = columns.unpack_texts(table.get("action"), rows, "make", ACTIONS)
    whole_root = {"delete", "annotate", "read"}
    check_paths([path for path, action in zip(paths, actions, strict=True) if path or action not in whole_root])
    versions = columns.unpack_ints(table.get("version"), rows)
    kinds = columns.unpack_texts(table.get("kind"), rows, "file", KINDS)
    sizes = columns.unpack_ints(table.get("size"), rows)
    sha256, present = columns.unpack_digests(table.get("sha256"), rows)
    digests = [sha256[row * 32 : row * 32 + 32].hex() if present[row] else "" for row in range(rows)]
    places = columns.unpack_json(table.get("at"), rows)
    notes = columns.unpack_json(table.get("note"), rows)
    fields = zip(paths, actions, versions, kinds, sizes, digests, places, notes, strict=True)
    return tuple(Entry(*row) for row in fields)


def _wire_change(change: Change) -> _WireChange:
    return _WireChange(
        id=change.id,
        operation=change.operation,
        who=change.who,
        context=change.context,
        note=change.note,
        entries=entries_table(change.entries) if change.entries else None,
        parts=change.parts,
        unchanged=change.unchanged,
        content=change.content,
        frames=change.frames,
    )


def _read_change(wire: _WireChange) -> Change:
    if not _ID.fullmatch(wire.id):
        raise ValueError("a change has an impossible id")
    for part in wire.parts:
        if not keys.is_digest(part.digest) or not 0 < part.rows <= columns.ROWS_MAX:
            raise ValueError("a change names an impossible part")
    return Change(
        id=wire.id,
        operation=wire.operation,
        entries=read_entries(wire.entries) if wire.entries is not None else (),
        parts=wire.parts,
        unchanged=wire.unchanged,
        content=wire.content,
        frames=wire.frames,
        who=wire.who,
        context=wire.context,
        note=wire.note,
    )


def _read_checkpoints(refs: tuple[CheckpointRef, ...], number: int) -> tuple[CheckpointRef, ...]:
    for ref, newer in zip(refs, (None, *refs), strict=False):
        joined = ref.number < number if newer is None else ref.number == newer.first - 1
        if not keys.is_digest(ref.digest) or not 1 <= ref.first <= ref.number or not joined:
            raise ValueError("its checkpoints are impossible")
    if refs and refs[-1].first != 1:
        raise ValueError("its checkpoints do not reach back to the first commit")
    return refs


def _check_frames(changes: Sequence[Change]) -> int:
    """Return the bytes of all inline frames, which lie end to end."""
    end = 0
    for change in changes:
        if change.frames is None:
            continue
        if change.frames.offset != end or change.frames.length < 1 or not keys.is_digest(change.frames.digest):
            raise ValueError("a change names impossible inline frames")
        end += change.frames.length
    return end
