"""The conformance probe: which servers it passes, and what it finds wrong with the others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store.backends.contract import Backend, Buffer, ObjectInfo
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.probe import ProbeResult, probe
from mlflow_versioned_store.backends.retry import RetryingBackend
from mlflow_versioned_store.backends.scoped import ScopedBackend
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.errors import AccessDenied, Conflict, Unsupported
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.servers.s3 import S3Server


def test_memory_and_files_pass(tmp_path: Path) -> None:
    """Our own backends pass, the probe leaves no object, and only one of them lists in order."""
    assert probe(open_memory("probe")) == ProbeResult(races=2, uncertain=0, ordered_list=True, cleaned=True)
    files = FilesBackend(str(tmp_path))
    assert probe(files).races == 2
    assert list(files.list("")) == []


@pytest.mark.parametrize("server", ["minio", "versitygw", "moto_server"])
def test_servers_pass(request: pytest.FixtureRequest, s3_env: Callable[[S3Server], None], server: str) -> None:
    """The servers that are known to keep the contract pass, with and without bucket versioning."""
    running: S3Server = request.getfixturevalue(server)
    s3_env(running)
    for versioned in (False, True):
        bucket = running.new_bucket(versioned=versioned)
        backend, path = open_container(f"versioned-s3://{bucket}/some/store")
        result = probe(ScopedBackend(backend, path))
        assert (result.ordered_list, result.cleaned) == (True, True)
        assert running.keys(bucket) == {}


def test_rclone_is_refused_by_name(rclone_s3: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """`rclone serve s3` overwrites on a conditional create, and the refusal says so."""
    s3_env(rclone_s3)
    backend, path = open_container(f"versioned-s3://{rclone_s3.new_bucket()}/store")
    with pytest.raises(Unsupported, match=r"concurrent creates of one key succeeded \(If-None-Match.*Tested servers"):
        probe(ScopedBackend(backend, path))


class Overwrites(WrapperBackend):
    """Ignores `create`."""

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        return self.inner.put(key, data)


class LetsSomeWin(WrapperBackend):
    """Refuses creates one at a time, but lets the first three of a race win."""

    def __init__(self, inner: Backend):
        super().__init__(inner)
        self._numbers = itertools.count()

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        if create and next(self._numbers) >= 3:
            raise Conflict("taken")
        return self.inner.put(key, data)


class RefusesCreates(WrapperBackend):
    """Takes every key for taken."""

    def put(self, key: str, data: Buffer | Sequence[Buffer], *, create: bool = False) -> ObjectInfo:
        if create:
            self.inner.put(key, b"0")
            raise Conflict("taken")
        return self.inner.put(key, data)


class ForgetsInListings(WrapperBackend):
    """Lists one object less than there are."""

    def list(self, folder: str, *, after: str | None = None, limit: int | None = None) -> Iterator[ObjectInfo]:
        return itertools.islice(self.inner.list(folder, after=after, limit=limit), 1, None)


class IgnoresStart(WrapperBackend):
    """Begins every listing at the beginning."""

    def list(
        self,
        folder: str,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[ObjectInfo]:
        return self.inner.list(folder, limit=limit)


class ReadsOld(WrapperBackend):
    """Returns other bytes than were written."""

    def get(self, key: str, **options: Any) -> Any:
        self.inner.put(key, b"99")
        return self.inner.get(key, **options)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Overwrites, "12 of 12 concurrent creates"),
        (LetsSomeWin, "3 of 12 concurrent creates"),
        (RefusesCreates, "no create of a free key succeeded"),
        (ForgetsInListings, "does not hold what was written"),
        (IgnoresStart, "start-after is ignored"),
        (ReadsOld, "not what a read returned"),
    ],
)
def test_each_failing_is_named(kind: type[WrapperBackend], says: str) -> None:
    """A server that breaks the contract is refused by what it breaks."""
    with pytest.raises(Unsupported, match=says):
        probe(kind(open_memory("broken")))


def test_a_denied_delete_is_fine() -> None:
    """A role that may not delete can make a store; the probe says that it left something."""
    faulty = FaultyBackend(open_memory("probe"))
    faulty.when(lambda call: call.verb == "delete", Fault.DENY)
    assert probe(faulty).cleaned is False
    assert all(info.key.startswith(f"{RESERVED}/probe/") for info in faulty.inner.list(""))


def test_uncertain_creates_are_counted_not_refused() -> None:
    """Racers that got no certain answer are no failing of the server."""
    faulty = FaultyBackend(open_memory("probe"))
    faulty.when(lambda call: call.create and call.number % 3 == 0, Fault.LOST)
    result = probe(RetryingBackend(faulty))
    assert 0 < result.uncertain < 24


def test_a_denied_create_is_access_denied() -> None:
    """Who may not write learns that, and not that the server is broken."""
    faulty = FaultyBackend(open_memory("probe"))
    faulty.when(lambda call: call.create, Fault.DENY)
    with pytest.raises(AccessDenied):
        probe(faulty)
