"""HDFS through hdfs-native, which needs no Java."""

from __future__ import annotations

import os

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.forks import ForkAwareBackend
from mlflow_versioned_store.backends.fsspec_objects import FsspecBackend
from mlflow_versioned_store.errors import InvalidInput, Unsupported


def open_hdfs() -> Backend:
    """Return the file system of the name node in `MVS_HDFS_NAMENODE` (host:port, or a name service).

    Without it the default file system of the Hadoop configuration in `HADOOP_CONF_DIR` is used. No request.

    Raises:
        InvalidInput: Neither variable is set.
        Unsupported: hdfs-native is not installed.
    """
    namenode = os.environ.get("MVS_HDFS_NAMENODE", "").removeprefix("hdfs://").rstrip("/")
    if not namenode and not os.environ.get("HADOOP_CONF_DIR"):
        raise InvalidInput("No name node is configured. Set MVS_HDFS_NAMENODE (host:port) or HADOOP_CONF_DIR.")
    return ForkAwareBackend(lambda: _hdfs_native(namenode))


def _hdfs_native(namenode: str) -> Backend:
    try:
        from hdfs_native.fsspec import HdfsFileSystem
    except ImportError as error:
        raise Unsupported("HDFS needs hdfs-native: pip install mlflow-versioned-store[hdfs].") from error

    class Literal(HdfsFileSystem):
        """Takes paths as they are; taken for URLs, they would end at a "#" or "?"."""

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

    host, _, port = namenode.partition(":")
    filesystem = Literal(host or None, int(port) if port else None, skip_instance_cache=True)
    return FsspecBackend(filesystem, "", location=f"hdfs://{namenode}")
