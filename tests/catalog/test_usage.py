"""Usage of real stores, against what their frames are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.counting import CountingBackend, counts_of
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.catalog.ledger import Group
from mlflow_versioned_store.catalog.usage import measure
from mlflow_versioned_store.content.directories import Directories, FramesOfRun
from mlflow_versioned_store.content.locations import INLINE, Packed, decode_content, decode_location
from mlflow_versioned_store.content.packs import FramePlace
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Damaged, ObjectMissing
from mlflow_versioned_store.history.records import Draft, DraftEntry
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store
from tests.content.making import lend
from tests.engine.uploads import noise, table

CONTEXT = Context()
RUNS = (f"1/{'a' * 32}/artifacts", f"1/{'b' * 32}/artifacts", f"2/{'a' * 32}/artifacts")
Frame = tuple[object, int, int]


@pytest.fixture
def store() -> Store:
    """An empty store."""
    return new_store(open_memory("usage"))


def edited(data: bytes, seed: int) -> bytes:
    """Return `data` with bytes changed all over, so that chunks become deltas."""
    changed = bytearray(data)
    for at in range(seed * 1000, len(data), 40_000):
        changed[at] ^= 1
    return bytes(changed)


def needed(store: Store) -> Iterator[tuple[str, str, int, set[Frame]]]:
    """Yield root, path, size and frames of every readable version, chain by chain as a reader finds them."""
    directories = Directories(store.backend)
    for name in store.roots_below(""):
        log = client(store.backend).root(name)._log
        for located in log.locate(version for version in log.state().all_versions() if version.readable):
            content = decode_content(located.content)
            location = decode_location(located.at, located.version.size)
            assert isinstance(location, Packed)
            loaded = directories.load([*content.packs, *content.leans])
            frames: set[Frame] = set()
            for extent in location.extents:
                if extent.pack == INLINE:
                    frames.add(((name, located.place[:2]), extent.offset, extent.stored))
                    continue
                run = FramePlace(content.packs[extent.pack], extent.offset, extent.stored)
                for frame in FramesOfRun(loaded, run):
                    frames.update((place.pack, place.offset, place.size) for place in frame.chain)
            yield name, located.version.path, located.version.size, frames


def check(whole: Group, store: Store) -> None:
    """Check every group against the frames of its versions."""
    versions = list(needed(store))
    for experiment in (whole, *whole.groups.values()):
        for root in (experiment, *experiment.groups.values()):
            for path in (root, *root.groups.values()):
                names = [group.name for group in path.lineage()][-2::-1]
                inside = [list(names) == [v[0].partition("/")[0], v[0], v[1]][: len(names)] for v in versions]
                own = set().union(*(v[3] for v, mine in zip(versions, inside, strict=True) if mine))
                others = set().union(*(v[3] for v, mine in zip(versions, inside, strict=True) if not mine))
                assert path.stored == sum(frame[2] for frame in own)
                assert path.exclusive == sum(frame[2] for frame in own - others)
                assert path.logged == sum(v[2] for v, mine in zip(versions, inside, strict=True) if mine)


UPLOADS = st.lists(
    st.tuples(st.sampled_from(RUNS), st.sampled_from(["a", "d/b"]), st.integers(0, 2), st.integers(0, 3)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(UPLOADS)
def test_groups_take_what_their_frames_take(uploads: list[tuple[str, str, int, int]]) -> None:
    """Logged, stored and exclusive bytes are those of the frames that a reader of each version fetches."""
    store = new_store(open_memory("usage"))
    for root, path, content, edits in uploads:
        data = table(content, (500, 15_000, 30_000)[content])
        for seed in range(edits):
            data = edited(data, seed)
        store.root(root).upload([Item(path, data), Item("small", b"%d" % edits)], context=CONTEXT)
    check(measure(client(store.backend), by="path"), store)


def upload(store: Store, data: bytes, root: str = RUNS[0], path: str = "a") -> None:
    """Upload one file."""
    store.root(root).upload([Item(path, data)], context=CONTEXT)


def record(store: Store, operation: str, entry: DraftEntry, root: str = RUNS[0]) -> None:
    """Commit one entry as another writer might."""
    store.root(root)._log.append([Draft("c" * 32, operation, (entry,))])  # type: ignore[arg-type]


def test_what_is_borrowed_from_adopted_objects_is_none_of_what_is_stored(store: Store) -> None:
    """A version that borrows its bytes takes a frame without bytes for each chunk, its changed chunks a delta."""
    data = noise(3, 1_000_000)
    lend(store.root(RUNS[0]).domain, f"{RUNS[0]}/big", data)
    upload(store, data, RUNS[1])
    upload(store, data[:500_000] + b"new" + data[500_000:], RUNS[1])
    whole = measure(client(store.backend))
    assert (whole.versions, whole.logged) == (2, 2_000_003)
    assert 0 < whole.stored < 5000


def test_a_deleted_version_counts_and_an_expired_one_does_not(store: Store) -> None:
    """Bytes count as long as an address leads to them."""
    upload(store, noise(1, 300_000))
    before = measure(store)
    store.root(RUNS[0]).delete("a", context=CONTEXT)
    assert measure(store).stored == before.stored >= 300_000
    record(store, "expire", DraftEntry("a", version=1))
    assert (measure(store).versions, measure(store).stored) == (0, 0)


def test_bytes_elsewhere_take_nothing_of_the_store(store: Store) -> None:
    """What the store only refers to is logged, and stored elsewhere; a native object is stored once."""
    sha256 = "ab" * 32
    record(store, "upload", DraftEntry("a", size=70, sha256=sha256, at={"reference": "s3://other/a"}))
    for root in RUNS[1:]:
        record(store, "upload", DraftEntry("b", size=30, sha256=sha256, at={"native": "1/b"}), root)
    whole = measure(store)
    assert (whole.logged, whole.elsewhere, whole.stored) == (130, 70, 30)
    assert [group.exclusive for group in whole.groups.values()] == [0, 0]


def test_part_of_a_store_is_measured_alone(store: Store) -> None:
    """Below an experiment only its own roots are read, and what it needs is the same."""
    for root in RUNS:
        upload(store, noise(1, 500_000), root)
    alone = measure(store, below="1")
    assert list(alone.groups) == ["1"]
    assert alone.groups["1"].stored == measure(store).groups["1"].stored
    assert alone.groups["1"].exclusive > measure(store).groups["1"].exclusive == 0


def test_a_missing_pack_is_told(store: Store) -> None:
    """A pack whose deltas cannot be known is an error, never less usage."""
    data = table(1, 30_000)
    upload(store, data)
    upload(store, edited(data, 1))
    packs = [info.key for info in store.backend.list(keys.DATA) if keys.kind(info.key) == "packs"]
    store.backend.delete(packs)
    with pytest.raises(ObjectMissing, match=keys.DATA):
        measure(client(store.backend))


@pytest.mark.parametrize("at", [[[0, 24, 9, 5]], [[-1, 0, 9, 4]], {"nowhere": 1}])
def test_a_damaged_commit_is_named(store: Store, at: object) -> None:
    """What a commit says of a version that cannot be is told with the version's address."""
    record(store, "upload", DraftEntry("a", size=5, sha256="ab" * 32, at=at))
    with pytest.raises(Damaged, match=f"{RUNS[0]}/a@@v1"):
        measure(store)


def test_commits_are_read_once(store: Store) -> None:
    """A root costs a listing and its head, then each commit that made a version, however many paths it has."""
    for number in range(20):
        store.root(RUNS[0]).upload([Item(f"{path}", b"%d %d" % (number, path)) for path in range(10)], context=CONTEXT)
    counting = CountingBackend(store.backend)
    assert measure(client(counting), by="path").versions == 200
    counts = counts_of(counting)
    assert counts.get <= 22
    assert counts.list <= 6
