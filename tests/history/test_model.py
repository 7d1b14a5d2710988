"""Two clients at once against a dictionary: whatever is done in whatever order, the log agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history import checkpoints
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import DraftEntry
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend
from tests.history.making import DictBackend, draft, file, new_log, sha256

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from([b"1", b"2", b"3"])
CLIENTS = st.integers(0, 1)


@dataclass
class _Model:
    """What the store should hold: all versions ever made of a path, and which paths are current."""

    versions: dict[str, list[str]] = field(default_factory=dict)
    current: set[str] = field(default_factory=set)

    def upload(self, path: str, content: str) -> None:
        if path in self.current and self.versions[path][-1] == content:
            return
        self.versions.setdefault(path, []).append(content)
        self.current.add(path)

    def refuses(self, paths: Sequence[str]) -> bool:
        """Tell whether one of the paths, made in turn, is a folder or lies below a file."""
        there = self.current | set(paths)
        return any(one.startswith(f"{other}/") for one in there for other in there)


class Clients(RuleBasedStateMachine):
    """Two clients that know each other only through the store, whose answers get lost now and then."""

    @initialize()
    def start(self) -> None:
        """Begin with nothing; checkpoints come early, so that levels are folded often."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(checkpoints, "COMMITS_MAX", 3)
        self.patch.setattr(checkpoints, "GROWTH", 2)
        self.store = DictBackend()
        self.backends = [FaultyBackend(self.store) for _ in range(2)]
        self.logs = [new_log(backend) for backend in self.backends]
        self.model = _Model()
        self.past: list[tuple[int, frozenset[str]]] = []

    def teardown(self) -> None:
        """Undo the patches."""
        if hasattr(self, "patch"):
            self.patch.undo()

    @rule(
        client=CLIENTS,
        files=st.lists(st.tuples(PATHS, CONTENTS), min_size=1, max_size=4),
        fault=st.none() | st.integers(1, 3),
    )
    def upload(self, client: int, files: list[tuple[str, bytes]], fault: int | None) -> None:
        """Log some files in one change; the answer to one create may get lost."""
        if self.model.refuses([path for path, _ in files]):
            with pytest.raises(InvalidInput, match="a file or a folder, never both"):
                self.logs[client].append([draft("upload", *(file(path, data) for path, data in files))])
            return
        if fault is not None:
            backend = self.backends[client]
            wanted = len(backend.calls) + fault
            backend.when(lambda call: call.create and call.number == wanted, Fault.LOST)
        appended = self.logs[client].append([draft("upload", *(file(path, data) for path, data in files))])[0]
        for (path, data), version in zip(files, appended.versions, strict=True):
            self.model.upload(path, sha256(data))
            assert version is not None
            assert (version.path, version.number, version.sha256) == (
                path,
                len(self.model.versions[path]),
                sha256(data),
            )
        self._remember(appended.commit)

    @rule(client=CLIENTS, folder=PATHS | st.just(""))
    def delete(self, client: int, folder: str) -> None:
        """Delete a path and all below it."""
        appended = self.logs[client].append([draft("delete", DraftEntry(folder, kind="folder"))])[0]
        gone = {path for path in self.model.current if not folder or path == folder or path.startswith(folder + "/")}
        assert {version.path for version in appended.deleted} == gone
        self.model.current -= gone
        self._remember(appended.commit)

    @rule(client=CLIENTS)
    def restart(self, client: int) -> None:
        """A client forgets all that it knows."""
        self.logs[client] = new_log(self.backends[client])

    @rule(data=st.data())
    def lose_a_checkpoint(self, data: st.DataObject) -> None:
        """A checkpoint disappears."""
        shortcuts = sorted(key for key in self.store.objects if "/_k/" in key)
        if shortcuts:
            del self.store.objects[data.draw(st.sampled_from(shortcuts))]

    @rule(client=CLIENTS, data=st.data())
    def look_back(self, client: int, data: st.DataObject) -> None:
        """The past is what it was."""
        if self.past:
            number, current = data.draw(st.sampled_from(self.past))
            assert {version.path for version in self.logs[client].state_at(commit=number).walk()} == current

    @invariant()
    def agree(self) -> None:
        """Both clients see what the dictionary holds."""
        if not hasattr(self, "logs"):
            return
        for log in self.logs:
            self._check(log)

    def _remember(self, number: int) -> None:
        self.past.append((number, frozenset(self.model.current)))

    def _check(self, log: Log) -> None:
        state = log.state()
        assert {version.path for version in state.walk()} == self.model.current
        for path, contents in self.model.versions.items():
            versions = state.versions(path)
            assert [version.sha256 for version in versions] == contents
            assert [version.number for version in versions] == list(range(1, len(contents) + 1))
            assert (state.get(path) is not None) == (path in self.model.current)
        top = {path.partition("/")[0] for path in self.model.current}
        assert [name for name, _ in state.children("")] == sorted(top)


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
