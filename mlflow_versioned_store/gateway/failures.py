"""The errors that S3 clients know, and what becomes of ours."""

from __future__ import annotations

from mlflow_versioned_store.errors import (
    AccessDenied,
    InvalidInput,
    NotFound,
    Throttled,
    Unavailable,
    VersionedStoreError,
)


class S3Error(Exception):
    """What goes wrong with a request, in the terms of S3.

    Args:
        status: The HTTP status.
        code: S3's code.
        message: What happened, for people.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def denied(message: str) -> S3Error:
    """Return a refusal."""
    return S3Error(403, "AccessDenied", message)


def invalid(message: str) -> S3Error:
    """Return a complaint about an argument."""
    return S3Error(400, "InvalidArgument", message)


def no_such_key(key: str) -> S3Error:
    """Return that nothing is there."""
    return S3Error(404, "NoSuchKey", f"There is no object {key!r}.")


def from_ours(error: VersionedStoreError) -> S3Error:
    """Return what an error of the store is to an S3 client; keys and paths of the store stay in its log."""
    match error:
        case NotFound():
            return S3Error(404, "NoSuchKey", "There is no such object.")
        case InvalidInput():
            return invalid("The key or version id can never name an object of this store.")
        case AccessDenied():
            return denied("The gateway's own credentials do not reach these bytes.")
        case Throttled():
            return S3Error(503, "SlowDown", "The store asks for fewer requests.")
        case Unavailable():
            return S3Error(503, "ServiceUnavailable", "The store cannot be reached at the moment.")
    return S3Error(500, "InternalError", "The stored bytes are not what was committed; the gateway's log says more.")


def internal() -> S3Error:
    """Return that the gateway itself failed."""
    return S3Error(500, "InternalError", "The gateway failed; its log says more.")
