"""From an artifact URI to the backend that serves it and the path inside.

    versioned-s3://bucket/exp/1          s3://bucket, "exp/1"
    versioned-file:///data/mlruns        the root directory (or drive), "data/mlruns"
    versioned-gs://bucket/exp            gs://bucket, "exp"
    versioned-az://container/exp         the account from AZURE_STORAGE_…, "exp"
    versioned-hdfs:///data/exp           the name node from MVS_HDFS_NAMENODE or HADOOP_CONF_DIR, "data/exp"
    versioned-memory://name/exp          a store of this process, "exp"

A path is taken literally: MLflow appends names to URIs as they are, so "%20" in one is a percent sign and two digits.
No address of a server is ever taken from a URI, since URIs come from clients.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, TypeVar

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.counting import CountingBackend
from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.backends.object_versions import ObjectVersions
from mlflow_versioned_store.backends.retry import RetryingBackend
from mlflow_versioned_store.errors import InvalidInput, Unsupported

if TYPE_CHECKING:
    from mlflow_versioned_store.backends.s3_versions import S3Versions

# MLflow writes "versioned-file:///data" as "versioned-file:/data" when it appends to it.
_URI = re.compile(r"versioned-(?P<kind>[a-z0-9]+):(?://(?P<container>[^/?#]*))?(?P<path>.*)", re.IGNORECASE | re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")
_MEMORY_NAME = re.compile(r"[A-Za-z0-9._-]*")

Made = TypeVar("Made")


class _Shared(Generic[Made]):
    """Things that all threads of the process share, each made by the first thread that asks.

    Who asks meanwhile waits for it, and shares its failure; nobody waits for another thing.
    """

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._made: dict[object, tuple[object, Made]] = {}
        self._making: dict[tuple[object, ...], Future[Made]] = {}

    def get(self, name: object, fingerprint: object, make: Callable[[], Made]) -> Made:
        """Return the thing of a name, made anew when its fingerprint changes; the one before is left to its users."""
        # A forked child does not wait for what a thread of its parent was making.
        key = (name, fingerprint, os.getpid())
        with self._lock:
            made = self._made.get(name)
            if made is not None and made[0] == fingerprint:
                return made[1]
            making = self._making.get(key)
            if making is None:
                mine = self._making[key] = Future()
        if making is not None:
            return making.result()
        try:
            mine.set_result(make())
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._making[key]
                if mine.exception() is None:
                    self._made[name] = (fingerprint, mine.result())
        return mine.result()


_open: _Shared[Backend] = _Shared()
_versions: _Shared[ObjectVersions | None] = _Shared()


def open_container(uri: str) -> tuple[Backend, str]:
    """Return the backend rooted at the container of `uri`, counting and retrying, and the path of `uri` inside it.

    Backends are shared by all threads of the process, and made anew when the variables or files that configure them
    change. No request, but the first look for credentials may ask a server for them.

    Raises:
        InvalidInput: `uri` is not one of ours, or its path leaves the container.
        CredentialsMissing: There are none.
        Unsupported: A package that this kind of store needs is not installed.
    """
    kind, container, path = parse(uri)
    fingerprint, make = _KINDS[kind]
    backend = _open.get((kind, container), fingerprint(), lambda: RetryingBackend(CountingBackend(make(container))))
    return backend, path


def parse(uri: str) -> tuple[str, str, str]:
    """Return the kind, the container and the path inside it of an artifact URI.

    Raises:
        InvalidInput: It is not one of ours, is relative, has a query, or its path leaves the container.
    """
    found = _URI.fullmatch(uri)
    kind = found["kind"].lower() if found else ""
    if found is None or kind not in _KINDS:
        raise InvalidInput(f"{uri!r} is no URI of a versioned store. {_what_to_write(uri)}")
    container, path = found["container"] or "", found["path"]
    if "?" in path or path.startswith("#"):
        raise InvalidInput(f"{uri!r} has a query or fragment, which means nothing here. Write versions as path@v2.")
    if path and not path.startswith("/"):
        raise InvalidInput(f"{uri!r} is relative. Write {_absolute(kind, path)}.")
    parts = _normal(path.split("/"), uri)
    if kind == "file":
        container, parts = _directory(container, parts, uri)
    elif kind == "hdfs":
        if container:
            raise InvalidInput(
                f"{uri!r} names a server. Name the name node in MVS_HDFS_NAMENODE or HADOOP_CONF_DIR, and write "
                "versioned-hdfs:///path."
            )
    elif not container and kind != "memory":
        raise InvalidInput(f"{uri!r} names no bucket or container.")
    return kind, container, "/".join(parts)


def open_versions(backend: Backend) -> ObjectVersions | None:
    """Return the object versions of a store at `backend`; None where its kind of container has none. No request.

    They need the package that the extra of their provider installs; without it there are none. Opened once for a
    process, which its threads share, and anew where the configuration changes.

    Raises:
        CredentialsMissing: There are none.
    """
    kind, _, place = backend.location.partition("://")
    if not backend.capabilities.object_versions or kind not in _VERSIONS:
        return None
    container, _, folder = place.partition("/")

    def make() -> ObjectVersions | None:
        try:
            return _VERSIONS[kind](container, folder)
        except Unsupported:
            return None

    # A forked child must not use its parent's connections.
    return _versions.get(backend.location, (os.getpid(), _KINDS[kind][0]()), make)


def open_s3_versions(backend: Backend) -> S3Versions | None:
    """Return the object versions of a store in an S3 bucket, which can do more; None elsewhere. No request."""
    from mlflow_versioned_store.backends.s3_versions import S3Versions

    versions = open_versions(backend) if backend.location.startswith("s3:") else None
    return versions if isinstance(versions, S3Versions) else None


def _what_to_write(uri: str) -> str:
    scheme, mark, _ = uri.partition("://")
    if mark and scheme.lower() in _KINDS:
        return f"Write versioned-{uri}."
    if not mark and ":" not in uri:
        return f"Write {_absolute('file', uri)} for a local path."
    return f"They begin with {', '.join(f'versioned-{kind}://' for kind in _KINDS)}."


def _absolute(kind: str, path: str) -> str:
    if kind == "file":
        path = os.path.abspath(path)
    return f"versioned-{kind}://{'/' if kind == 'hdfs' else ''}{path}"


def _normal(parts: list[str], uri: str) -> list[str]:
    normal: list[str] = []
    for part in parts:
        if part == "..":
            if not normal:
                raise InvalidInput(f"The path of {uri!r} leaves its container.")
            normal.pop()
        elif part not in ("", "."):
            normal.append(part)
    return normal


def _directory(host: str, parts: list[str], uri: str) -> tuple[str, list[str]]:
    if host not in ("", "localhost"):
        raise InvalidInput(f"{uri!r} names the host {host!r}. Write versioned-file:///path with an absolute path.")
    if os.name == "nt" and parts and _DRIVE.fullmatch(parts[0]):
        return parts[0] + "/", parts[1:]
    return "/", parts


def _file(root: str) -> Backend:
    from mlflow_versioned_store.backends.files import FilesBackend

    return FilesBackend(root)


def _s3(bucket: str) -> Backend:
    from mlflow_versioned_store.backends import s3, s3_config

    return s3.open_s3(bucket, s3_config.resolve())


def _s3_fingerprint() -> tuple[object, ...]:
    from mlflow_versioned_store.backends import s3_config

    return s3_config.fingerprint()


def _memory(name: str) -> Backend:
    from mlflow_versioned_store.backends.memory import open_memory

    if not _MEMORY_NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} cannot name a memory store: letters, digits, '.', '_' and '-' can.")
    return open_memory(name)


def _gs(bucket: str) -> Backend:
    from mlflow_versioned_store.backends.gcs import open_gcs

    return open_gcs(bucket)


def _az(container: str) -> Backend:
    from mlflow_versioned_store.backends.azure import open_azure

    return open_azure(container)


def _hdfs(_: str) -> Backend:
    from mlflow_versioned_store.backends.hdfs import open_hdfs

    return open_hdfs()


def _s3_versions(bucket: str, folder: str) -> ObjectVersions:
    from mlflow_versioned_store.backends import s3_config
    from mlflow_versioned_store.backends.s3_versions import S3Versions

    return S3Versions(bucket, folder, s3_config.resolve())


def _gs_versions(bucket: str, folder: str) -> ObjectVersions:
    from mlflow_versioned_store.backends.gcs_versions import GcsVersions

    return GcsVersions(bucket, folder)


def _az_versions(container: str, folder: str) -> ObjectVersions:
    from mlflow_versioned_store.backends.azure_account import account_from_environment
    from mlflow_versioned_store.backends.azure_versions import AzureVersions

    return AzureVersions(container, folder, account_from_environment())


def _variables(pattern: str) -> Callable[[], tuple[object, ...]]:
    relevant = re.compile(pattern)
    return lambda: tuple(item for item in os.environ.items() if relevant.match(item[0]))


_KINDS: dict[str, tuple[Callable[[], tuple[object, ...]], Callable[[str], Backend]]] = {
    "s3": (_s3_fingerprint, _s3),
    "file": (tuple, _file),
    "gs": (_variables("GOOGLE_|STORAGE_EMULATOR_HOST|CLOUDSDK_|HOME"), _gs),
    "az": (_variables("AZURE_|HOME"), _az),
    "hdfs": (_variables("HADOOP_|MVS_HDFS_|KRB5"), _hdfs),
    "memory": (tuple, _memory),
}

_VERSIONS: dict[str, Callable[[str, str], ObjectVersions]] = {
    "s3": _s3_versions,
    "gs": _gs_versions,
    "az": _az_versions,
}
