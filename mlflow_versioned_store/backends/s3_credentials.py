"""Credentials for S3, from where boto3 takes them, within a time limit, renewed before they expire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from mlflow_versioned_store.backends.forks import fork_safe_lock
from mlflow_versioned_store.errors import CredentialsMissing

Result = TypeVar("Result")

RESOLVE_SECONDS_MAX = 12.0
_KEEP_MAX = timedelta(seconds=30)
_FAILURE_KEPT = timedelta(seconds=5)
_ADVICE = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile in AWS_PROFILE, log in again (aws sso login), "
    "or set MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION=unsigned for public buckets."
)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """One set of keys.

    Args:
        access_key: The access key's id.
        secret_key: The secret key.
        token: The session token of temporary keys.
        expires: When they expire; None for never, as far as is known.
    """

    access_key: str
    secret_key: str
    token: str | None = None
    expires: datetime | None = None


class Credentials:
    """A source of keys.

    Args:
        find: Looks the source up and returns what loads keys from it, renewing them before they expire.
        origin: Where they come from, in words.
        renewable: Other keys than before may come.
    """

    def __init__(self, find: Callable[[], Callable[[], Keys]], *, origin: str, renewable: bool):
        self.origin = origin
        self.renewable = renewable
        self._find = find
        self._load: Callable[[], Keys] | None = None
        self._kept: tuple[datetime, Keys] | None = None
        self._failed: tuple[datetime, CredentialsMissing] | None = None
        self._lock = fork_safe_lock()

    def __repr__(self) -> str:
        return f"Credentials(origin={self.origin!r})"

    def keys(self) -> Keys:
        """Return keys that are valid now; threads that ask together share one look-up and its failure.

        Raises:
            CredentialsMissing: There are none, they expired and cannot be renewed, or that took too long.
        """
        with self._lock:
            now = datetime.now(UTC)
            if self._kept is not None and now < self._kept[0]:
                return self._kept[1]
            if self._failed is not None and now < self._failed[0]:
                raise CredentialsMissing(str(self._failed[1])) from self._failed[1]
            try:
                keys = _within(RESOLVE_SECONDS_MAX, self._fresh, self.origin) if self.renewable else self._fresh()
            except CredentialsMissing as error:
                self._failed = (datetime.now(UTC) + _FAILURE_KEPT, error)
                raise
            # A source that starts a program or asks a server for each set of keys is not asked for every request.
            keep = _KEEP_MAX if keys.expires is None else min(_KEEP_MAX, (keys.expires - now) / 3)
            self._kept = (now + keep, keys)
            return keys

    def forget(self) -> None:
        """Look the source up anew at the next use: the provider refused its keys."""
        with self._lock:
            self._load = self._kept = self._failed = None

    def _fresh(self) -> Keys:
        self._load = self._load or self._find()
        return self._load()

    def for_obstore(self) -> dict[str, Any]:
        """Return current keys as obstore takes them from a credential provider."""
        keys = self.keys()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": keys.expires,
        }


def from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Return the keys that stand in environment variables, which come first in boto3's chain; None without them."""
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key or environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN") or None
    keys = Keys(access_key, secret_key, token)
    return Credentials(lambda: lambda: keys, origin="AWS_ACCESS_KEY_ID", renewable=False)


def from_chain() -> Credentials:
    """Return what boto3's chain finds: environment, profile, SSO, web identity, container or instance.

    Raises:
        CredentialsMissing: It finds nothing, cannot use what it finds, or takes too long.
    """
    credentials = Credentials(_find_in_chain, origin="boto3's chain", renewable=True)
    credentials.keys()
    return credentials


def _find_in_chain() -> Callable[[], Keys]:
    from botocore.session import Session

    session = Session()
    found = session.get_credentials()
    if found is None:
        chain = ", ".join(provider.METHOD for provider in session.get_component("credential_provider").providers)
        raise CredentialsMissing(f"No credentials for S3 were found. Tried in turn: {chain}. {_ADVICE}")

    def load() -> Keys:
        frozen = found.get_frozen_credentials()
        expires: datetime | None = getattr(found, "_expiry_time", None)
        return Keys(frozen.access_key, frozen.secret_key, frozen.token, expires and expires.astimezone(UTC))

    return load


def _within(seconds: float, work: Callable[[], Result], origin: str) -> Result:
    """Return what `work` returns.

    Raises:
        CredentialsMissing: It fails, or is not done after `seconds`.
    """
    outcome: list[Result] = []
    failure: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            failure.append(error)

    # Credential programs and identity servers have no time limit of their own. A daemon thread that hangs on is
    # left behind.
    thread = threading.Thread(target=run, name="mvs-credentials", daemon=True)
    try:
        thread.start()
        thread.join(seconds)
    except RuntimeError:
        # No thread starts any more while the interpreter exits, when queues are flushed for the last time.
        run()
    if outcome:
        return outcome[0]
    if failure and isinstance(failure[0], CredentialsMissing):
        raise failure[0]
    why = str(failure[0]) if failure else f"no answer within {seconds:.0f} s"
    raise CredentialsMissing(f"Credentials for S3 cannot be had from {origin}: {why}. {_ADVICE}") from (
        failure[0] if failure else None
    )
