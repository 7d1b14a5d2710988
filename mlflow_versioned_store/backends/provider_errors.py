"""One table from what a provider answered to the errors of this package, for every client library.

A client library's own exceptions are first taken apart into an `Answer`; what it means is decided here only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlflow_versioned_store.errors import (
    AccessDenied,
    Archived,
    Conflict,
    CredentialsMissing,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
    Unsupported,
    VersionedStoreError,
)

_NO_CONTAINER = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound"}
_BAD_CREDENTIALS = {
    "AuthenticationFailed": "the provider does not know these credentials",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "InvalidAccessKeyId": "the provider does not know this access key",
    "InvalidClientTokenId": "the provider does not know this access key",
    "InvalidToken": "the session token is not valid",
    "InvalidTokenId": "the session token is not valid",
    "SignatureDoesNotMatch": "the secret key does not match the access key",
    "TokenRefreshRequired": "the credentials have expired",
}
_THROTTLED = {"SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "TooManyRequests"}
# Answers of the client's-fault kind that the same request, sent again, may not get: mostly, bytes did not arrive as
# they were sent.
_PASSING = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InvalidDigest",
    "OperationAborted",
    "RequestTimeout",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
}
_TAKEN = {"BlobAlreadyExists", "ConditionNotMet", "PreconditionFailed", "UnauthorizedBlobOverwrite", "conditionNotMet"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a failed request.

    Args:
        status: The HTTP status; None where no answer came.
        code: The provider's error code, "" where it gave none.
        text: The provider's or the client library's own words.
        request_id: The provider's id of the request.
        sent: Whether the request may have reached the provider.
        body: The whole answer.
    """

    status: int | None
    code: str = ""
    text: str = ""
    request_id: str | None = None
    sent: bool = True
    body: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, for messages.

    Args:
        action: "read", "write", "create", "look up", "list" or "delete".
        location: The container, such as "s3://bucket".
        key: The object or folder.
    """

    action: str
    location: str
    key: str = ""

    @property
    def target(self) -> str:
        """The object's full name."""
        return f"{self.location}/{self.key}" if self.key else self.location


def error_for(answer: Answer, request: Request) -> VersionedStoreError:
    """Return the error that `answer` to `request` means."""
    kind, message = _meaning(answer, request)
    details = ", ".join(part for part in (str(answer.status or ""), answer.code) if part)
    # OSErrors among our classes take positional arguments of their own, so everything goes by keyword.
    told = answer.text and details and kind not in (Conflict, NotFound)
    text = message + (f" The provider says: {answer.text} ({details})" if told else "")
    # A container that does not exist has no objects to name, which tells it from one that lacks this object.
    key = None if answer.code in _NO_CONTAINER else request.key or None
    return kind(text, key=key, request_id=answer.request_id)


def _meaning(answer: Answer, request: Request) -> tuple[Callable[..., VersionedStoreError], str]:
    target, status, code = request.target, answer.status, answer.code
    if status is None:
        return _unanswered(answer, request)
    if code in _BAD_CREDENTIALS or status == 401:
        why = _BAD_CREDENTIALS.get(code, "no valid credentials were sent")
        return CredentialsMissing, f"Cannot {request.action} {target}: {why}. Configure or renew the credentials."
    if code == "InvalidObjectState":
        return Archived, (
            f"{target} is in an archive storage class. Restore it first (aws s3api restore-object), then try again."
        )
    if status == 403:
        return _denied(answer, request)
    if status == 404:
        if code in _NO_CONTAINER or request.action == "list" or not request.key:
            return NotFound, f"{request.location} does not exist. Check its name and the endpoint, or create it."
        return NotFound, f"There is no object {target}."
    if request.action == "create" and (status == 412 or code in _TAKEN):
        return Conflict, f"{target} exists already."
    if status == 429 or (code in _THROTTLED and request.action != "create"):
        return Throttled, f"The provider asks for fewer requests ({request.action} {target}). Try again later."
    if status == 408 or status >= 500 or code in _PASSING or (status == 409 and request.action == "create"):
        return _failed(answer, request)
    if status == 416:
        return InvalidInput, f"The range to read of {target} begins at or beyond its end."
    return InvalidInput, f"The provider refuses to {request.action} {target}."


def _denied(answer: Answer, request: Request) -> tuple[Callable[..., VersionedStoreError], str]:
    if answer.code == "RequestTimeTooSkewed":
        return AccessDenied, f"Cannot {request.action} {request.target}: this machine's clock is wrong. Set it."
    return AccessDenied, (
        f"These credentials may not {request.action} {request.target}. Ask for the permission, or use others."
    )


def _failed(answer: Answer, request: Request) -> tuple[Callable[..., VersionedStoreError], str]:
    if answer.status == 501 or answer.code == "NotImplemented":
        return Unsupported, f"The server at {request.location} cannot {request.action} as this package needs it to."
    if request.action == "create":
        return OutcomeUnknown, f"Creating {request.target} got no certain answer: it may or may not have happened."
    return Unavailable, f"The provider failed to {request.action} {request.target}. Try again later."


def _unanswered(answer: Answer, request: Request) -> tuple[Callable[..., VersionedStoreError], str]:
    why = f" ({answer.text})" if answer.text else ""
    if request.action == "create" and answer.sent:
        return OutcomeUnknown, f"Creating {request.target} got no answer{why}: it may or may not have happened."
    reach = "did not answer" if answer.sent else "cannot be reached"
    return Unavailable, (
        f"Cannot {request.action} {request.target}: the provider {reach}{why}. "
        "Check the endpoint, the network and the proxy settings, then try again."
    )
