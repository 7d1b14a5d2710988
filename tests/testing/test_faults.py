"""The fault-injecting backend does what its faults say."""

from __future__ import annotations

import time

import pytest

from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.errors import AccessDenied, NotFound, OutcomeUnknown, Throttled, Unavailable
from mlflow_versioned_store.testing.faults import Crash, Fault, FaultyBackend


@pytest.fixture
def faulty() -> FaultyBackend:
    """A memory store with two objects."""
    backend = open_memory("faults")
    backend.put("a/1", b"1234")
    backend.put("a/2", b"1234")
    return FaultyBackend(backend)


def test_refused_has_no_effect_and_lost_has_one(faulty: FaultyBackend) -> None:
    """Both look alike to the caller: unavailable, or of a create unknown."""
    for create, error in ((False, Unavailable), (True, OutcomeUnknown)):
        faulty.at(1, Fault.REFUSED)
        with pytest.raises(error) as refused:
            faulty.put(f"b/{create}", b"", create=create)
        with pytest.raises(NotFound):
            faulty.inner.head(f"b/{create}")
        faulty.at(1, Fault.LOST)
        with pytest.raises(error) as lost:
            faulty.put(f"b/{create}", b"", create=create)
        assert type(refused.value) is type(lost.value)
        assert faulty.inner.head(f"b/{create}").size == 0


@pytest.mark.parametrize(
    ("fault", "error"), [(Fault.DENY, AccessDenied), (Fault.THROTTLE, Throttled), (Fault.MISSING, NotFound)]
)
def test_answers(faulty: FaultyBackend, fault: Fault, error: type[Exception]) -> None:
    """Denials, throttling and absence come as a provider would send them."""
    faulty.when(lambda call: call.key == "a/1", fault)
    with pytest.raises(error):
        faulty.get("a/1")
    assert bytes(faulty.get("a/2").data) == b"1234"


def test_damaged_reads(faulty: FaultyBackend) -> None:
    """Corrupt flips one bit; truncate halves the bytes, and breaks a listing off midway."""
    faulty.at(1, Fault.CORRUPT)
    faulty.at(2, Fault.TRUNCATE)
    faulty.at(3, Fault.TRUNCATE)
    corrupt = bytes(faulty.get("a/1").data)
    assert sum((one ^ other).bit_count() for one, other in zip(corrupt, b"1234", strict=True)) == 1
    assert bytes(faulty.get("a/1").data) == b"12"
    listing = faulty.list("a")
    assert next(listing).key == "a/1"
    with pytest.raises(Unavailable):
        next(listing)


@pytest.mark.parametrize(("fault", "there"), [(Fault.CRASH_BEFORE, False), (Fault.CRASH_AFTER, True)])
def test_a_crash_ends_everything(faulty: FaultyBackend, fault: Fault, *, there: bool) -> None:
    """After a crash no request goes through, until the process is said to live again."""
    faulty.at(1, fault)
    with pytest.raises(Crash):
        faulty.put("b", b"")
    with pytest.raises(Crash):
        faulty.get("a/1")
    faulty.clear()
    assert ("b" in [info.key for info in faulty.list("")]) is there


def test_calls_are_recorded_and_counted_from_now(faulty: FaultyBackend) -> None:
    """`at` counts from the present, and every request is on record."""
    faulty.head("a/1")
    faulty.at(2, Fault.DENY)
    faulty.head("a/1")
    with pytest.raises(AccessDenied):
        faulty.delete(["a/1", "a/2"])
    assert [(call.number, call.verb, call.key) for call in faulty.calls] == [
        (1, "head", "a/1"),
        (2, "head", "a/1"),
        (3, "delete", "a/1"),
    ]


def test_a_delay_is_slept_and_the_request_goes_on(faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is seconds of latency; a later rule still applies."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    faulty.when(lambda call: call.verb == "get", 2.0)
    faulty.when(lambda call: call.key == "a/2", Fault.DENY)
    assert bytes(faulty.get("a/1").data) == b"1234"
    with pytest.raises(AccessDenied):
        faulty.get("a/2")
    assert slept == [2.0, 2.0]
