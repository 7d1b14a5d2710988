"""Finding similar content without a server: empty objects that lead from sampled tail fingerprints to an index."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future

from mlflow_versioned_store import keys
from mlflow_versioned_store.content.domain import Domain
from mlflow_versioned_store.content.locations import IndexName
from mlflow_versioned_store.content.segments import Segment
from mlflow_versioned_store.content.workers import looking_up, sending

SAMPLED_ALWAYS = 4096
_SMALL_BYTES = 8 << 20
_MEDIUM_BYTES = 256 << 20
_MEDIUM_HOOKS = 8
_LISTED = 64
_VOTES = 8


def sample(segment: Segment) -> list[int]:
    """Return the fingerprints that stand for a segment: its smallest, then those divisible by 4096."""
    tails = {chunk.tail for chunk in segment.chunks}
    smallest = min(tails)
    return [smallest, *sorted(tail for tail in tails if tail % SAMPLED_ALWAYS == 0 and tail != smallest)]


def chosen(samples: Sequence[int], size: int) -> list[int]:
    """Return which sampled fingerprints an upload of `size` bytes hooks: one below 8 MiB, 8 below 256 MiB, else all."""
    count = 1 if size < _SMALL_BYTES else _MEDIUM_HOOKS if size < _MEDIUM_BYTES else len(samples)
    return sorted(set(samples))[:count]


def look_up(domain: Domain, fingerprints: Sequence[int]) -> list[Future[list[IndexName]]]:
    """Start one LIST a fingerprint; each returns the indexes it leads to, newest first."""
    return [looking_up.submit(_names, domain, fingerprint) for fingerprint in fingerprints[:_VOTES]]


def agreed(found: Sequence[Sequence[IndexName] | None]) -> list[IndexName]:
    """Return the indexes that hooks lead to, the one that most agree on first, newer before older."""
    votes: Counter[IndexName] = Counter()
    for names in found:
        votes.update(dict.fromkeys(names or (), 1))
    return [name for name, _ in votes.most_common()]


def write(domain: Domain, fingerprints: Sequence[int], index: IndexName) -> list[Future[object]]:
    """Start one PUT a fingerprint."""
    now = int(time.time() * 1000)
    return [
        sending.submit(domain.backend.put_named, keys.hook(domain.name, fingerprint, now, index.digest), b"")
        for fingerprint in fingerprints
    ]


def _names(domain: Domain, fingerprint: int) -> list[IndexName]:
    is_ordered = domain.backend.capabilities.ordered_list
    listed = domain.backend.list(keys.hooks(domain.name, fingerprint), limit=_LISTED if is_ordered else None)
    digests = (keys.hook_index(key) for key in sorted(info.key for info in listed)[:_LISTED])
    return [IndexName(domain.name, digest) for digest in digests if digest]
