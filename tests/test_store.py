"""The facade: stores, their artifact roots, and what happens in them."""

from __future__ import annotations

import io
import logging
import random
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlflow_versioned_store import keys, marker
from mlflow_versioned_store import store as store_module
from mlflow_versioned_store.artifact_root import ArtifactRoot, Child, Folder, Item, Stored
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.catalog.inventory import take_inventory
from mlflow_versioned_store.content.clock import elapsed
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import (
    Damaged,
    InvalidInput,
    LocalStorageFailed,
    SourceChanged,
    Unavailable,
    Unsupported,
)
from mlflow_versioned_store.settings import PLAIN, Settings, change_settings
from mlflow_versioned_store.store import Store, open_store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend

RUN, OTHER = "a" * 32, "b" * 32
ROOT, NEIGHBOUR, ELSEWHERE = f"1/{RUN}/artifacts", f"1/{OTHER}/artifacts", f"2/{RUN}/artifacts"
CONTEXT = Context(user="ann", run_id=RUN)


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def packs(store: Store) -> dict[str, int]:
    """Return the sizes of the store's packs by their keys."""
    return {info.key: info.size for info in store.backend.list(f"{keys.RESERVED}/data") if "/packs/" in info.key}


def upload(store: Store, data: bytes, root: str = ROOT, path: str = "file") -> Stored:
    """Upload one file."""
    (stored,) = store.root(root).upload([Item(path, data)], context=CONTEXT)
    return stored


@pytest.fixture
def container() -> Backend:
    """An empty container."""
    return open_memory("store")


@pytest.fixture
def store(container: Backend) -> Store:
    """A new store in it."""
    return new_store(container)


@pytest.fixture
def root(store: Store) -> ArtifactRoot:
    """An artifact root of that store."""
    return store.root(ROOT)


@pytest.fixture
def faulty(container: Backend, store: Store) -> FaultyBackend:
    """The container of the store behind requests that can go wrong."""
    return FaultyBackend(container)


def test_a_store_is_opened_once_in_a_process() -> None:
    """Whoever opens a store shares it, and whoever finds another one in its place gets that."""
    uri = f"versioned-memory://{uuid.uuid4().hex}"
    container, _ = open_container(uri)
    first, path = open_store(f"{uri}/{ROOT}/data", write=True)
    assert path == f"{ROOT}/data"
    assert open_store(uri)[0] is first
    assert first.root(ROOT) is first.root(ROOT)
    assert open_store(uri)[0].backend.location == container.location


def test_a_path_is_split_at_its_root(store: Store) -> None:
    """`place` cleans a path of the store and splits it, and refuses one that could do harm."""
    assert store.place(f"/{ROOT}/data/") == (ROOT, "data")
    with pytest.raises(InvalidInput):
        store.place(f"{ROOT}/../x")


def test_roots_below_a_path(store: Store) -> None:
    """Every artifact root with a history at or below a path is found, the store's own included."""
    assert store.roots_below("") == []
    for name in (ROOT, NEIGHBOUR, ELSEWHERE, f"1/models/m-{RUN}/artifacts", "", "_odd/x~"):
        upload(store, b"x", name)
    assert store.roots_below("") == sorted(["", ROOT, NEIGHBOUR, ELSEWHERE, f"1/models/m-{RUN}/artifacts", "_odd/x~"])
    assert store.roots_below("1") == sorted([ROOT, NEIGHBOUR, f"1/models/m-{RUN}/artifacts"])
    assert store.roots_below(ROOT) == [ROOT]
    assert store.roots_below("3") == []


def test_a_root_whose_name_is_too_long_for_a_key_is_listed_by_name(store: Store) -> None:
    """Its key has a hash in place of the name; its commits tell it, and whoever lists folders sees it too."""
    long = f"team/{'ü' * 100}/{RUN}/artifacts"
    upload(store, b"x", long)
    assert store.roots_below("") == store.roots_below(long.removesuffix("/artifacts")) == [long]
    assert (store.folders("team"), store.folders("team/" + "ü" * 100)) == (["ü" * 100], [RUN])
    assert take_inventory(store).newest_root == long
    upload(store, b"x", ROOT)
    store.backend.put(keys.commit(keys.log(long), 1), store.backend.get(keys.commit(keys.log(ROOT), 1)).data)
    with pytest.raises(Damaged, match="elsewhere"):
        store.roots_below("")


def test_what_is_uploaded_can_be_read(root: ArtifactRoot, tmp_path: Path) -> None:
    """Bytes, files, streams and empty folders go up in one change and come back."""
    (tmp_path / "on disk").write_bytes(noise(300_000))
    stored = root.upload(
        [
            Item("bytes", b"abc"),
            Item("d/file", tmp_path / "on disk"),
            Item("d/stream", io.BytesIO(noise(100_000, 2))),
            Item("d/empty", b""),
            Item("nothing here", None),
        ],
        context=CONTEXT,
    )
    assert stored == [
        Stored("bytes", 1, unchanged=False, size=3),
        Stored("d/file", 1, unchanged=False, size=300_000),
        Stored("d/stream", 1, unchanged=False, size=100_000),
        Stored("d/empty", 1, unchanged=False, size=0),
        Stored("nothing here", 1, unchanged=False, size=0),
    ]
    assert {version.path: root.read(version) for version in root.walk() if version.kind == "file"} == {
        "bytes": b"abc",
        "d/file": noise(300_000),
        "d/stream": noise(100_000, 2),
        "d/empty": b"",
    }
    assert root.children("") == [
        Child("bytes", "bytes", is_folder=False, size=3, version=1),
        Child("d", "d", is_folder=True, size=None, version=None),
        Child("nothing here", "nothing here", is_folder=True, size=None, version=None),
    ]
    assert root.children("bytes") == root.children("nothing here") == root.children("no such") == []
    assert [commit.number for commit in root.history()] == [1]


def test_a_commit_says_who_made_it(root: ArtifactRoot) -> None:
    """What the context says is in the history, and how it is known."""
    root.upload([Item("a", b"a")], context=Context(user="ann", user_known="mlflow-login", run_id=RUN, model_id="m-1"))
    (change,) = next(root.history()).changes
    assert change.operation == "upload"
    assert change.who == {"user": {"name": "ann", "known": "mlflow-login"}}
    assert change.context == {"run_id": RUN, "model_id": "m-1"}


def test_unchanged_content_makes_no_version(root: ArtifactRoot, store: Store) -> None:
    """The same content again is the same version, and is recorded as having changed nothing."""
    data = noise(300_000)
    assert upload(store, data).version == 1
    before = packs(store)
    assert upload(store, data) == Stored("file", 1, unchanged=True, size=len(data))
    assert packs(store) == before
    (change,) = next(root.history()).changes
    assert (change.entries, change.unchanged and change.unchanged.addresses) == ((), ("file@@v1",))


@pytest.mark.parametrize(
    "paths",
    [["a", "a"], ["a", "/a/"], ["a", "a/b"], ["a/b/c", "a"], [""], ["../a"], ["a/_mvs/b"], ["a", "b//c"], ["a\0"]],
)
def test_what_can_never_be_uploaded(root: ArtifactRoot, paths: list[str]) -> None:
    """Impossible paths and combinations of them are refused before anything is written."""
    with pytest.raises(InvalidInput):
        root.upload([Item(path, b"x") for path in paths], context=CONTEXT)
    assert list(root.history()) == []


def test_a_source_that_cannot_be_read_leaves_nothing(root: ArtifactRoot, tmp_path: Path) -> None:
    """One bad source of several: an error that names it, no version of any, no commit."""
    good = Item("good", noise(400_000))
    for bad in (tmp_path / "absent", tmp_path):
        with pytest.raises(LocalStorageFailed, match=str(bad)):
            root.upload([good, Item("bad", bad)], context=CONTEXT)

    class Broken(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise SourceChanged("It broke off.")

    with pytest.raises(SourceChanged):
        root.upload([good, Item("bad", Broken())], context=CONTEXT)
    assert root.walk() == []
    assert list(root.history()) == []


def test_deleting_keeps_the_versions(root: ArtifactRoot, store: Store) -> None:
    """What is deleted is gone from listings and readable by its address; deleting nothing is no change."""
    for path in ("d/a", "d/b", "e"):
        upload(store, path.encode(), path=path)
    assert root.delete("d", context=CONTEXT) == 2
    assert root.delete("d", context=CONTEXT) == 0
    assert root.delete("no/such", context=CONTEXT) == 0
    assert [version.path for version in root.walk()] == ["e"]
    assert root.resolve("d/a") is None
    old = root.resolve("d/a@@v1")
    assert old is not None
    assert not isinstance(old, Folder)
    assert root.read(old) == b"d/a"
    assert root.delete(context=CONTEXT) == 1
    assert root.walk() == []
    assert len(list(root.history())) == 5


def test_nothing_there_is_not_unreachable(faulty: FaultyBackend) -> None:
    """A path that does not exist is None; where the store cannot be asked that is an error, never None or emptiness."""
    root = client(faulty).root(ROOT)
    upload(client(faulty), b"x")
    assert root.resolve("no such") is None
    faulty.when(lambda call: "/_c" in call.key, Fault.REFUSED)
    asking: list[Callable[[], Any]] = [
        lambda: root.resolve("file"),
        root.children,
        root.walk,
        lambda: root.versions("file"),
        lambda: root.delete(context=CONTEXT),
    ]
    for ask in asking:
        with pytest.raises(Unavailable):
            ask()


class Told:
    """A progress bar that only counts."""

    def __init__(self) -> None:
        self.total = 0

    def add(self, size: int, /) -> None:
        """Count."""
        self.total += size

    def close(self) -> None:
        """Nothing is shown."""


def test_progress_is_told_of_every_byte(root: ArtifactRoot, tmp_path: Path) -> None:
    """Up and down, the bytes told add up to the bytes of the files."""
    sizes = {"inline": 1000, "packed": 400_000, "empty": 0}
    up, down = Told(), Told()
    root.upload([Item(path, noise(size)) for path, size in sizes.items()], context=CONTEXT, progress=up)
    root.download([(version, f"{tmp_path}/{version.path}") for version in root.walk()], progress=down)
    assert up.total == down.total == sum(sizes.values())
    assert {path: (tmp_path / path).stat().st_size for path in sizes} == sizes


@pytest.mark.parametrize(("start", "stop", "expected"), [(0, 0, 0), (5, 5, 0), (7, 3, 0), (0, 10**9, 400_000)])
def test_ranges_stay_inside_a_version(root: ArtifactRoot, store: Store, start: int, stop: int, expected: int) -> None:
    """A range is cut at the end of the version, and an empty one costs nothing."""
    upload(store, noise(400_000))
    assert len(root.read(root.walk()[0], start, stop)) == expected


def test_dedup_can_be_turned_off(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MVS_DEDUP=off content that is there is stored again, from another run; with it, it is not."""
    data = noise(400_000)
    upload(store, data)
    upload(store, data, NEIGHBOUR)
    assert len(packs(store)) == 1
    monkeypatch.setenv("MVS_DEDUP", "off")
    upload(store, data, ELSEWHERE)
    assert len(packs(store)) == 2
    invariants.check_all(store, ELSEWHERE)
    assert leans(store, ELSEWHERE) == 0


def leans(store: Store, root: str = ROOT) -> int:
    """Return how many packs are leaned on by the deltas of a root's newest commit."""
    return len(next(store.root(root).history()).changes[0].content.get("leans", []))


@pytest.mark.parametrize(("switch", "few"), [("on", True), ("off", False)])
def test_deltas_can_be_turned_off(store: Store, monkeypatch: pytest.MonkeyPatch, switch: str, *, few: bool) -> None:
    """With MVS_DELTA=off a changed chunk is stored whole; without it, only what changed."""
    monkeypatch.setenv("MVS_DELTA", switch)
    data = bytearray(b"".join(b"%d,%d\n" % (row, random.Random(row).getrandbits(64)) for row in range(20_000)))
    upload(store, bytes(data))
    before = packs(store)
    for at in range(0, len(data), 10_000):
        data[at] = 33
    upload(store, bytes(data))
    (old,), (new,) = before, packs(store).keys() - before.keys()
    assert (packs(store)[new] < packs(store)[old] / 5) is few
    assert (leans(store) > 0) is few
    invariants.check_all(store, ROOT)


def test_experiments_share_nothing_where_that_is_set(store: Store) -> None:
    """With the scope "experiment" bytes are shared by the runs of one experiment and by no others."""
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, CONTEXT.who())
    data = noise(400_000)
    for root in (ROOT, NEIGHBOUR, ELSEWHERE):
        upload(client(store.backend), data, root)
    assert sorted(key.split("/")[2] for key in packs(store)) == ["experiment-1", "experiment-2"]
    for root in (ROOT, NEIGHBOUR, ELSEWHERE):
        invariants.check_all(store, root)


@pytest.mark.parametrize("fault", [Fault.DENY, Fault.REFUSED, 3.0], ids=str)
def test_settings_that_cannot_be_read_only_cost_space(
    faulty: FaultyBackend, fault: Fault | float, caplog: pytest.LogCaptureFixture
) -> None:
    """Forbidden, failing or slow settings: uploads succeed, lean on nothing, and there is one warning in all."""
    data = noise(400_000)
    upload(client(faulty), data)
    faulty.when(lambda call: call.key.startswith(keys.SETTINGS_LOG), fault)
    store = client(faulty)
    for root in (NEIGHBOUR, ELSEWHERE):
        upload(store, data, root)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.name for record in warnings] == ["mlflow_versioned_store"]
    assert "Storing plainly" in warnings[0].getMessage()
    assert len(packs(store)) == 3
    faulty.clear()
    invariants.check_all(client(faulty), NEIGHBOUR)


def test_threads_are_warned_once(faulty: FaultyBackend, caplog: pytest.LogCaptureFixture) -> None:
    """Many threads that need the settings at once read them once, and warn once where that fails."""
    faulty.when(lambda call: call.key.startswith(keys.SETTINGS_LOG), 0.2)
    faulty.when(lambda call: call.key.startswith(keys.SETTINGS_LOG), Fault.DENY)
    store = client(faulty)
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: store.settings, range(16))) == {PLAIN}
    assert len(caplog.records) == 1
    assert sum(call.key.startswith(keys.SETTINGS_LOG) for call in faulty.calls) == 1


def test_settings_are_tried_again_later(faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment of trouble does not turn deduplication off for the life of a server."""
    faulty.when(lambda call: call.key.startswith(keys.SETTINGS_LOG), Fault.REFUSED)
    store = client(faulty)
    assert store.settings == PLAIN
    faulty.clear()
    assert store.settings == PLAIN
    monkeypatch.setattr(store_module, "elapsed", lambda: elapsed() + 3600)
    assert store.settings == Settings()


def test_damaged_settings_only_cost_space(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Settings that are no settings are told of once, and an upload succeeds."""
    store.backend.put(keys.commit(keys.SETTINGS_LOG, 1), b"not settings")
    upload(store, noise(400_000))
    upload(store, noise(400_000), NEIGHBOUR)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert len(packs(store)) == 2


@pytest.mark.parametrize("needs", ["needs_to_read", "needs_to_write"])
def test_settings_that_need_a_newer_release_are_refused_by_name(store: Store, needs: str) -> None:
    """A store upgraded by its operator is not written by a release that lacks what it needs."""
    upload(store, b"before")
    change_settings(store.settings_log, {needs: ["signing"]}, CONTEXT.who())
    later = client(store.backend)
    with pytest.raises(Unsupported, match="signing"):
        upload(later, b"after")
    assert [version.number for version in later.root(ROOT).versions("file")] == [1]


def test_a_marker_that_forbids_writing_allows_reading(container: Backend) -> None:
    """Where only writers need a feature, versions are still read."""
    upload(new_store(container), b"before")
    made = marker.decode(container.get(keys.MARKER).data, keys.MARKER)
    container.put(keys.MARKER, marker.encode(replace(made, needs_to_write=("signing",))))
    later = client(container)
    assert later.root(ROOT).read(later.root(ROOT).walk()[0]) == b"before"
    with pytest.raises(Unsupported, match="signing to write"):
        upload(later, b"after")


@pytest.mark.parametrize("digest", ["blake3", "sha256"])
def test_either_digest_works(digest: str) -> None:
    """A store made with either algorithm stores, finds again and reads back, all of it named by that one."""
    store = new_store(open_memory("digest"), digest=digest)
    data = noise(400_000)
    upload(store, data)
    upload(client(store.backend), data, NEIGHBOUR)
    assert len(packs(store)) == 1
    invariants.check_all(client(store.backend), NEIGHBOUR)


def test_many_roots_are_not_kept_for_ever(store: Store) -> None:
    """A server that sees thousands of runs keeps a bounded number of them."""
    for number in range(1000):
        store.root(f"1/{number:032x}/artifacts")
    assert len(store._roots) <= 256
