"""Verification finds the first commit that is not what was written."""

from __future__ import annotations

import dataclasses

import pytest

from mlflow_versioned_store.errors import Unavailable
from mlflow_versioned_store.history import sealed
from mlflow_versioned_store.history.records import Change, Commit, DraftEntry, Entry, encode_commit
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.history.making import DictBackend, commit_key, draft, new_log, remove, upload

DIGEST = sealed.digest_named("blake3")


@pytest.fixture
def backend() -> DictBackend:
    """Return a store with nine sound commits."""
    backend = DictBackend()
    log = new_log(backend)
    for index in range(8):
        upload(log, f"f{index % 3}", b"%d" % index)
    remove(log, "f1")
    return backend


def test_a_sound_log_is_sound(backend: DictBackend) -> None:
    """Nothing is found where nothing is wrong, at one request a commit and one for the head."""
    assert new_log(DictBackend()).verify() == (0, None, "")
    backend.spent()
    assert new_log(backend).verify() == (9, None, "")
    assert backend.spent() == {"get": 9, "list": 1}


@pytest.mark.parametrize("number", range(1, 10))
def test_every_flipped_byte_is_found(backend: DictBackend, number: int) -> None:
    """Wherever a byte of a commit changes, that commit is the first broken one."""
    whole = backend.objects[commit_key(number)]
    for at in {0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 2, len(whole) - 1}:
        backend.objects[commit_key(number)] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        verified = new_log(backend).verify()
        assert (verified.broken, bool(verified.reason)) == (number, True)


def _rewrite(backend: DictBackend, number: int, **fields: object) -> None:
    commit, frames = new_log(backend).commit(number), b""
    changes = tuple(c for c in commit.changes if c.frames is None)
    commit = dataclasses.replace(commit, **{"changes": changes, **fields})  # type: ignore[arg-type]  # fields of a commit
    backend.objects[commit_key(number)] = encode_commit(commit, DIGEST) + frames


def test_a_rewritten_commit_breaks_the_chain_at_its_child(backend: DictBackend) -> None:
    """A commit that was replaced by another sound one is given away by the digest in the next."""
    _rewrite(backend, 4)
    verified = new_log(backend).verify()
    assert (verified.broken, "digest" in verified.reason) == (5, True)


def test_times_and_numbers_must_not_go_back(backend: DictBackend) -> None:
    """A head that is older than its parent, or gives out a number twice, is broken."""
    _rewrite(backend, 9, time=1)
    assert "older" in new_log(backend).verify().reason
    _rewrite(backend, 9, time=new_log(backend).commit(8).time)
    assert new_log(backend).verify().broken is None
    change = Change(id="0" * 32, operation="upload", entries=(Entry("f0", "make", 2, sha256="a" * 64),))
    _rewrite(backend, 9, changes=(change,))
    verified = new_log(backend).verify()
    assert (verified.broken, "version" in verified.reason) == (9, True)


def test_a_missing_commit_is_broken(backend: DictBackend) -> None:
    """A gap is found."""
    del backend.objects[commit_key(6)]
    assert new_log(backend).verify().broken == 6


def test_frames_may_be_gone_only_where_a_purge_says_so(backend: DictBackend) -> None:
    """Inline frames that are gone are damage until a later commit says that their versions were purged."""
    record = new_log(backend).commit(1).record
    backend.objects[commit_key(1)] = record
    assert new_log(backend).verify().broken == 1
    new_log(backend).append([draft("purge", DraftEntry("f0", version=1))])
    assert new_log(backend).verify().broken is None


def test_an_unreachable_store_is_not_a_broken_log(backend: DictBackend) -> None:
    """What could not be read is not judged."""
    faulty = FaultyBackend(backend)
    faulty.when(lambda call: call.key == commit_key(3), Fault.REFUSED)
    with pytest.raises(Unavailable):
        new_log(faulty).verify()


def test_commits_are_read_anew(backend: DictBackend) -> None:
    """What this process read before is not taken for what is stored now."""
    log = new_log(backend)
    list(log.commits())
    backend.objects[commit_key(2)] = b"junk"
    assert log.verify().broken == 2
    assert isinstance(new_log(backend).commit(1), Commit)
