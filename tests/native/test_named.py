"""Native objects on stores without object versions: each version under a key of its own."""

from __future__ import annotations

import io
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.contract import Capabilities
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.backends.wrapper import WrapperBackend
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import SourceChanged
from mlflow_versioned_store.native import objects, survey
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client

ROOT = f"1/{'a' * 32}/artifacts"
CONTEXT = Context()
LARGE = random.Random(1).randbytes(20 << 20)


@pytest.fixture(params=["files", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store is that has no object versions."""
    return f"versioned-file://{tmp_path}/lake" if request.param == "files" else f"versioned-memory://{tmp_path.name}/x"


@pytest.fixture
def store(uri: str) -> Store:
    """A store that keeps everything natively."""
    made = create_store(uri)
    made.keep_natively(["**"], CONTEXT)
    return made


def again(uri: str) -> ArtifactRoot:
    """Return the root as another process sees it."""
    return client(*open_container(uri)).root(ROOT)


def upload(root: ArtifactRoot, *items: tuple[str, object]) -> list[bool]:
    """Upload sources; tell which were current already."""
    stored = root.upload([Item(path, source) for path, source in items], context=CONTEXT)  # type: ignore[arg-type]
    return [one.unchanged for one in stored]


def native(store: Store) -> list[str]:
    """Return the keys of all native objects, with the ids of changes left out, sorted."""
    listed = [info.key for info in store.backend.list("1")]
    return sorted(re.sub(r"@@[0-9a-f]{32}/", "@@…/", key).removeprefix(f"{ROOT}/") for key in listed)


def test_every_version_is_a_file_that_keeps_its_name(store: Store, uri: str, tmp_path: Path) -> None:
    """Small, large and streamed versions lie at keys that end in their name, and read back."""
    path = tmp_path / "source"
    path.write_bytes(LARGE)
    upload(store.root(ROOT), ("d/a.csv", b"1"), ("d/b.bin", str(path)), ("s.bin", io.BytesIO(LARGE)), ("empty", b""))
    upload(again(uri), ("d/a.csv", b"2"))
    assert native(store) == [
        "d/a.csv@@…/a.csv",
        "d/a.csv@@…/a.csv",
        "d/b.bin@@…/b.bin",
        "empty@@…/empty",
        "s.bin@@…/s.bin",
    ]
    root = again(uri)
    assert [root.read(version) for version in root.versions("d/a.csv")] == [b"1", b"2"]
    assert root.read(root.versions("d/b.bin")[0]) == root.read(root.versions("s.bin")[0]) == LARGE
    assert root.read(root.versions("empty")[0]) == b""


def test_content_that_is_current_is_not_written_again(store: Store, uri: str) -> None:
    """Logged again nothing is written, whatever its size."""
    items = (("small", b"1"), ("large", LARGE))
    upload(store.root(ROOT), *items)
    before = native(store)
    assert upload(again(uri), *items) == [True, True]
    assert native(store) == before


class Remote(WrapperBackend):
    """A store that is written over a network, such as Google's or Azure's."""

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """As the inner backend, but far away."""
        return replace(self.inner.capabilities, remote=True)


def test_what_cannot_be_one_object_is_packed_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where one request writes an object, streams and large files are packed; one warning names the first path."""
    monkeypatch.setattr(objects, "_WHOLE_BYTES_MAX", 100)
    store = create_store(f"versioned-memory://{tmp_path.name}/far")
    store.keep_natively(["**"], CONTEXT)
    container, path = open_container(f"versioned-{store.location}")
    root = client(Remote(container), path).root(ROOT)
    upload(root, ("small", b"1"))
    assert caplog.messages == []
    upload(root, ("large", bytes(101)), ("stream", io.BytesIO(b"2")), ("small", b"2"))
    (message,) = caplog.messages
    assert "2 paths, such as 'large', since a file over 256 MiB cannot be written to memory://" in message
    assert native(store) == ["small@@…/small", "small@@…/small"]
    upload(root, ("stream", io.BytesIO(b"3")))
    assert "such as 'stream', since a stream" in caplog.messages[1]
    assert [root.read(version) for version in root.versions("stream")] == [b"2", b"3"]


def test_a_deletion_leaves_all_keys(store: Store, uri: str) -> None:
    """A key has one version for ever, so a deletion hides none; the version stays readable."""
    upload(store.root(ROOT), ("a", b"1"))
    assert again(uri).delete("a", context=CONTEXT) == 1
    assert native(store) == ["a@@…/a"]
    root = again(uri)
    assert root.walk() == []
    assert root.read(root.versions("a")[0]) == b"1"
    assert root.settle() == 0


def test_a_file_that_changes_is_refused(store: Store, uri: str, tmp_path: Path) -> None:
    """A file that grows while it is read makes no version."""
    path = tmp_path / "growing"
    path.write_bytes(LARGE)

    class Growing:
        def add(self, _: int) -> None:
            with path.open("ab") as file:
                file.write(b"more")

        def close(self) -> None:
            """Nothing to do."""

    with pytest.raises(SourceChanged, match="growing"):
        store.root(ROOT).upload([Item("growing", str(path))], context=CONTEXT, progress=Growing())
    assert list(again(uri).history()) == []


def test_what_no_commit_names_is_found_and_removed(store: Store, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Foreign files are told from what a crashed writer left, which goes after the grace period."""
    upload(store.root(ROOT), ("a", b"1"))
    left = f"{ROOT}/a@@{'0' * 32}/a"
    for key in (left, f"{ROOT}/foreign"):
        store.backend.put(key, b"x")
    found = again(uri).survey()
    assert [one.key for one in found.foreign] == [f"{ROOT}/foreign"]
    assert [one.key for one in found.pending] == [left]
    monkeypatch.setattr(survey, "GRACE_SECONDS", 0.0)
    survey.remove(store.backend, again(uri).survey().orphans)
    assert native(store) == ["a@@…/a", "foreign"]
