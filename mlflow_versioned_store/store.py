"""The facade: opening a store, its artifact roots, and what happens in them."""

from __future__ import annotations

import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from mlflow_versioned_store import creating, finding, keys
from mlflow_versioned_store.artifact_root import ArtifactRoot, Child, Folder, Item, Progress, Stored
from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.opening import open_versions
from mlflow_versioned_store.content.blocks import Stream
from mlflow_versioned_store.content.clock import HELP_SECONDS, elapsed
from mlflow_versioned_store.content.directories import Directories
from mlflow_versioned_store.content.domain import Domain, Recent
from mlflow_versioned_store.content.download import Reader
from mlflow_versioned_store.content.sightings import Sightings
from mlflow_versioned_store.content.workers import looking_up
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.environment import switch
from mlflow_versioned_store.errors import Unsupported, VersionedStoreError
from mlflow_versioned_store.finding import Found
from mlflow_versioned_store.history.commits import root_at
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.sealed import digest_named
from mlflow_versioned_store.marker import Marker, check_features
from mlflow_versioned_store.native.patterns import compiled
from mlflow_versioned_store.native.undeleting import Undeleted, undelete
from mlflow_versioned_store.roots import Place, clean_path, experiment, place_of_address
from mlflow_versioned_store.settings import LOG_NAME, PLAIN, Settings, change_settings, read_settings

__all__ = [
    "ArtifactRoot",
    "Child",
    "Folder",
    "Item",
    "Progress",
    "Store",
    "Stored",
    "Stream",
    "create_store",
    "open_store",
]

_ROOTS_REMEMBERED = 256
# So long a store is written plainly whose settings could not be read.
_PLAIN_SECONDS = 60.0
_log = logging.getLogger("mlflow_versioned_store")
_lock = fork_safe_lock()
_stores: dict[tuple[Backend, str], Store] = {}


def open_store(uri: str, *, write: bool = False) -> tuple[Store, str]:
    """Return the store that covers an artifact URI, and the URI's path inside it.

    Stores are kept by the process and shared by its threads. A store not known yet costs one parallel round trip.

    Args:
        uri: Such as "versioned-s3://bucket/prefix/1/<run>/artifacts".
        write: Make a store where there is none, unless `MVS_CREATE=never`.

    Raises:
        NoStore: There is none.
        AccessDenied: Whether there is one may not be seen; set `MVS_STORE`.
        Unsupported: It needs a newer release, or its server lacks what a store needs.
    """
    found = creating.find_or_create(uri) if write else finding.find(uri)
    return _store(found), found.path


def create_store(uri: str, *, digest: str = "blake3") -> Store:
    """Make a store exactly at `uri`, or return the one that is there already.

    Args:
        uri: The store's location.
        digest: "blake3", or "sha256" where only approved algorithms may be used.
    """
    return _store(creating.create(uri, digest=digest))


class Store:
    """One store: a bucket, prefix or directory with a marker.

    Args:
        found: Where it is.
    """

    def __init__(self, found: Found):
        self._backend = found.backend
        self._marker = found.marker
        self._roots: OrderedDict[str, ArtifactRoot] = OrderedDict()
        self._lock = fork_safe_lock()
        # Whoever comes while the settings are read waits for them: one request, and one warning.
        self._settings_lock = fork_safe_lock()
        self._settings: Settings | None = None
        self._settings_until = 0.0
        self._sightings = Sightings(self._backend)
        self._recent = Recent()
        self.reader = Reader(self._backend, found.marker.digest, Directories(self._backend))

    @property
    def location(self) -> str:
        """Where the store is, such as "s3://bucket/prefix"."""
        return self._backend.location

    @property
    def id(self) -> str:
        """The store's own id, 32 hex digits."""
        return self._marker.id

    @property
    def marker(self) -> Marker:
        """What never changes about the store."""
        return self._marker

    @property
    def backend(self) -> Backend:
        """The store's objects."""
        return self._backend

    @property
    def recent(self) -> Recent:
        """What this process wrote to or read from the store lately."""
        return self._recent

    @cached_property
    def settings_log(self) -> Log:
        """The log of the store's settings."""
        return Log(self._backend, keys.SETTINGS_LOG, root=LOG_NAME, digest=self._marker.digest, short=True)

    @property
    def settings(self) -> Settings:
        """How the store is written, as this process found it first.

        Where that cannot be read within 2 s, the settings that lean on nothing, with one warning; a minute later it is
        tried again.

        Raises:
            Unsupported: The store needs a newer release.
        """
        with self._settings_lock:
            if self._settings is None or elapsed() >= self._settings_until:
                self._settings, self._settings_until = self._read_settings()
            return self._settings

    def keep_natively(self, patterns: Sequence[str], context: Context) -> Settings:
        """Keep the paths that match one of `patterns` as plain objects from now on; none takes the setting back.

        Where the store is in a bucket that can keep object versions, that is switched on first. Where it may not be,
        S3 refuses, and elsewhere there is a warning: each version gets a key of its own then. A few requests.

        Args:
            patterns: On the path inside an artifact root, such as "data/**/*.parquet" or "**".
            context: Who changes the setting.

        Raises:
            InvalidInput: A pattern can mean no path.
            Unsupported: The S3 bucket keeps no object versions, and cannot be made to.
        """
        compiled(patterns)
        versions = open_versions(self._backend) if patterns else None
        if versions is not None and (by_hand := versions.keep_versions()):
            _log.warning("Plain objects get a key for each version, since object versions are off: %s", by_hand)
        settings = change_settings(self.settings_log, {"native": list(patterns) or None}, context.who())
        with self._settings_lock:
            self._settings, self._settings_until = settings, math.inf
        return settings

    def undelete(self, *, since: datetime | None = None, dry_run: bool = False) -> Undeleted:
        """Bring back what somebody deleted or overwrote behind the store's back, as `aws s3 rm --recursive` does.

        Two requests a thousand object versions, and one a commit that made native versions.

        Args:
            since: Leaves what happened before as it is.
            dry_run: Only counts.

        Raises:
            Unsupported: The bucket keeps no object versions.
            AccessDenied: Versions may not be listed or removed.
        """

        def current() -> set[str]:
            return {key for name in self.roots_below("") for key in self.root(name).native_keys()}

        return undelete(self._backend, current, since=since, dry_run=dry_run)

    def place(self, path: str) -> Place:
        """Split a path of the store, or an address, into artifact root and rest."""
        return place_of_address(clean_path(path))

    def root(self, name: str) -> ArtifactRoot:
        """Return an artifact root by its name; "" is the store's own. No request."""
        with self._lock:
            root = self._roots.get(name)
            if root is None:
                root = self._roots[name] = ArtifactRoot(self, name, self._log_of(name))
                while len(self._roots) > _ROOTS_REMEMBERED:
                    self._roots.popitem(last=False)
            else:
                self._roots.move_to_end(name)
            return root

    def roots_below(self, path: str) -> list[str]:
        """Return the names of the artifact roots at or below a path that have a history, sorted.

        One request a thousand objects of their logs.
        """
        logs = {keys.log_of_commit(info.key) for info in self._backend.list(_folder_of(path))}
        return sorted(self.root_of_log(log) for log in logs if log is not None)

    def root_of_log(self, folder: str) -> str:
        """Return the name of the artifact root whose log is in a folder. No request, or one for a very long name.

        Raises:
            Damaged: The name is not in the key, and the first commit does not tell it.
        """
        return root_at(self._backend, folder, digest_named(self._marker.digest))

    def folders(self, path: str) -> list[str]:
        """Return the names directly below a path that lead to artifact roots with a history, sorted. One listing.

        Two requests more for each very long name.
        """
        folders = self._backend.folders(_folder_of(path))
        found = (self._folder_name(key) for key in folders if not key.rpartition("/")[2].startswith("_"))
        return sorted(name for name in found if name is not None)

    def domain(self, artifact_root: str, settings: Settings | None = None) -> Domain:
        """Return the deduplication domain that uploads to an artifact root use.

        Args:
            artifact_root: The root's name.
            settings: Settings other than those that this process found first.

        Raises:
            Unsupported: The store must not be written by this release.
        """
        settings = settings or self.settings
        check_features((*self._marker.needs_to_write, *settings.needs_to_write), self.location, "write")
        name = self._domain_name(settings, artifact_root)
        dedup = settings.dedup and switch("MVS_DEDUP")
        return Domain(
            self._backend,
            name,
            self._marker.chunking,
            self._marker.digest,
            self._sightings,
            self._recent,
            dedup=dedup,
            delta=dedup and settings.delta and switch("MVS_DELTA"),
            own_key=bool(self._key_name),
        )

    def _read_settings(self) -> tuple[Settings, float]:
        """Return the settings and until when they count."""
        try:
            settings = looking_up.submit(read_settings, self.settings_log).result(timeout=HELP_SECONDS)
        except Unsupported:
            raise
        except (VersionedStoreError, TimeoutError) as error:
            reason = str(error) or f"it took longer than {HELP_SECONDS:g} s"
            _log.warning("Storing plainly, since the settings of %s cannot be read: %s", self.location, reason)
            return PLAIN, elapsed() + _PLAIN_SECONDS
        check_features(settings.needs_to_read, self.location, "read")
        return settings, math.inf

    def _domain_name(self, settings: Settings, artifact_root: str) -> str:
        scope = "all"
        if settings.dedup_scope == "experiment":
            scope = f"experiment-{name}" if (name := experiment(artifact_root)) else "experiment"
        return f"{scope}-{self._key_name}" if self._key_name else scope

    @cached_property
    def _key_name(self) -> str:
        """A short name of the encryption key that uploads ask for; "" for the bucket's default."""
        if not self.location.startswith("s3://"):
            return ""
        key = s3_config.encryption_scope(s3_config.resolve())
        return f"key-{hashlib.sha256(key.encode()).hexdigest()[:16]}" if key else ""

    def _log_of(self, name: str) -> Log:
        return Log(self._backend, keys.log(name), root=name, digest=self._marker.digest)

    def _folder_name(self, folder: str) -> str | None:
        """Return the name of a folder of logs; None where only its hash is known, and no log is left to tell it."""
        name = keys.decode_component(folder.rpartition("/")[2])
        if name is None:
            logs = (keys.log_of_commit(info.key) for info in self._backend.list(folder))
            log = next((log for log in logs if log is not None), None)
            depth = folder.count("/") - keys.LOGS.count("/") - 1
            return None if log is None else self.root_of_log(log).split("/")[depth]
        return name


def _folder_of(path: str) -> str:
    """Return where the logs of the artifact roots at or below a path are."""
    return f"{keys.LOGS}/{keys.encode_path(path)}" if path else keys.LOGS


def _store(found: Found) -> Store:
    key = (found.container, found.prefix)
    with _lock:
        store = _stores.get(key)
        if store is None or store.id != found.marker.id:
            store = _stores[key] = Store(found)
        return store
