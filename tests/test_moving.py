"""New versions out of existing ones."""

from __future__ import annotations

import random

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content.locations import Native, decode_content
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import InvalidInput, Unavailable
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.settings import change_settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend

HERE, THERE = "1/" + "a" * 32 + "/artifacts", "2/" + "b" * 32 + "/artifacts"
CONTEXT = Context(user="ann")
LARGE = 400_000


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def packs(store: Store) -> set[str]:
    """Return the keys of the store's packs."""
    return {info.key for info in store.backend.list(f"{keys.RESERVED}/data") if "/packs/" in info.key}


def version(root: ArtifactRoot, address: str) -> Version:
    """Return a version that is there."""
    found = root.find(address)
    assert isinstance(found, Version)
    return found


@pytest.fixture
def container() -> Backend:
    """An empty container."""
    return open_memory("store")


@pytest.fixture
def store(container: Backend) -> Store:
    """A new store in it."""
    return new_store(container)


@pytest.fixture
def here(store: Store) -> ArtifactRoot:
    """A root with two versions of a large file, the second as deltas of the first, and of a small one."""
    root = store.root(HERE)
    for seed in (1, 2):
        large = bytearray(noise(LARGE))
        large[1000 * seed : 1000 * seed + 8] = b"edition" + bytes([seed])
        root.upload([Item("large", bytes(large))], context=CONTEXT)
        root.upload([Item("small", b"small %d" % seed)], context=CONTEXT)
    return root


def test_a_version_is_restored_without_moving_bytes(store: Store, here: ArtifactRoot, container: Backend) -> None:
    """The new version reads the same, is current, and adds no pack."""
    before = packs(store)
    stored = take(
        here,
        [Taken(here, version(here, f"{path}@v1"), path) for path in ("large", "small")],
        operation="restore",
        context=CONTEXT,
    )
    assert [(one.path, one.version, one.unchanged) for one in stored] == [("large", 3, False), ("small", 3, False)]
    assert packs(store) == before
    fresh = client(container).root(HERE)
    for path in ("large", "small"):
        assert fresh.read(version(fresh, path)) == fresh.read(version(fresh, f"{path}@v1"))
    (change,) = next(here.history()).changes
    assert change.operation == "restore"
    assert [entry.note for entry in change.entries] == [
        {"from": f"{HERE}/large@@v1"},
        {"from": f"{HERE}/small@@v1"},
    ]
    invariants.check_all(store, HERE)


def test_restoring_costs_a_look_at_each_pack(here: ArtifactRoot, container: Backend) -> None:
    """One LIST of the marks, a HEAD a pack, and the commit; once more, the commit alone."""
    faulty = FaultyBackend(container)
    root = client(faulty).root(HERE)
    taken = [Taken(root, version(root, "large@v1"), "large")]
    needed = len(decode_content(here.log.commit(1).changes[0].content).packs)
    root.domain  # noqa: B018 - the store's settings are read once
    before = len(faulty.calls)
    take(root, taken, operation="restore", context=CONTEXT)
    verbs = sorted(call.verb for call in faulty.calls[before:])
    assert verbs == sorted(["get", *["head"] * needed, "list", "put"])
    before = len(faulty.calls)
    take(root, [taken[0]._replace(path="other")], operation="upload", context=CONTEXT)
    assert [call.verb for call in faulty.calls[before:]] == ["put"]


def test_what_is_current_makes_no_version(here: ArtifactRoot) -> None:
    """Restoring the current version changes nothing; restoring after a deletion makes a version."""
    taken = [Taken(here, version(here, "large"), "large")]
    (stored,) = take(here, taken, operation="restore", context=CONTEXT)
    assert (stored.version, stored.unchanged) == (2, True)
    here.delete("large", context=CONTEXT)
    (stored,) = take(here, taken, operation="restore", context=CONTEXT)
    assert (stored.version, stored.unchanged) == (3, False)


def test_another_root_gets_a_version_of_its_own(store: Store, here: ArtifactRoot, container: Backend) -> None:
    """A copy leans on the same packs, is read alone, and later uploads find its chunks."""
    there, before = store.root(THERE), packs(store)
    taken = [Taken(here, version(here, "large"), "copy"), Taken(here, version(here, "small@v1"), "d/small")]
    take(there, taken, operation="upload", context=CONTEXT)
    assert packs(store) == before
    fresh = client(container).root(THERE)
    assert fresh.read(version(fresh, "copy")) == here.read(version(here, "large"))
    assert fresh.read(version(fresh, "d/small")) == b"small 1"
    there.upload([Item("again", here.read(version(here, "large")) + b"!")], context=CONTEXT)
    assert sum(store.backend.head(key).size for key in packs(store) - before) < LARGE / 2
    invariants.check_all(store, THERE)


def test_other_domains_get_bytes_of_their_own(store: Store, here: ArtifactRoot, container: Backend) -> None:
    """Between experiments that share nothing the bytes are stored again; within one root they stay where they are."""
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, {})
    fresh = client(container)
    there, before = fresh.root(THERE), packs(fresh)
    source = fresh.root(HERE)
    take(source, [Taken(source, version(source, "large@v1"), "large")], operation="restore", context=CONTEXT)
    assert packs(fresh) == before
    take(there, [Taken(source, version(source, "large@v1"), "large")], operation="upload", context=CONTEXT)
    assert there.read(version(there, "large")) == here.read(version(here, "large@v1"))
    content = decode_content(next(there.history()).changes[0].content)
    assert {pack.domain for pack in (*content.packs, *content.leans)} == {"experiment-2"}


def test_packs_that_are_marked_are_not_leaned_on(store: Store, here: ArtifactRoot, container: Backend) -> None:
    """What only marked packs hold is copied into new ones; so it is where the marks cannot be read."""
    for key in packs(store):
        domain, digest = key.split("/")[2], key.rpartition("/")[2]
        store.backend.put(keys.mark(domain, digest), b"")
    before = packs(store)
    fresh = client(container).root(HERE)
    take(fresh, [Taken(fresh, version(fresh, "large@v1"), "large")], operation="restore", context=CONTEXT)
    assert fresh.read(version(fresh, "large@v3")) == here.read(version(here, "large@v1"))
    content = decode_content(next(fresh.history()).changes[0].content)
    assert not {pack.key for pack in (*content.packs, *content.leans)} & before


def test_marks_that_cannot_be_read_cost_space_only(here: ArtifactRoot, container: Backend) -> None:
    """Where nobody can say which packs may be used, bytes are stored again."""
    faulty = FaultyBackend(container)
    root = client(faulty).root(HERE)
    faulty.when(lambda call: keys.MARKS in call.key, Fault.DENY)
    take(root, [Taken(root, version(root, "large@v1"), "large")], operation="restore", context=CONTEXT)
    assert root.read(version(root, "large@v3")) == here.read(version(here, "large@v1"))


def test_many_small_files_fit_into_one_commit_or_go_into_packs(store: Store) -> None:
    """What lies inside commits is carried on while it is small together; the rest is stored in packs."""
    root, contents = store.root(HERE), {f"f{number:02}": noise(9_000, number) for number in range(20)}
    for path, content in contents.items():
        root.upload([Item(path, content)], context=CONTEXT)
    there = store.root(THERE)
    take(there, [Taken(root, version(root, path), path) for path in contents], operation="upload", context=CONTEXT)
    assert {one.path: there.read(one) for one in there.walk()} == contents
    invariants.check_all(store, THERE)


def test_whole_objects_stay_where_they_are(store: Store) -> None:
    """A version that is one readable object is made again as that object."""
    change_settings(store.settings_log, {"native": ["*.bin"]}, {})
    root, there = store.root(HERE), store.root(THERE)
    for content in (noise(100_000, 1), noise(100_000, 2)):
        root.upload([Item("x.bin", content)], context=CONTEXT)
    objects = {info.key for info in store.backend.list("") if not info.key.startswith(keys.RESERVED)}
    taken = Taken(root, version(root, "x.bin@v1"), "x.bin")
    assert root.location(taken.version) in [Native(key) for key in objects]
    take(root, [taken], operation="restore", context=CONTEXT)
    take(there, [taken._replace(path="y.bin")], operation="upload", context=CONTEXT)
    assert root.read(version(root, "x.bin")) == there.read(version(there, "y.bin")) == noise(100_000, 1)
    assert there.location(version(there, "y.bin")) == root.location(taken.version)
    assert {info.key for info in store.backend.list("") if not info.key.startswith(keys.RESERVED)} == objects


def test_nothing_is_visible_of_a_change_that_failed(here: ArtifactRoot, container: Backend) -> None:
    """A commit that the store refuses leaves the state as it was."""
    faulty = FaultyBackend(container)
    root = client(faulty).root(HERE)
    taken = [Taken(root, version(root, "large@v1"), "large")]
    faulty.when(lambda call: call.create and "/_c/" in call.key, Fault.REFUSED)
    with pytest.raises(Unavailable):
        take(root, taken, operation="restore", context=CONTEXT)
    assert version(here, "large").number == 2


def test_paths_are_checked(here: ArtifactRoot) -> None:
    """A path may occur once, and may not be file and folder."""
    one = version(here, "small")
    for paths in (["a", "a"], ["a", "a/b"], ["../a"], ["a@@v1"], [""]):
        with pytest.raises(InvalidInput):
            take(here, [Taken(here, one, path) for path in paths], operation="upload", context=CONTEXT)
