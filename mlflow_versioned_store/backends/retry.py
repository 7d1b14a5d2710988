"""Requests repeated while a provider is busy or out of reach; never a create."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched, ObjectInfo
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.errors import Throttled, Unavailable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a request is repeated.

    Before attempt n + 1 comes a random pause of up to `first_pause_seconds` × 2ⁿ.

    Args:
        attempts: At most so many attempts in all.
        first_pause_seconds: Bounds the first pause.
        pause_seconds_max: Bounds every pause.
        seconds: No attempt starts later than this after the first.
        throttled_seconds: The same where the provider asks for fewer requests.
    """

    attempts: int = 8
    first_pause_seconds: float = 0.1
    pause_seconds_max: float = 10.0
    seconds: float = 8.0
    throttled_seconds: float = 60.0


_DEFAULT = RetryPolicy()


class RetryingBackend(WrapperBackend):
    """Repeats what failed with `Unavailable` or `Throttled`.

    A create is sent once: only its caller can tell by reading back whether it happened. One whose key names its
    content is repeated: whoever wrote it, it is the same.

    A listing that fails midway goes on where it stopped, if the backend lists in order.

    Args:
        inner: The backend that sends each request once.
        policy: How often and how long.
        sleep: Pauses for some seconds.
        clock: Tells elapsed seconds.
    """

    def __init__(
        self,
        inner: Backend,
        policy: RetryPolicy = _DEFAULT,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__(inner)
        self._policy = policy
        self._sleep = sleep
        self._clock = clock

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        return self._repeat(lambda: self.inner.get(key, start=start, stop=stop, s3_version_id=s3_version_id))

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        if create:
            return self.inner.put(key, data, create=True)
        return self._repeat(lambda: self.inner.put(key, data))

    def put_named(self, key: str, data: Buffer | Sequence[Buffer]) -> ObjectInfo:
        return self._repeat(lambda: Backend.put_named(self, key, data))

    def head(self, key: str) -> ObjectInfo:
        return self._repeat(lambda: self.inner.head(key))

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        left = limit
        listing = self.inner.list(folder, after=after, limit=left)

        def advance() -> ObjectInfo | None:
            nonlocal listing
            try:
                return next(listing, None)
            except Unavailable:
                # A listing that failed is over; a new one goes on behind the last key.
                listing = self.inner.list(folder, after=after, limit=left)
                raise

        repeatable = True
        while (info := self._repeat(advance) if repeatable else next(listing, None)) is not None:
            repeatable = self.capabilities.ordered_list
            after, left = info.key, None if left is None else left - 1
            yield info

    def folders(self, folder: str) -> Sequence[str]:
        return self._repeat(lambda: self.inner.folders(folder))

    def delete(self, keys: Sequence[str]) -> None:
        self._repeat(lambda: self.inner.delete(keys))

    def now(self, folder: str = "") -> datetime:
        return self._repeat(lambda: self.inner.now(folder))

    def _repeat(self, send: Callable[[], Result]) -> Result:
        policy, began, attempt = self._policy, self._clock(), 1
        while True:
            try:
                return send()
            except Unavailable as error:
                error.attempts = attempt
                limit = policy.throttled_seconds if isinstance(error, Throttled) else policy.seconds
                longest = min(policy.first_pause_seconds * 2**attempt, policy.pause_seconds_max)
                pause = random.uniform(0.5, 1) * longest  # noqa: S311 - to spread retries, not to keep a secret
                if attempt >= policy.attempts or self._clock() - began + pause > limit:
                    raise
            self._sleep(pause)
            attempt += 1
