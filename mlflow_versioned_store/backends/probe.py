"""What a server really does, found by trying: "S3-compatible" is no promise.

Some servers ignore conditional writes, some honour them one at a time but let several of a race win, and none says
so. Where two writers both win, one of them loses what it wrote; so a store is only made where a race has one winner.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import (
    AccessDenied,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Unavailable,
    Unsupported,
    VersionedStoreError,
)
from mlflow_versioned_store.keys import PROBES

RACERS = 12
ROUNDS = 2

# Written in this order, so that a listing in order of arrival is told from a sorted one.
_NAMES = ("s", "e/b", "q", "b", "y", "e/a", "d", "w")
_TESTED = 'The servers that were tested are listed in the documentation, under "Tested servers".'


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the probe found of a server that keeps the contract.

    Args:
        races: Races run, each with exactly one winner.
        uncertain: Creates in them that got no certain answer.
        ordered_list: Listings came sorted by key.
        cleaned: The probe's objects could be deleted.
    """

    races: int
    uncertain: int
    ordered_list: bool
    cleaned: bool


def probe(backend: Backend, *, racers: int = RACERS, rounds: int = ROUNDS) -> ProbeResult:
    """Race creates, read back, list and delete below `_mvs/probe/` of `backend`. About 40 small requests.

    Args:
        backend: The place of the store to be made.
        racers: Concurrent creates in a race, at least 8.
        rounds: Races.

    Raises:
        Unsupported: The server lacks something; the message says what.
        VersionedStoreError: The server cannot be asked.
    """
    folder = f"{PROBES}/{uuid.uuid4().hex}"
    raced = [f"{folder}/race-{number}" for number in range(rounds)]
    plain = [f"{folder}/{name}" for name in _NAMES]
    try:
        uncertain = sum(_race(backend, key, racers) for key in raced)
        for key in plain:
            backend.put_named(key, b"probe")
        ordered = _check_listing(backend, folder, raced + plain)
    finally:
        cleaned = _clean(backend, raced + plain)
    return ProbeResult(rounds, uncertain, ordered, cleaned)


def _race(backend: Backend, key: str, racers: int) -> int:
    """Return how many creates of `key` stayed uncertain."""

    def create(number: int) -> str:
        try:
            backend.put(key, b"%d" % number, create=True)
        except Conflict:
            return "conflict"
        except OutcomeUnknown:
            return "uncertain"
        return "won"

    with ThreadPoolExecutor(racers, thread_name_prefix="mvs-probe") as pool:
        outcomes = list(pool.map(create, range(racers)))
    winners = [number for number, outcome in enumerate(outcomes) if outcome == "won"]
    uncertain = outcomes.count("uncertain")
    if len(winners) > 1:
        failing = (
            f"{len(winners)} of {racers} concurrent creates of one key succeeded (If-None-Match: * is not honoured)"
        )
        raise _unsupported(backend, failing)
    stored = int(bytes(backend.get(key).data))
    if winners and winners != [stored]:
        raise _unsupported(backend, "a create that succeeded was not what a read returned afterwards")
    if not winners and not uncertain:
        raise _unsupported(backend, "no create of a free key succeeded")
    try:
        backend.put(key, b"late", create=True)
    except (Conflict, OutcomeUnknown):
        return uncertain
    raise _unsupported(backend, "a create of a key that was taken succeeded (If-None-Match: * is not honoured)")


def _check_listing(backend: Backend, folder: str, keys: list[str]) -> bool:
    """Return whether listings are sorted, having checked that they hold what was just written."""
    listed = [info.key for info in backend.list(folder)]
    if sorted(listed) != sorted(keys):
        raise _unsupported(backend, "a listing does not hold what was written just before")
    if any(backend.head(key).size == 0 for key in keys):
        raise _unsupported(backend, "a look-up does not tell the size of what was written just before")
    ordered = listed == sorted(keys)
    middle = sorted(keys)[len(keys) // 2]
    rest = [info.key for info in backend.list(folder, after=middle)]
    if sorted(rest) != [key for key in sorted(keys) if key > middle]:
        raise _unsupported(backend, "a listing that is to begin after a key begins elsewhere (start-after is ignored)")
    return ordered


def _clean(backend: Backend, keys: list[str]) -> bool:
    try:
        backend.delete(keys)
    except (AccessDenied, NotFound, Unavailable):
        # A role that may only add is a fine one, and an error of the probe itself must not be hidden by this one.
        return False
    return True


def _unsupported(backend: Backend, failing: str) -> VersionedStoreError:
    return Unsupported(
        f"The server at {backend.location} cannot hold a store: {failing}, and what is written would be lost. "
        f"Use another server. {_TESTED}"
    )
