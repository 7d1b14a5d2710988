"""Checking a whole log: every commit, the chain that links them, their frames, the numbers of their versions."""

from __future__ import annotations

from typing import NamedTuple

from mlflow_versioned_store.errors import Damaged, Unsupported
from mlflow_versioned_store.history.commits import Commits
from mlflow_versioned_store.history.records import Commit


class Verified(NamedTuple):
    """The outcome of checking a log.

    Args:
        commits: How many commits there are.
        broken: The first commit that fails a check, None where all are sound.
        reason: What is wrong with it.
    """

    commits: int
    broken: int | None = None
    reason: str = ""


def verify(commits: Commits) -> Verified:
    """Check all commits. One request each, one a part of a very large change, and a list a thousand commits.

    Raises:
        Unavailable: The store cannot be reached; nothing is said of the log.
        AccessDenied: It may not be read.
    """
    newest = commits.highest()
    walk = _Walk(commits)
    for number in range(1, newest + 1):
        try:
            commits.forget(number)
            walk.check(commits.required(number))
        except (Damaged, Unsupported) as wrong:
            return Verified(newest, number, str(wrong))
    unpurged = [Verified(newest, number, reason) for number, reason in walk.without_frames.values()]
    return min(unpurged, key=lambda found: found.broken or 0, default=Verified(newest))


class _Walk:
    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._before: Commit | None = None
        self._latest: dict[str, int] = {}
        # Versions whose frames are gone: sound if a later commit says that they were purged.
        self.without_frames: dict[tuple[str, int], tuple[int, str]] = {}

    def check(self, commit: Commit) -> None:
        if commit.parent != (self._before.digest if self._before else ""):
            raise Damaged(f"Commit {commit.number} does not name the digest of the commit before it.")
        if self._before is not None and commit.time < self._before.time:
            raise Damaged(f"Commit {commit.number} claims to be older than the commit before it.")
        self._before = commit
        for index, change in enumerate(commit.changes):
            entries = self._commits.entries(change)
            for entry in entries:
                if entry.action == "make":
                    self._count(entry.path, entry.version, commit.number)
                elif entry.action == "purge":
                    self.without_frames.pop((entry.path, entry.version), None)
            if change.frames is None:
                continue
            try:
                self._commits.frames(commit.number, index)
            except Damaged as damage:
                gone = {(entry.path, entry.version) for entry in entries if entry.action == "make"}
                if not gone:
                    raise
                self.without_frames.update(dict.fromkeys(gone, (commit.number, str(damage))))

    def _count(self, path: str, version: int, number: int) -> None:
        expected = self._latest.get(path, 0) + 1
        if version != expected:
            raise Damaged(f"Commit {number} makes version {version} of {path!r}, where version {expected} is next.")
        self._latest[path] = version
