"""What must hold of any artifact root at any time, each with a name; checked from outside, by a client of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from mlflow_versioned_store import keys
from mlflow_versioned_store.content.locations import decode_content
from mlflow_versioned_store.content.sightings import is_there
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.store import Store


def log_of(store: Store, root: str) -> Log:
    """Return the log of an artifact root, with nothing cached."""
    return Log(store.backend, keys.log(root), root=root, digest=store.marker.digest)


def check_all(store: Store, root: str) -> None:
    """Check every invariant below."""
    commits_are_chained(store, root)
    versions_have_no_gaps(store, root)
    commits_name_durable_packs(store, root)
    every_version_reads(store, root)


def commits_are_chained(store: Store, root: str) -> None:
    """Commits have no gaps, each names the digest of the one before, and their inline frames are whole."""
    verified = log_of(store, root).verify()
    assert verified.broken is None, f"commit {verified.broken} of {root!r}: {verified.reason}"


def versions_have_no_gaps(store: Store, root: str) -> None:
    """The versions of each path are 1, 2, 3 …, made by commits in this order."""
    state = log_of(store, root).state()
    for path in paths(store, root):
        versions = state.versions(path)
        assert [version.number for version in versions] == list(range(1, len(versions) + 1)), path
        commits = [version.commit for version in versions]
        assert commits == sorted(commits), path


def commits_name_durable_packs(store: Store, root: str) -> None:
    """Every pack that a commit names exists with its size, and every lender is what it was."""
    for commit in log_of(store, root).commits(newest_first=False):
        for change in commit.changes:
            content = decode_content(change.content)
            for holder in (*content.packs, *content.bases):
                found = is_there(store.backend, holder)
                assert found, f"commit {commit.number} of {root!r} names the {holder}, which is not there"


def every_version_reads(store: Store, root: str) -> None:
    """Every version of a file reads byte for byte what was committed, also those that are no longer current."""
    artifacts = store.root(root)
    for version in all_versions(store, root):
        if version.kind == "file":
            data = artifacts.read(version)
            assert len(data) == version.size, version.path
            # What was taken in unread has none.
            assert version.sha256 in ("", hashlib.sha256(data).hexdigest()), version.path


def paths(store: Store, root: str) -> list[str]:
    """Return every path that ever was in an artifact root."""
    log = log_of(store, root)
    found = {
        entry.path
        for commit in log.commits()
        for change in commit.changes
        for entry in log.entries(change)
        if entry.action == "make"
    }
    return sorted(found)


def all_versions(store: Store, root: str) -> Iterator[Version]:
    """Yield every version of every path of an artifact root."""
    state = log_of(store, root).state()
    for path in paths(store, root):
        yield from state.versions(path)
