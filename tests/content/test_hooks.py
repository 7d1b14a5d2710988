"""Hooks: which fingerprints are sampled and kept, what they lead to, and who wins."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store import keys
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import hooks
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.segments import Chunk, Scanned, Segment
from tests.content.making import MIB, domain_of, edited, noise, rows, store, stored_bytes, text
from tests.history.making import DictBackend


def segment(tails: list[int]) -> Segment:
    """Return a segment of chunks with these fingerprints."""
    return Segment([Chunk(Scanned(), b"", bytes(32), tail) for tail in tails])


def name(number: int) -> IndexName:
    """Return the name of an index."""
    return IndexName("all", f"{number:064x}")


@given(tails=st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 50).map(lambda n: n * 4096), min_size=1))
def test_the_smallest_and_every_4096th_are_sampled(tails: list[int]) -> None:
    """What is sampled depends on the content alone: its smallest fingerprint, then those divisible by 4096."""
    sampled = hooks.sample(segment(tails))
    assert sampled[0] == min(tails)
    assert set(sampled) == {min(tails)} | {tail for tail in tails if tail % 4096 == 0}
    assert len(sampled) == len(set(sampled))
    assert hooks.sample(segment(tails[::-1])) == sampled


@pytest.mark.parametrize(
    ("size", "count"),
    [(0, 1), (8 * MIB - 1, 1), (8 * MIB, 8), (256 * MIB - 1, 8), (256 * MIB, 20), (1 << 40, 20)],
)
def test_small_uploads_write_few_hooks(size: int, count: int) -> None:
    """One below 8 MiB, eight below 256 MiB, else all; the smallest ones, each once."""
    samples = [*range(100, 80, -1), *range(81, 101)]
    assert hooks.chosen(samples, size) == list(range(81, 81 + count))
    assert hooks.chosen([], size) == []


def test_the_index_that_most_hooks_agree_on_comes_first() -> None:
    """Votes decide, then age: newer before older; what was not found has no vote."""
    found = [[name(1), name(2)], None, [name(2)], [], [name(3), name(2), name(3)], [name(3)]]
    assert hooks.agreed(found) == [name(2), name(3), name(1)]
    assert hooks.agreed([[name(5), name(4)]]) == [name(5), name(4)]
    assert hooks.agreed([]) == []


@pytest.mark.parametrize("ordered", [True, False])
def test_a_hook_leads_to_its_index_newest_first(ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks of one fingerprint lead to indexes, newest first, in whatever order they are listed; others to none."""
    domain = domain_of(DictBackend(ordered=ordered))
    for number in (1, 2, 3):
        monkeypatch.setattr(time, "time", lambda seconds=number: 1.7e9 + seconds)
        for write in hooks.write(domain, [7, 8], name(number)):
            write.result()
    seven, nine = hooks.look_up(domain, [7, 9])
    assert seven.result() == [name(3), name(2), name(1)]
    assert nine.result() == []


def test_what_is_no_hook_is_passed_over() -> None:
    """Objects that somebody else put there lead nowhere."""
    domain = domain_of(open_memory("hooks"))
    folder = keys.hooks("all", 7)
    for key in (f"{folder}/note", f"{folder}/00000000000001-xyz", f"{folder}/1-{'AB' * 32}"):
        domain.backend.put(key, b"")
    assert hooks.look_up(domain, [7])[0].result() == []


def test_no_more_than_eight_fingerprints_are_looked_up() -> None:
    """A segment of a sorted column could have thousands."""
    assert len(hooks.look_up(domain_of(open_memory("hooks")), range(100))) == 8


def test_a_known_file_gets_no_new_hook() -> None:
    """Where the look-up found enough, nothing new is written for later ones to look up."""
    backend = open_memory("hooks")
    lines = rows(1, 60_000)
    store(domain_of(backend), text(lines))
    first = {info.key for info in backend.list(f"{keys.domain_folder('all')}/hooks")}
    assert len(first) == 1
    before = stored_bytes(backend)
    store(domain_of(backend), noise("other", 2 * MIB))
    assert stored_bytes(backend) > before + 2 * MIB
    assert len(list(backend.list(f"{keys.domain_folder('all')}/hooks"))) == 2
    domain = domain_of(backend)
    uploaded = store(domain, text(edited(lines, 1)))
    store(domain, text(edited(edited(lines, 1), 2)), hints=[IndexName(*one) for one in uploaded.content["indexes"]])
    assert len(list(backend.list(f"{keys.domain_folder('all')}/hooks"))) <= 3
