"""Our errors, and the operating system's, as MLflow's: the one place where they are translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode

from mlflow_versioned_store import errors

# The nearest class of an error decides. The names become HTTP statuses in a tracking server, and its clients send a
# request again after 429 and 503 only, which is right for what those stand for here.
_CODES: dict[type[BaseException], str] = {
    errors.InvalidInput: "INVALID_PARAMETER_VALUE",
    errors.NotFound: "RESOURCE_DOES_NOT_EXIST",
    errors.Conflict: "RESOURCE_CONFLICT",
    errors.AccessDenied: "PERMISSION_DENIED",
    errors.Unavailable: "TEMPORARILY_UNAVAILABLE",
    errors.Throttled: "REQUEST_LIMIT_EXCEEDED",
    errors.Damaged: "DATA_LOSS",
    errors.Archived: "INVALID_STATE",
    errors.SourceChanged: "ABORTED",
    errors.LocalStorageFailed: "IO_ERROR",
    errors.Unsupported: "NOT_IMPLEMENTED",
    OSError: "IO_ERROR",
}
_KNOWN = frozenset(ErrorCode.keys())


@contextmanager
def translated() -> Iterator[None]:
    """Raise what goes wrong inside as an MlflowException with the fitting code, the message and the cause kept."""
    try:
        yield
    except errors.VersionedStoreError as error:
        raise MlflowException(error.message, error_code=code(error)) from error
    except OSError as error:
        message = f"A local file could not be read or written: {error}. Check free space and permissions, then repeat."
        raise MlflowException(message, error_code=code(error)) from error


def code(error: BaseException) -> int:
    """Return MLflow's number for the kind of `error`; INTERNAL_ERROR where this MLflow has no better one."""
    name = next((_CODES[cls] for cls in type(error).__mro__ if cls in _CODES), "INTERNAL_ERROR")
    number: int = ErrorCode.Value(name if name in _KNOWN else "INTERNAL_ERROR")
    return number
