"""Reading a logged Parquet file as a file: one column, all of it, piece by piece.

Stock is the plain object through obstore's own fsspec file system, the fastest there is for it; ours is the version
through `versioned-s3`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

PIECE_BYTES = 1 << 20
Work = Callable[[], None]


def read_column(order: dict[str, Any]) -> Work:
    """One column of the table, by pyarrow."""
    import pyarrow.parquet as pq

    filesystem, path = _opened(order)

    def work() -> None:
        table = pq.read_table(path, columns=[order["column"]], filesystem=filesystem())
        _check(table.num_rows, order["rows"])

    return work


def read_whole(order: dict[str, Any]) -> Work:
    """All of the file by one `read()`."""
    filesystem, path = _opened(order)

    def work() -> None:
        with filesystem().open(path) as file:
            _check(len(file.read()), order["size"])

    return work


def read_on(order: dict[str, Any]) -> Work:
    """All of the file by one `read(1 MiB)` after another."""
    filesystem, path = _opened(order)

    def work() -> None:
        size = 0
        with filesystem().open(path) as file:
            while piece := file.read(PIECE_BYTES):
                size += len(piece)
        _check(size, order["size"])

    return work


def _opened(order: dict[str, Any]) -> tuple[Callable[[], Any], str]:
    """What makes the file system, which is timed, and the path in it. Imports whatever reading needs."""
    import fsspec
    import mlflow
    import obstore.fsspec

    run = mlflow.active_run()
    assert run is not None, "a worker has its run"
    scheme, _, path = f"{run.info.artifact_uri}/{order['name']}".partition("://")
    kind: Any = fsspec.get_filesystem_class(scheme) if scheme != "s3" else obstore.fsspec.FsspecStore

    def filesystem() -> Any:
        if scheme != "s3":
            return kind()
        return kind(
            "s3",
            config={
                "endpoint": os.environ["MLFLOW_S3_ENDPOINT_URL"],
                "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
                "region": os.environ["AWS_DEFAULT_REGION"],
            },
            client_options={"allow_http": True},
        )

    return filesystem, path


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{found:,} came back of {wanted:,}")


OPERATIONS = {"read_column": read_column, "read_whole": read_whole, "read_on": read_on}
