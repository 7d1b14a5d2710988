"""Addresses against a model: every path that can exist can be addressed, and literal names win."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mlflow_versioned_store as mvs
from mlflow_versioned_store.errors import InvalidInput, NotFound

NAMES = st.sampled_from(["a", "b", "a@v1", "@v1", "a@c1", "a@", "a@gold", "v1", "@", "a@b@v2", "a@@", "a@v0", "ä b"])
PATHS = st.lists(NAMES, min_size=1, max_size=2).map("/".join)
STEPS = st.lists(st.tuples(st.sampled_from(["upload", "upload", "delete", "restore"]), PATHS), min_size=1, max_size=8)


class Model:
    """What an artifact root must hold: contents of versions by path, and what is current after each commit."""

    def __init__(self) -> None:
        self.versions: dict[str, list[bytes]] = {}
        self.current: dict[str, int] = {}
        self.commits: list[dict[str, int]] = []

    def make(self, path: str, content: bytes) -> None:
        """Make a version."""
        if path in self.current and self.versions[path][self.current[path] - 1] == content:
            self.commits.append(dict(self.current))
            return
        self.versions.setdefault(path, []).append(content)
        self.current[path] = len(self.versions[path])
        self.commits.append(dict(self.current))

    def delete(self, path: str) -> None:
        """Let a path and all below it end."""
        for one in list(self.current):
            if one == path or one.startswith(f"{path}/"):
                del self.current[one]
        self.commits.append(dict(self.current))

    def refuses(self, path: str) -> bool:
        """Tell whether a path is a folder, or below a file."""
        return any(one.startswith(f"{path}/") or path.startswith(f"{one}/") for one in self.current)

    def is_there(self, path: str) -> bool:
        """Tell whether a path is a file or folder now."""
        return any(one == path or one.startswith(f"{path}/") for one in self.current)

    def reads(self) -> Iterator[tuple[str, bytes]]:
        """Yield addresses, and what each must read."""
        for path, contents in self.versions.items():
            for number, content in enumerate(contents, 1):
                yield f"{path}@@v{number}", content
                yield f"{path}@@v{number}/{path.rpartition('/')[2]}", content
        for path, number in self.current.items():
            yield path, self.versions[path][number - 1]
        for commit, current in enumerate(self.commits, 1):
            for path, number in current.items():
                yield f"{path}@@c{commit}", self.versions[path][number - 1]
                yield f"@@c{commit}/{path}", self.versions[path][number - 1]


@pytest.fixture(scope="module")
def store() -> mvs.Store:
    """A store for all examples, each of which has a root of its own."""
    return mvs.open_store(f"versioned-memory://{uuid.uuid4().hex}", create=True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_path_can_be_addressed(store: mvs.Store, steps: list[tuple[str, str]]) -> None:
    """After any history each version is read by its address, a past state by its own, and literal names win."""
    root, model = store.root(f"1/{uuid.uuid4().hex}/artifacts"), Model()
    for number, (step, path) in enumerate(steps):
        if step == "upload" and model.refuses(path):
            with pytest.raises(InvalidInput, match="a file or a folder, never both"):
                root.upload(b"%d" % number, path)
        elif step == "restore" and path in model.versions and model.refuses(path):
            with pytest.raises(InvalidInput, match="a file or a folder, never both"):
                root.restore(f"{path}@@v1")
        elif step == "upload":
            root.upload(b"%d" % number, path)
            model.make(path, b"%d" % number)
        elif step == "restore" and path in model.versions:
            root.restore(f"{path}@@v1")
            model.make(path, model.versions[path][0])
        elif step == "delete" and model.is_there(path):
            root.delete(path)
            model.delete(path)
    assert {entry.path: entry.version.number for entry in root.list(recursive=True) if entry.version} == model.current
    for address, content in model.reads():
        assert root.read_bytes(address) == content


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("ab@vc01/. \\\0é", max_size=12))
def test_no_text_does_harm(store: mvs.Store, text: str) -> None:
    """Any text is a path that can be written and read back, or is refused as input; where nothing is, so it is said."""
    root = store.root(f"1/{uuid.uuid4().hex}/artifacts")
    with pytest.raises((InvalidInput, NotFound)):
        root.get(text)
    try:
        (stored,) = root.upload(b"content", text)
    except InvalidInput:
        assert list(root.history()) == []
        return
    assert root.read_bytes(text) == root.read_bytes(f"{stored.path}@@v1") == b"content"
