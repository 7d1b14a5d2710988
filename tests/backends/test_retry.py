"""What is repeated, how often, and what never is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.retry import RetryingBackend, RetryPolicy
from mlflow_versioned_store.errors import AccessDenied, NotFound, OutcomeUnknown, Throttled, Unavailable
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def faulty() -> FaultyBackend:
    """A memory store with three objects."""
    backend = open_memory("retry")
    for name in "abc":
        backend.put(f"f/{name}", name.encode())
    return FaultyBackend(backend)


@pytest.fixture
def time() -> Time:
    """A clock."""
    return Time()


def retrying(inner: Backend, time: Time, **policy: float) -> RetryingBackend:
    """Return a retrying backend with that clock."""
    return RetryingBackend(inner, RetryPolicy(**policy), sleep=time.sleep, clock=time.clock)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "call",
    [
        lambda backend: backend.get("f/a"),
        lambda backend: backend.head("f/a"),
        lambda backend: backend.put("f/d", b"d"),
        lambda backend: backend.delete(["f/a"]),
        lambda backend: backend.folders(""),
        lambda backend: backend.now(),
        lambda backend: list(backend.list("f")),
    ],
    ids=["get", "head", "put", "delete", "folders", "now", "list"],
)
@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.THROTTLE])
def test_everything_but_a_create_is_repeated(
    faulty: FaultyBackend, time: Time, call: Callable[[Backend], object], fault: Fault
) -> None:
    """Two failures in a row are overcome."""
    faulty.at(1, fault)
    faulty.at(2, fault)
    call(retrying(faulty, time))
    assert len(faulty.calls) == 3


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST, Fault.THROTTLE])
def test_a_create_that_names_its_content_is_repeated(faulty: FaultyBackend, time: Time, fault: Fault) -> None:
    """Two failures in a row are overcome, also where the first one wrote it."""
    faulty.at(1, fault)
    faulty.at(2, fault)
    assert retrying(faulty, time).put_named("f/d", b"d").size == 1
    assert all(call.create for call in faulty.calls[:3])


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.LOST])
def test_a_create_is_sent_once(faulty: FaultyBackend, time: Time, fault: Fault) -> None:
    """A create that got no certain answer is not repeated: that is for its caller to decide."""
    faulty.when(lambda call: call.create, fault)
    with pytest.raises(OutcomeUnknown):
        retrying(faulty, time).put("f/new", b"", create=True)
    assert len(faulty.calls) == 1


@pytest.mark.parametrize(("key", "fault", "error"), [("f/z", 0.0, NotFound), ("f/a", Fault.DENY, AccessDenied)])
def test_certain_errors_are_not_repeated(
    faulty: FaultyBackend, time: Time, key: str, fault: Fault | float, error: type[Exception]
) -> None:
    """What would fail again is reported at once."""
    faulty.when(lambda _: True, fault)
    with pytest.raises(error):
        retrying(faulty, time).get(key)
    assert len(faulty.calls) == 1


def test_attempts_are_bounded_and_told(faulty: FaultyBackend, time: Time) -> None:
    """After so many attempts the last error comes through, with their number."""
    faulty.when(lambda _: True, Fault.REFUSED)
    with pytest.raises(Unavailable) as failed:
        retrying(faulty, time, attempts=4, seconds=1e9).get("f/a")
    assert (len(faulty.calls), failed.value.attempts) == (4, 4)


def test_time_is_bounded(faulty: FaultyBackend, time: Time) -> None:
    """No attempt starts later than the limit after the first; throttling has a limit of its own."""
    faulty.when(lambda call: call.verb == "get", Fault.REFUSED)
    faulty.when(lambda call: call.verb == "head", Fault.THROTTLE)
    backend = retrying(faulty, time, attempts=1000, seconds=5, throttled_seconds=50, pause_seconds_max=2)
    with pytest.raises(Unavailable):
        backend.get("f/a")
    assert 2 < time.now <= 5
    time.now = 0
    with pytest.raises(Throttled):
        backend.head("f/a")
    assert 40 < time.now <= 50


def test_pauses_grow_and_vary(faulty: FaultyBackend, time: Time) -> None:
    """Each pause is drawn from the upper half of a range that doubles up to a bound."""
    faulty.when(lambda _: True, Fault.REFUSED)
    backend = retrying(faulty, time, attempts=6, seconds=1e9, first_pause_seconds=1, pause_seconds_max=10)
    with pytest.raises(Unavailable):
        backend.get("f/a")
    for pause, longest in zip(time.pauses, [2, 4, 8, 10, 10], strict=True):
        assert longest / 2 <= pause <= longest


def test_a_listing_goes_on_where_it_stopped(faulty: FaultyBackend, time: Time) -> None:
    """A listing that breaks off midway yields every object once, also with a limit."""
    faulty.at(1, Fault.TRUNCATE)
    assert [info.key for info in retrying(faulty, time).list("f")] == ["f/a", "f/b", "f/c"]
    faulty.at(1, Fault.TRUNCATE)
    assert [info.key for info in retrying(faulty, time).list("f", after="f/a", limit=2)] == ["f/b", "f/c"]


def test_an_unordered_listing_is_only_begun_again(faulty: FaultyBackend, time: Time) -> None:
    """Without an order there is no place to go on from, so the failure comes through."""

    class Unordered(FaultyBackend):
        capabilities = faulty.capabilities.__class__(
            ordered_list=False, object_versions=False, durable=False, remote=True
        )

    unordered = Unordered(faulty.inner)
    unordered.at(1, Fault.REFUSED)
    assert len(list(retrying(unordered, time).list("f"))) == 3
    unordered.at(1, Fault.TRUNCATE)
    with pytest.raises(Unavailable):
        list(retrying(unordered, time).list("f"))
