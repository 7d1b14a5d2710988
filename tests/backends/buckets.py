"""Buckets as tests open them."""

from __future__ import annotations

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.s3 import open_s3
from mlflow_versioned_store.backends.s3_config import resolve


def once(bucket: str = "some-bucket") -> Backend:
    """Return a bucket without the wrappers, so that every request is sent once."""
    return open_s3(bucket, resolve())
