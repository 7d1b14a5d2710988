"""Every error of this package, grouped by what the caller would do about it.

    VersionedStoreError
    ├── InvalidInput (ValueError)            correct the name, address, setting or argument
    ├── NotFound (LookupError)               ask for something that exists
    │   └── NoStore                          create a store first, or say where it is
    ├── Conflict                             somebody was first; look at what they wrote, then decide
    ├── AccessDenied (PermissionError)       get the permission that the message names
    │   └── CredentialsMissing               configure or renew credentials
    ├── Unavailable (ConnectionError)        try again later
    │   ├── Throttled                        try again later, and slower
    │   └── OutcomeUnknown                   the write may have happened; read back, then decide
    ├── Damaged                              stored bytes are not what was written; restore or repair
    │   └── ObjectMissing                    a stored object that is referred to is gone
    ├── Archived                             thaw the object at the provider, then try again
    ├── SourceChanged                        the local file changed while it was read; log it again
    ├── LocalStorageFailed (OSError)         free local disk space or mend its permissions
    └── Unsupported                          use a newer release, or another server

A message says what happened, to which object and version, and what to do next. `kind` is a stable
word for programs; kinds are only ever added. Only the MLflow plugin turns these into MLflow's own errors.
"""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "Archived",
    "Conflict",
    "CredentialsMissing",
    "Damaged",
    "InvalidInput",
    "LocalStorageFailed",
    "NoStore",
    "NotFound",
    "ObjectMissing",
    "OutcomeUnknown",
    "SourceChanged",
    "Throttled",
    "Unavailable",
    "Unsupported",
    "VersionedStoreError",
]


class VersionedStoreError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        message: What happened, to which object, and what to do next.
        key: The object's key or local path, where there is one.
        request_id: The provider's id of the failed request, where it gave one.
        attempts: How often the request was sent.
    """

    kind = "error"

    def __init__(self, message: str, *, key: str | None = None, request_id: str | None = None, attempts: int = 1):
        super().__init__(message)
        self.message = message
        self.key = key
        self.request_id = request_id
        self.attempts = attempts

    def __str__(self) -> str:
        return self.message


class InvalidInput(VersionedStoreError, ValueError):
    """A name, address, setting or argument that can never work."""

    kind = "invalid-input"


class NotFound(VersionedStoreError, LookupError):
    """There is no such object, path or version; certain, not guessed from a failed request."""

    kind = "not-found"


class NoStore(NotFound):
    """No store covers this URI."""

    kind = "no-store"


class Conflict(VersionedStoreError):
    """A create-only write found the key taken."""

    kind = "conflict"


class AccessDenied(VersionedStoreError, PermissionError):
    """The provider refused these credentials."""

    kind = "access-denied"


class CredentialsMissing(AccessDenied):
    """No credentials were found, or they have expired and cannot be renewed."""

    kind = "credentials-missing"


class Unavailable(VersionedStoreError, ConnectionError):
    """The store could not be reached or did not answer in time."""

    kind = "unavailable"


class Throttled(Unavailable):
    """The provider asks for fewer requests."""

    kind = "throttled"


class OutcomeUnknown(Unavailable):
    """A create-only write got no certain answer: it may or may not have happened."""

    kind = "outcome-unknown"


class Damaged(VersionedStoreError):
    """Stored bytes fail a check: wrong digest, impossible length, broken encoding."""

    kind = "damaged"


class ObjectMissing(Damaged):
    """A stored object that a commit refers to does not exist."""

    kind = "object-missing"


class Archived(VersionedStoreError):
    """The object is in a storage class that must be restored before it can be read."""

    kind = "archived"


class SourceChanged(VersionedStoreError):
    """A local file changed while it was being read."""

    kind = "source-changed"


class LocalStorageFailed(VersionedStoreError, OSError):
    """A local file could not be read or written (disk full, permissions)."""

    kind = "local-storage-failed"


class Unsupported(VersionedStoreError):
    """The store or the server needs, or lacks, something that this release cannot do without."""

    kind = "unsupported"
