"""Every version as a file for tools that know nothing of MLflow: the file systems that fsspec finds by URI scheme.

    pandas.read_csv("versioned-s3://bucket/prefix/1/<run>/artifacts/data/train.csv@v2")
    fsspec.open("versioned-s3://bucket/prefix/1/<run>/artifacts/notes.txt", "w")

There is a class for each scheme, since fsspec takes one class with one set of options for one file system.
"""

from __future__ import annotations

from mlflow_versioned_store.filesystem.base import VersionedFileSystem
from mlflow_versioned_store.filesystem.of_mlflow import ModelsFileSystem, RunsFileSystem

__all__ = [
    "AzureFileSystem",
    "FilesFileSystem",
    "GcsFileSystem",
    "HdfsFileSystem",
    "MemoryFileSystem",
    "ModelsFileSystem",
    "RunsFileSystem",
    "S3FileSystem",
    "VersionedFileSystem",
]


class S3FileSystem(VersionedFileSystem):
    """Stores in S3 and what speaks its protocol: `versioned-s3://bucket/path`."""

    protocol = "versioned-s3"


class GcsFileSystem(VersionedFileSystem):
    """Stores in Google Cloud Storage: `versioned-gs://bucket/path`."""

    protocol = "versioned-gs"


class AzureFileSystem(VersionedFileSystem):
    """Stores in Azure Blob Storage: `versioned-az://container/path`."""

    protocol = "versioned-az"


class HdfsFileSystem(VersionedFileSystem):
    """Stores in HDFS: `versioned-hdfs:///path`."""

    protocol = "versioned-hdfs"
    root_marker = "/"


class FilesFileSystem(VersionedFileSystem):
    """Stores in local or mounted directories: `versioned-file:///path`."""

    protocol = "versioned-file"
    root_marker = "/"


class MemoryFileSystem(VersionedFileSystem):
    """Stores of this process: `versioned-memory://name/path`."""

    protocol = "versioned-memory"
