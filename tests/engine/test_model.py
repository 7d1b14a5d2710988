"""A store does what a dictionary of versions does, on several backends, with two clients at once."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from mlflow_versioned_store.artifact_root import Folder, Item, Stored
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.files import FilesBackend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.history.addresses import format_address
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Crash, Fault, FaultyBackend
from mlflow_versioned_store.testing.models import Content, RootModel
from tests.servers.s3 import S3Server

ROOT = f"1/{'a' * 32}/artifacts"
PATHS = ("a", "a/b", "a/b/c.csv", "a-b", "d/e.txt", "d/ü ö.bin", "deep/er/and/deeper", "z@v1")
CLIENTS = st.sampled_from([0, 1])
# Small ones travel in the commit, large ones in packs; those made by an edit share chunks or become deltas.
SEEDS = st.integers(0, 3)
SIZES = st.sampled_from([0, 1, 1000, 70_000, 400_000])


class StoreMachine(RuleBasedStateMachine):
    """Two clients of one store, in turn and at once, beside the model of one artifact root."""

    open_backend: Callable[[], Backend]

    def __init__(self) -> None:
        super().__init__()
        self.container = type(self).open_backend()
        self.roots = [new_store(self.container, "s").root(ROOT), client(self.container, "s").root(ROOT)]
        self.model = RootModel()
        self.uploads_at_once = 0
        self.folder = tempfile.mkdtemp(prefix="mvs-model-")

    def teardown(self) -> None:
        """Check the whole history once more, as somebody does who comes new to it."""
        try:
            store = client(self.container, "s")
            invariants.check_all(store, ROOT)
            assert {(version.path, version.number) for version in store.root(ROOT).walk()} == self.model.walk()
        finally:
            shutil.rmtree(self.folder)

    @rule(by=CLIENTS, path=st.sampled_from(PATHS), size=SIZES, seed=SEEDS)
    def upload_new(self, by: int, path: str, size: int, seed: int) -> None:
        """Upload content; with few seeds the same comes again, here and at other paths."""
        self._upload(by, {path: random.Random(seed).randbytes(size)})

    @rule(by=CLIENTS, path=st.sampled_from(PATHS), items=st.dictionaries(st.sampled_from(PATHS), SIZES, max_size=4))
    def upload_directory(self, by: int, path: str, items: dict[str, int]) -> None:
        """Upload several files and an empty folder in one change, all below one folder."""
        contents: dict[str, Content] = {f"{path}.d/empty": None}
        for number, (name, size) in enumerate(items.items()):
            contents[f"{path}.d/{number}-{name.replace('/', '-')}"] = random.Random(name).randbytes(size)
        self._upload(by, contents)

    @rule(by=CLIENTS, path=st.sampled_from(PATHS))
    def upload_empty_folder(self, by: int, path: str) -> None:
        """Upload an empty folder, perhaps where a file is."""
        self._upload(by, {path: None})

    @precondition(lambda self: self._files())
    @rule(by=CLIENTS, data=st.data(), as_file=st.booleans())
    def upload_edited(self, by: int, data: st.DataObject, as_file: bool) -> None:
        """Upload an edited version of something, from memory or from a file on disk."""
        path, number = data.draw(st.sampled_from(self._files()))
        content = bytearray(self.model.content(path, number) or b"")
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 50))] = data.draw(st.binary(max_size=50))
        self._upload(by, {path: bytes(content)}, as_files=as_file)

    @precondition(lambda self: self._files())
    @rule(by=CLIENTS, data=st.data())
    def upload_an_old_version_again(self, by: int, data: st.DataObject) -> None:
        """Upload what a path once held, or holds."""
        path, number = data.draw(st.sampled_from(self._files()))
        self._upload(by, {path: self.model.content(path, number)})

    @rule(path=st.sampled_from(PATHS), same=st.booleans(), size=st.sampled_from([10, 70_000]))
    def upload_at_once(self, path: str, size: int, *, same: bool) -> None:
        """Let both clients upload at the same time, to one path or two; the log says who was first."""
        if self.model.refuses({path: b""}):
            return
        # New contents of one size: whoever is first, what can be drawn afterwards is the same.
        self.uploads_at_once += 1
        paths = (path, path if same else f"{path}.d/at once")
        contents = [
            {path: random.Random(f"{by} {self.uploads_at_once}").randbytes(size)} for by, path in enumerate(paths)
        ]

        def upload(by: int) -> list[Stored]:
            items = [Item(path, content) for path, content in contents[by].items()]
            return self.roots[by].upload(items, context=Context(extra={"by": str(by)}))

        with ThreadPoolExecutor(2) as pool:
            stored = list(pool.map(upload, (0, 1)))
        history = client(self.container, "s").root(ROOT).history()
        second, first = (int(commit.changes[0].context["by"]) for commit, _ in zip(history, range(2), strict=False))
        for by in (first, second):
            assert stored[by] == self.model.upload(contents[by])

    @rule(path=st.sampled_from(PATHS), size=st.sampled_from([0, 1, 1000]), at=st.integers(1, 7), after=st.booleans())
    def crash(self, path: str, size: int, at: int, *, after: bool) -> None:
        """Let a third client die at some request of a small upload: all of it happened, or nothing."""
        faulty = FaultyBackend(self.container)
        root = client(faulty, "s").root(ROOT)
        contents: dict[str, Content] = {path: random.Random(at).randbytes(size), f"{path}.d/beside": b"%d" % at}
        faulty.at(at, Fault.CRASH_AFTER if after else Fault.CRASH_BEFORE)
        with contextlib.suppress(Crash, InvalidInput):
            root.upload([Item(*item) for item in contents.items()], context=Context())
        number = next((commit.number for commit in client(self.container, "s").root(ROOT).history()), 0)
        if number > len(self.model.commits):
            self.model.upload(contents)

    @rule(by=CLIENTS)
    def forget(self, by: int) -> None:
        """Let a client begin anew, with nothing cached."""
        self.roots[by] = client(self.container, "s").root(ROOT)

    @rule(by=CLIENTS, path=st.sampled_from((*PATHS, "d", "deep", "nothing", "")))
    def delete(self, by: int, path: str) -> None:
        """Delete a file, a folder, everything or nothing."""
        assert self.roots[by].delete(path, context=Context()) == self.model.delete(path)

    @rule(by=CLIENTS)
    def download_latest(self, by: int) -> None:
        """Download all that is current, in one plan, and find exactly that on disk."""
        target = tempfile.mkdtemp(dir=self.folder)
        versions = [version for version in self.roots[by].walk() if version.kind == "file"]
        for version in versions:
            os.makedirs(os.path.dirname(f"{target}/{version.path}"), exist_ok=True)
        self.roots[by].download([(version, f"{target}/{version.path}") for version in versions])
        found = {path.relative_to(target).as_posix(): path.read_bytes() for path in _files_below(Path(target))}
        expected = {path: self.model.content(path, number) for path, number in self.model.current.items()}
        assert found == {path: content for path, content in expected.items() if content is not None}

    @precondition(lambda self: self._files())
    @rule(by=CLIENTS, data=st.data())
    def read_any_version(self, by: int, data: st.DataObject) -> None:
        """Read any version there ever was by its address, whole and a range of it."""
        path, number = data.draw(st.sampled_from(self._files()))
        content = self.model.content(path, number) or b""
        root = self.roots[by]
        version = root.resolve(format_address(path, number))
        assert version is not None
        assert not isinstance(version, Folder)
        start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(content) + 1)] * 2)))
        assert root.read(version, start, stop) == content[start:stop]
        assert root.read(version) == content

    @rule(by=CLIENTS)
    def list_every_folder(self, by: int) -> None:
        """List every folder there is, and something that is none."""
        for folder in self.model.folders():
            assert self.roots[by].children(folder) == self.model.children(folder)
        assert self.roots[by].children("nothing") == []
        assert self.roots[by].resolve("nothing") is None

    @rule(by=CLIENTS, data=st.data())
    def look_back(self, by: int, data: st.DataObject) -> None:
        """Walk the root as of any commit."""
        if self.model.commits:
            number = data.draw(st.integers(1, len(self.model.commits)))
            walked = {(version.path, version.number) for version in self.roots[by].walk(f"@@c{number}")}
            assert walked == self.model.walk(self.model.commits[number - 1])

    def _upload(self, by: int, contents: dict[str, Content], *, as_files: bool = False) -> None:
        items = [Item(path, content) for path, content in contents.items()]
        if as_files:
            items = [Item(path, self._on_disk(content or b"")) for path, content in contents.items()]
        if self.model.refuses(contents):
            with pytest.raises(InvalidInput, match="a file or a folder, never both"):
                self.roots[by].upload(items, context=Context())
        else:
            assert self.roots[by].upload(items, context=Context()) == self.model.upload(contents)

    def _on_disk(self, content: bytes) -> str:
        path = f"{self.folder}/source"
        Path(path).write_bytes(content)
        return path

    def _files(self) -> list[tuple[str, int]]:
        return [
            (path, number)
            for path, contents in sorted(self.model.versions.items())
            for number, content in enumerate(contents, 1)
            if content is not None
        ]


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def run(backend: Callable[[], Backend], *, examples: int, steps: int) -> None:
    """Run the machine, each time on a new backend."""
    machine = type("Machine", (StoreMachine,), {"open_backend": staticmethod(backend)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_store_in_memory_is_a_dict_of_versions() -> None:
    """On the memory backend any sequence of calls by two clients gives what the model gives."""
    run(lambda: open_memory("model"), examples=80, steps=30)


def test_a_store_of_files_is_a_dict_of_versions(tmp_path: Path) -> None:
    """The same on the files backend."""
    run(lambda: FilesBackend(tempfile.mkdtemp(dir=tmp_path)), examples=15, steps=20)


@pytest.mark.slow
def test_a_store_on_s3_is_a_dict_of_versions(minio: S3Server, s3_env: Callable[[S3Server], None]) -> None:
    """The same on MinIO, with the client and retries that users have."""
    s3_env(minio)
    run(lambda: open_container(f"versioned-s3://{minio.new_bucket()}")[0], examples=4, steps=12)
