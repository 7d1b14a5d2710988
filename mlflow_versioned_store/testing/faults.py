"""A backend that fails on purpose: chosen requests, before or after they took effect.

    faulty = FaultyBackend(open_memory("t"))
    faulty.at(3, Fault.LOST)                                   the third request from now
    faulty.when(lambda call: call.verb == "delete", Fault.DENY)     every delete
    faulty.when(lambda call: "/hooks/" in call.key, 2.0)       two seconds late
    faulty.clear()

Requests are counted in the order in which they are made, over all threads.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from mlflow_versioned_store.backends.contract import Backend, Buffer, Fetched, ObjectInfo
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.errors import AccessDenied, NotFound, OutcomeUnknown, Throttled, Unavailable

Result = TypeVar("Result")


class Crash(BaseException):
    """The process died here, and so does every later request; no code may handle it."""


class Fault(enum.Enum):
    """What goes wrong with a request."""

    REFUSED = "it fails and had no effect"
    LOST = "it took effect, but the answer got lost"
    CRASH_BEFORE = "the process dies before it is sent"
    CRASH_AFTER = "the process dies after it took effect"
    DENY = "the provider denies it"
    THROTTLE = "the provider asks for fewer requests"
    MISSING = "the provider says that there is no such object"
    CORRUPT = "one bit of the bytes that are read is flipped"
    TRUNCATE = "half of what was asked for arrives; a listing then fails"


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        number: Counted from 1 over the life of the backend.
        verb: The name of the backend's method.
        key: The key or folder; of a delete the first key.
        create: Whether it is a create.
    """

    number: int
    verb: str
    key: str
    create: bool = False


class FaultyBackend(WrapperBackend):
    """Passes requests on, but for those that a rule picks.

    Attributes:
        calls: Every request so far, in order.
    """

    def __init__(self, inner: Backend):
        super().__init__(inner)
        self.calls: list[Call] = []
        self._rules: list[tuple[Callable[[Call], bool], Fault | float]] = []
        self._lock = threading.Lock()
        self._crashed = False

    def at(self, number: int, fault: Fault | float) -> None:
        """Let the `number`th request from now go wrong, or come so many seconds late."""
        wanted = len(self.calls) + number
        self.when(lambda call: call.number == wanted, fault)

    def when(self, picks: Callable[[Call], bool], fault: Fault | float) -> None:
        """Let every request that `picks` picks go wrong, or come so many seconds late; earlier rules come first."""
        self._rules.append((picks, fault))

    def clear(self) -> None:
        """Forget all rules, and live again after a crash."""
        self._rules.clear()
        self._crashed = False

    def get(self, key: str, *, start: int = 0, stop: int | None = None, s3_version_id: str | None = None) -> Fetched:
        def send() -> Fetched:
            return self.inner.get(key, start=start, stop=stop, s3_version_id=s3_version_id)

        fault = self._fault("get", key)
        fetched = self._with(fault, key, send)
        if fault is Fault.TRUNCATE:
            return Fetched(memoryview(fetched.data)[: len(fetched.data) // 2], fetched.info)
        if fault is Fault.CORRUPT and fetched.data:
            data = bytearray(fetched.data)
            data[len(data) // 2] ^= 1
            return Fetched(bytes(data), fetched.info)
        return fetched

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        fault = self._fault("put", key, create=create)
        return self._with(fault, key, lambda: self.inner.put(key, data, create=create), create=create)

    def head(self, key: str) -> ObjectInfo:
        return self._with(self._fault("head", key), key, lambda: self.inner.head(key))

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        fault = self._fault("list", folder)
        found = self._with(fault, folder, lambda: self.inner.list(folder, after=after, limit=limit))
        if fault is Fault.TRUNCATE:
            everything = list(found)
            yield from everything[: len(everything) // 2]
            raise Unavailable(f"Fault injected: the listing of {folder} broke off.", key=folder)
        yield from found

    def folders(self, folder: str) -> Sequence[str]:
        return self._with(self._fault("folders", folder), folder, lambda: self.inner.folders(folder))

    def delete(self, keys: Sequence[str]) -> None:
        key = keys[0] if keys else ""
        self._with(self._fault("delete", key), key, lambda: self.inner.delete(keys))

    def now(self, folder: str = "") -> datetime:
        return self._with(self._fault("now", folder), folder, lambda: self.inner.now(folder))

    def _fault(self, verb: str, key: str, *, create: bool = False) -> Fault | None:
        with self._lock:
            call = Call(len(self.calls) + 1, verb, key, create)
            self.calls.append(call)
        for picks, fault in list(self._rules):
            if picks(call):
                if isinstance(fault, Fault):
                    return fault
                time.sleep(fault)
        return None

    def _with(self, fault: Fault | None, key: str, send: Callable[[], Result], *, create: bool = False) -> Result:
        if fault is Fault.CRASH_BEFORE or self._crashed:
            self._crashed = True
            raise Crash(key)
        message = f"Fault injected: {fault.value} ({key})." if fault else ""
        if fault is Fault.REFUSED:
            raise (OutcomeUnknown if create else Unavailable)(message, key=key)
        if fault is Fault.DENY:
            raise AccessDenied(message, key=key)
        if fault is Fault.THROTTLE:
            raise Throttled(message, key=key)
        if fault is Fault.MISSING:
            raise NotFound(message, key=key)
        try:
            return send()
        finally:
            # Whatever the answer was, "there is no such object" included, nobody hears it.
            if fault is Fault.CRASH_AFTER:
                self._crashed = True
                raise Crash(key)
            if fault is Fault.LOST:
                raise (OutcomeUnknown if create else Unavailable)(message, key=key)
