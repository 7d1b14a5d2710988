"""Looking a store over: can it be reached, may this process use it, does its server keep its word, is all set up."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Literal, TypeAlias

from mlflow_versioned_store import finding, keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.counting import Counts, counts_of
from mlflow_versioned_store.backends.files import leaving_no_folders
from mlflow_versioned_store.backends.opening import open_container, open_versions, parse
from mlflow_versioned_store.backends.probe import probe
from mlflow_versioned_store.backends.s3_bucket import Harm, bucket_versioning, check_lifecycle, find_harms
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.catalog import configuration, natives, quotas
from mlflow_versioned_store.catalog.configuration import Value
from mlflow_versioned_store.catalog.inventory import open_log
from mlflow_versioned_store.errors import (
    AccessDenied,
    CredentialsMissing,
    NoStore,
    NotFound,
    Unavailable,
    VersionedStoreError,
)
from mlflow_versioned_store.marker import check_features
from mlflow_versioned_store.native.objects import STORE
from mlflow_versioned_store.settings import read_settings
from mlflow_versioned_store.store import Store, open_store
from mlflow_versioned_store.wording import counted

Status: TypeAlias = Literal["ok", "warning", "failed"]
Right: TypeAlias = Literal["list", "create", "read", "delete"]

ENTRY_POINTS = "mlflow.artifact_repository"
ENTRY_POINT = "mlflow_versioned_store._entry:artifact_repository"
_NAMED = 3
_TO_LOOK = "s3:ListBucketVersions on the bucket"
_TO_FIX = f"{_TO_LOOK}, and s3:PutObject, s3:DeleteObject and s3:DeleteObjectVersion on the plain objects"
# Servers tell whole seconds, cut off.
_CLOCK_PRECISION, _CLOCK_WARNING, _CLOCK_FAILED = timedelta(seconds=2), timedelta(seconds=30), timedelta(minutes=5)
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
# What the providers call the permission for each thing that is tried.
_PERMISSIONS: dict[str, dict[Right, str]] = {
    "s3": {
        "list": "s3:ListBucket",
        "create": "s3:PutObject",
        "read": "s3:GetObject",
        "delete": "s3:DeleteObject",
    },
    "gs": {
        "list": "storage.objects.list",
        "create": "storage.objects.create",
        "read": "storage.objects.get",
        "delete": "storage.objects.delete",
    },
    "az": {
        "list": f"{_BLOBS}/read",
        "create": f"{_BLOBS}/add/action",
        "read": f"{_BLOBS}/read",
        "delete": f"{_BLOBS}/delete",
    },
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found.

    Args:
        name: What was checked.
        status: "ok"; "warning": it works, but somebody should know; "failed": something will not work.
        detail: What was found, one line.
        advice: What to do about it; "" where nothing is to be done.
        error: What the store answered, where a request failed.
    """

    name: str
    status: Status
    detail: str
    advice: str = ""
    error: VersionedStoreError | None = None


@dataclass(slots=True)
class Checkup:
    """What all checks of a URI found.

    Args:
        uri: The URI.
        checks: The checks in the order in which they were made; what could not be tried is not among them.
        values: The configuration in effect.
        store: The store, where there is one.
        path: The URI's path inside the store.
        root: The artifact root that the URI is in; "" for the store's own.
        requests: The requests that it took.
    """

    uri: str
    checks: list[Check] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    store: Store | None = None
    path: str = ""
    root: str = ""
    requests: Counts = field(default_factory=Counts)

    @property
    def status(self) -> Status:
        """The worst that any check found."""
        found = {check.status for check in self.checks}
        return "failed" if "failed" in found else "warning" if "warning" in found else "ok"

    def passed(self, name: str) -> bool:
        """Tell whether a check was made and found nothing wrong."""
        return any(check.name == name and check.status == "ok" for check in self.checks)

    def try_(self, name: str, work: Callable[[], Check | None], permission: str = "") -> Check | None:
        """Make a check and return what it found, which is also what the store refuses; None is no finding.

        Args:
            name: What is checked.
            work: Makes the check.
            permission: What to ask for where it is denied.
        """
        try:
            check = work()
        except VersionedStoreError as error:
            denied = isinstance(error, AccessDenied) and not isinstance(error, CredentialsMissing)
            advice = f"Grant {permission}." if denied and permission else ""
            check = Check(name, "failed", str(error), advice, error)
        if check is not None:
            self.checks.append(check)
        return check


def examine(uri: str, *, write: bool = True, fix: bool = False) -> Checkup:
    """Look a store over: the one that covers `uri`, or the place where one would be made.

    Some 60 small requests, what measuring the experiments costs that have a quota, and where paths are kept natively
    what looking at the plain objects at and below `uri` costs (`natives.look`). What is written, where an upload to
    `uri` would write its packs, is removed again; where that is not allowed one tiny object stays, and the server is
    not tested.

    Args:
        uri: Any URI in the store.
        write: Try also what writes.
        fix: Put plain objects right.
    """
    found = Checkup(uri)
    found.values = configuration.environment()
    found.try_("variables", configuration.check_variables)
    try:
        kind, _, _ = parse(uri)
        found.try_("plugin", lambda: _plugin(uri))
        found.values += configuration.connection(kind)
        container, path = open_container(uri)
    except VersionedStoreError as error:
        found.checks.append(Check("configuration", "failed", str(error), error=error))
        return found
    before = counts_of(container)
    found.checks.append(Check("configuration", "ok", f"{container.location}, path /{path}"))
    looked = found.try_(
        "store", lambda: _store(found), _permission(kind, "read", f"{container.location}/…/{keys.MARKER}")
    )
    backend = found.store.backend if found.store else ScopedBackend(container, finding.location_for(container, path))
    scratch = ScopedBackend(backend, _written_folder(found))
    if write or kind == "s3":
        found.try_("clock", lambda: _clock(scratch))
    # Who cannot get through to the bucket at all learns nothing more from trying again.
    if looked is None or not isinstance(looked.error, (CredentialsMissing, NotFound, Unavailable)):
        with _no_trace(scratch) if write else nullcontext():
            _try_rights(found, kind, scratch, write=write)
            if found.passed("delete"):
                found.try_("conditional writes", lambda: _conditional_writes(scratch))
        found.try_("bucket versioning", lambda: _versioning(backend, native=_is_native(found)))
        found.try_("lifecycle rules", lambda: _lifecycle(found, backend))
    if found.store is not None:
        store = found.store
        found.try_("settings", lambda: _settings(found, store))
        found.try_("quotas", lambda: _quotas(store))
        if _is_native(found):
            found.try_("plain objects", lambda: _natives(found, store, fix=fix), _TO_FIX)
    found.requests = counts_of(container) - before
    return found


def _plugin(uri: str) -> Check:
    scheme = uri.partition(":")[0].lower()
    points = [point for point in metadata.entry_points(group=ENTRY_POINTS) if point.name == scheme]
    advice = "Install mlflow-versioned-store into the environment that MLflow runs in."
    if not points:
        return Check("plugin", "failed", f"MLflow is not told of {scheme}:// (entry point {ENTRY_POINTS}).", advice)
    if any(point.value != ENTRY_POINT for point in points):
        others = ", ".join(sorted({point.value for point in points}))
        return Check("plugin", "failed", f"{scheme}:// leads to {others}.", f"Uninstall what claims it too. {advice}")
    for name in ("mlflow", "mlflow-skinny"):
        with suppress(metadata.PackageNotFoundError):
            ours = metadata.version("mlflow-versioned-store")
            return Check("plugin", "ok", f"{scheme}:// is registered; {name} {metadata.version(name)}, plugin {ours}")
    return Check("plugin", "failed", "MLflow is not installed here.", "Run pip install mlflow, or mlflow-skinny.")


def _store(found: Checkup) -> Check:
    try:
        found.store, found.path = open_store(found.uri)
        found.root = found.store.place(found.path).root
    except NoStore as error:
        return Check("store", "warning", str(error), "Run mvs init URI, or log something.")
    return Check("store", "ok", f"{found.store.location} is the store {found.store.id}")


def _written_folder(found: Checkup) -> str:
    """Return where an upload to the URI writes: roles may be allowed nothing else."""
    if found.store is None:
        return ""
    try:
        return keys.domain_folder(found.store.domain(found.root).name)
    except VersionedStoreError:
        # The settings forbid or hide it, which is a check of its own.
        return ""


def _is_native(found: Checkup) -> bool:
    """Tell whether paths are kept natively; settings that cannot be read are a check of their own."""
    try:
        return found.store is not None and bool(found.store.settings.native)
    except VersionedStoreError:
        return False


def _clock(backend: Backend) -> Check:
    asked = datetime.now(UTC)
    theirs = backend.now(keys.PROBES)
    apart = theirs - (asked + (datetime.now(UTC) - asked) / 2)
    seconds = apart.total_seconds()
    detail = f"this machine is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the store's clock"
    if abs(apart) <= _CLOCK_PRECISION:
        return Check("clock", "ok", "this machine agrees with the store's clock")
    if abs(apart) <= _CLOCK_WARNING:
        return Check("clock", "ok", detail)
    advice = "Set the clock (NTP). Commits are dated by it, and at 15 minutes Amazon S3 refuses requests."
    return Check("clock", "failed" if abs(apart) > _CLOCK_FAILED else "warning", detail, advice)


def _no_trace(scratch: Backend) -> AbstractContextManager[None]:
    """Let what is tried leave nothing behind; only local disks have folders that stay where files are gone."""
    scheme, _, place = scratch.location.partition("://")
    return leaving_no_folders(os.path.join(place, *keys.PROBES.split("/"))) if scheme == "file" else nullcontext()


def _try_rights(found: Checkup, kind: str, scratch: Backend, *, write: bool) -> None:
    """Try what a user of a store has to be allowed, on one scratch object."""
    key = f"{keys.PROBES}/doctor-{uuid.uuid4().hex}"

    def try_(right: Right, work: Callable[[], object], detail: str) -> None:
        def check() -> Check:
            work()
            return Check(right, "ok", detail)

        found.try_(right, check, _permission(kind, right, f"{scratch.location}/*"))

    try_("list", lambda: list(scratch.list("", limit=1)), "objects can be listed")
    if write:
        try_("create", lambda: scratch.put_named(key, b"mvs doctor"), "objects can be created")
    written = found.passed("create")
    if written or found.store is not None:
        try_("read", lambda: _read(found, scratch, key if written else None), "objects can be read")
    if written:
        found.try_("delete", lambda: _delete(scratch, key))


def _read(found: Checkup, scratch: Backend, key: str | None) -> None:
    if key is not None:
        scratch.get(key)
    if found.store is not None:
        open_log(found.store, found.root).state()


def _permission(kind: str, right: Right, place: str) -> str:
    action = _PERMISSIONS.get(kind, {}).get(right, f"permission to {right} objects")
    if kind != "s3":
        return f"{action} on {place}"
    if right == "list":
        return f"{action} on the bucket of {place}"
    # Of an object that is not there Amazon S3 tells only those who may list.
    return f"{action} on {place}" + (", and s3:ListBucket on its bucket" if right == "read" else "")


def _delete(backend: Backend, key: str) -> Check:
    try:
        backend.delete([key])
    except AccessDenied:
        detail = f"objects cannot be deleted, which no upload needs; {key} stays, and the server was not tested"
        return Check("delete", "warning", detail, "Run this with credentials that may delete to test the server.")
    with suppress(NotFound):
        backend.head(key)
        return Check("delete", "failed", f"{key} was deleted and is still there.", "Use another server.")
    return Check("delete", "ok", "objects can be deleted")


def _conditional_writes(backend: Backend) -> Check:
    result = probe(backend)
    detail = f"of many writers of one key one wins, {result.races} times of {result.races}"
    if result.uncertain:
        return Check("conditional writes", "warning", f"{detail}; {result.uncertain} got no certain answer")
    return Check("conditional writes", "ok", detail)


def _versioning(backend: Backend, *, native: bool) -> Check | None:
    status = bucket_versioning(backend)
    if status is None:
        return _versions_elsewhere(backend) if native and not backend.location.startswith("s3:") else None
    if native and status != "Enabled":
        advice = "Switch versioning of the bucket on, as `mvs init URI --native PATTERN` does; or take `native` back."
        return Check("bucket versioning", "failed", f"{status}: nothing can be logged natively.", advice)
    if status == "off":
        return Check("bucket versioning", "ok", "off")
    detail = f"{status}: what is deleted or overwritten stays as an older object version, and on the bill"
    return Check("bucket versioning", "ok", detail)


def _versions_elsewhere(backend: Backend) -> Check | None:
    versions = open_versions(backend)
    if versions is None:
        return None
    if versions.are_usable():
        return Check("bucket versioning", "ok", "kept, as natively kept paths need it")
    detail = "not kept, or not to be asked about: versions of natively kept paths have keys of their own"
    return Check("bucket versioning", "warning", detail, "`mvs init URI --native PATTERN` says how it is switched on.")


def _lifecycle(found: Checkup, backend: Backend) -> Check | None:
    name = "lifecycle rules"
    if check_lifecycle(backend) is None:
        return None
    if found.store is not None and _is_native(found):
        harms = find_harms(backend, "", {STORE: found.store.id}) or []
        if lost := [harm for harm in harms if harm.noncurrent or harm.deed == "archives"]:
            detail = f"{_rules(lost)} of natively kept paths, which are versions of theirs."
            return Check(name, "failed", detail, "Exclude the store from it: versions are lost otherwise.")
        if harms:
            advice = "Exclude the store from it. The versions stay, readable by their addresses."
            return Check(name, "warning", f"{_rules(harms)} of natively kept paths for plain readers.", advice)
    if older := [harm for harm in find_harms(backend, keys.RESERVED) or [] if harm.noncurrent]:
        detail = f"{_rules(older)} of packs and commits: what others deleted or overwrote comes back only until then."
        return Check(name, "warning", detail, "Let it wait for as long as `mvs repair --undelete` may be needed.")
    return Check(name, "ok", "none deletes or archives what the store keeps")


def _rules(harms: list[Harm]) -> str:
    """Say what rules do, for example: 'tidy' deletes older object versions."""
    return ", ".join(
        f"{harm.rule!r} {harm.deed} {'older object versions' if harm.noncurrent else 'objects'}" for harm in harms
    )


def _natives(found: Checkup, store: Store, *, fix: bool) -> Check:
    try:
        seen = natives.look(store, found.path, fix=fix)
    except AccessDenied as error:
        if fix:
            raise
        missing = f"No upload needs it; to look, grant {_TO_LOOK}."
        return Check("plain objects", "warning", f"not looked at: {error}", missing, error)
    told: list[str] = []
    advice: list[str] = []
    if seen.looked_at < seen.roots:
        told.append(f"looked at {seen.looked_at:,} of {counted(seen.roots, 'artifact root')}")
        advice.append("Name an experiment or a run to look at the others.")
    if seen.foreign:
        told.append(f"somebody else wrote {_some(seen.foreign)}")
        advice.append("`mvs adopt` takes in as versions what others wrote.")
    if seen.orphans:
        told.append(f"crashed uploads left {_some(seen.orphans)}")
    if seen.unsettled:
        told.append(f"plain readers get something else than the newest version of {_some(seen.unsettled)}")
    if seen.orphans or seen.unsettled:
        advice.append("`mvs doctor --fix` sees to it.")
    wrong = bool(told)
    if seen.pending:
        told.append(f"not committed yet: {_some(seen.pending)}")
    if fix:
        told.append(f"objects removed: {seen.removed:,}, keys put right: {seen.settled:,}")
    detail = "; ".join(told) or f"as their versions say, in {counted(seen.roots, 'artifact root')}"
    return Check("plain objects", "warning" if wrong else "ok", detail, " ".join(advice))


def _some(found: list[str]) -> str:
    """Say how many objects there are, and which: a few of them."""
    return f"{counted(len(found), 'object')} ({', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''})"


def _settings(found: Checkup, store: Store) -> Check:
    settings = read_settings(store.settings_log)
    check_features(settings.needs_to_read, store.location, "read")
    found.values += configuration.settings_in_words(settings, store.settings_log.state().notes(""))
    check_features((*store.marker.needs_to_write, *settings.needs_to_write), store.location, "write")
    return Check("settings", "ok", f"format {store.marker.format}, digest {store.marker.digest}")


def _quotas(store: Store) -> Check | None:
    settings = read_settings(store.settings_log)
    if not settings.quotas:
        return None
    near = quotas.near(quotas.measure_limited(store, settings))
    if not near:
        return Check("quotas", "ok", f"every experiment is below {quotas.WARNED_AT:.0%} of its quota")
    detail = "; ".join(str(one) for one in near)
    return Check("quotas", "warning", detail, "Delete or expire versions, or raise the quota (mvs settings).")
