"""Damaged and hostile stores: a clear error that names object and version, and never other bytes or a stray file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content import codecs, digests, frames, packs
from mlflow_versioned_store.content.packs import DirectoryBuilder, PackName
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Damaged, InvalidInput, NotFound, ObjectMissing, VersionedStoreError
from mlflow_versioned_store.history.records import Entry
from mlflow_versioned_store.history.versions import Version
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.crafting import commit_entry, plant_commit
from mlflow_versioned_store.testing.invariants import log_of

ROOT = f"1/{'a' * 32}/artifacts"
LOG = keys.log(ROOT)
CONTEXT = Context()
DATA = b"".join(b"%d,%d\n" % (row, random.Random(row).getrandbits(64)) for row in range(20_000))
EDITED = DATA.replace(b"7,", b"8,", 40)
Harm = Callable[[bytes], bytes]
HARMS: dict[str, Harm] = {
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: (
        data[: len(data) // 3] + bytes(byte ^ 64 for byte in data[len(data) // 3 :][:1]) + data[len(data) // 3 + 1 :]
    ),
    "emptied": lambda data: b"",
    "replaced": lambda data: bytes(len(data)),
    "longer": lambda data: b"x" + data,
}


@pytest.fixture
def store() -> Store:
    """A store with two packed versions of a file, the second one of deltas, and an inline one."""
    store = new_store(open_memory("hostile"))
    for data in (DATA, EDITED):
        store.root(ROOT).upload([Item("d/table", data)], context=CONTEXT)
    store.root(ROOT).upload([Item("small", b"small")], context=CONTEXT)
    return store


def anew(store: Store) -> ArtifactRoot:
    """Return the root as somebody sees it who comes new."""
    return client(store.backend).root(ROOT)


def objects(store: Store, part: str) -> list[str]:
    """Return the keys that contain `part`."""
    return [info.key for info in store.backend.list("_mvs") if part in info.key]


def harm(store: Store, key: str, how: str) -> None:
    """Change a stored object."""
    store.backend.put(key, HARMS[how](bytes(store.backend.get(key).data)))


def ways(root: ArtifactRoot, version: Version, folder: Path) -> list[Callable[[], object]]:
    """Return the ways to get at a version's bytes."""
    return [
        lambda: root.read(version),
        lambda: root.read(version, 1, version.size - 1),
        lambda: root.download([(version, str(folder / "file"))]),
    ]


@pytest.mark.parametrize("how", [*HARMS, "lost"])
def test_damaged_packs(store: Store, how: str, tmp_path: Path) -> None:
    """Whatever happens to the packs: an error that names version and pack, no file, no bytes; the rest still reads."""
    found = objects(store, "/packs/")
    for key in found:
        store.backend.delete([key]) if how == "lost" else harm(store, key, how)
    root = anew(store)
    for version in root.versions("d/table"):
        for attempt in ways(root, version, tmp_path):
            with pytest.raises(ObjectMissing if how == "lost" else Damaged) as caught:
                attempt()
            assert any(key in str(caught.value) or key[-64:] in str(caught.value) for key in found)
            assert f"d/table@@v{version.number}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert root.read(root.versions("small")[0]) == b"small"


def test_a_download_of_many_leaves_nothing_half_done(store: Store, tmp_path: Path) -> None:
    """Where one of many files cannot be read none of the unfinished is left behind, only whole ones may be."""
    for number in range(5):
        store.root(ROOT).upload([Item(f"more/{number}", random.Random(number).randbytes(200_000))], context=CONTEXT)
    harm(store, min(objects(store, "/packs/")), "flipped")
    root = anew(store)
    wanted = [(version, str(tmp_path / version.path.replace("/", "-"))) for version in root.walk()]
    with pytest.raises(Damaged):
        root.download(wanted)
    sizes = {path: version.size for version, path in wanted}
    for path in tmp_path.iterdir():
        assert path.stat().st_size == sizes[str(path)]


@pytest.mark.parametrize("how", [*HARMS, "lost"])
def test_damaged_commits(store: Store, how: str) -> None:
    """A damaged or missing commit is an error that names it, for readers and for writers; nothing is taken for new."""
    key = keys.commit(LOG, 3)
    if how == "lost":
        store.backend.put(keys.commit(LOG, 4), store.backend.get(key).data)
        store.backend.delete([key])
    else:
        harm(store, key, how)
    attempts: list[Callable[[ArtifactRoot], object]] = [
        lambda root: root.walk(),
        lambda root: root.resolve("d/table"),
        lambda root: root.upload([Item("x", b"x")], context=CONTEXT),
        lambda root: root.delete("d", context=CONTEXT),
    ]
    for attempt in attempts:
        with pytest.raises(Damaged) as caught:
            attempt(anew(store))
        assert "/_c/" in str(caught.value)
        assert ROOT in str(caught.value)
    assert len(objects(store, "/_c/")) == 3


def test_a_swapped_commit_is_noticed(store: Store) -> None:
    """A commit of another root or number, itself sound, does not pass for this one."""
    other = store.root("other")
    other.upload([Item("x", b"x")], context=CONTEXT)
    store.backend.put(keys.commit(LOG, 3), store.backend.get(keys.commit(keys.log("other"), 1)).data)
    with pytest.raises(Damaged, match="Somebody copied it there"):
        anew(store).walk()


def test_a_forged_past_is_noticed(store: Store) -> None:
    """Who knows the head notices that the next commit is not its child."""
    root = anew(store)
    root.walk()
    plant_commit(store, ROOT, 4, Entry("x", "make", 1, sha256="0" * 64), parent="f" * 64)
    with pytest.raises(Damaged, match="not the child"):
        root.walk()


@pytest.mark.parametrize("part", ["/_k/", "/indexes/", "/hooks/"])
@pytest.mark.parametrize("how", [*HARMS, "lost"])
def test_what_only_helps_may_be_damaged(part: str, how: str) -> None:
    """Lost or damaged checkpoints, indexes and hooks change nothing that is read, and uploads go on."""
    store = new_store(open_memory("help"))
    root = store.root(ROOT)
    root.upload([Item("d/table", DATA)], context=CONTEXT)
    for number in range(140):
        root.upload([Item(f"small/{number % 9}", b"%d" % number)], context=CONTEXT)
    before = [(version.path, version.number) for version in anew(store).walk()]
    found = objects(store, part)
    assert found
    for key in found:
        if how == "lost":
            store.backend.delete([key])
        else:
            harm(store, key, how)
    assert [(version.path, version.number) for version in anew(store).walk()] == before
    (stored,) = anew(store).upload([Item("d/table", EDITED)], context=CONTEXT)
    assert stored.version == 2
    later = anew(store)
    assert [later.read(version) for version in later.versions("d/table")] == [DATA, EDITED]
    assert [version.number for version in later.versions("small/3")] == list(range(1, 17))


@pytest.mark.parametrize(
    "path",
    ["../escape", "/etc/escape", "a/../../escape", "_mvs/store.json", "a/_mvs/b", "", "a//b", "..", "a\\..\\b", "a\0b"],
)
def test_paths_that_climb_out(store: Store, path: str, tmp_path: Path) -> None:
    """A commit with a path that no upload could have made is damage: nobody lists, reads or follows it."""
    entry = Entry(path, "make", 1, size=5, sha256="0" * 64, at=[])
    plant_commit(store, "planted", 1, entry)
    root = client(store.backend).root("planted")
    for attempt in (root.walk, root.children, lambda: root.resolve("a"), lambda: root.versions("a")):
        with pytest.raises(Damaged, match="_mvs/log/planted/_c/"):
            attempt()


def frame(data: bytes, **changes: Any) -> bytes:
    """Return a plain frame of `data`, some of its header changed."""
    encoded = zstandard.ZstdCompressor().compress(data)
    stated: dict[str, Any] = {"codec": codecs.ZSTD, "raw": len(data), "stored": len(encoded), "tail": 0}
    stated |= {"digest": digests.digest_function("blake3")(data)} | changes
    return frames.encode_header(**stated) + encoded


def windowed_frame(data: bytes, log: int) -> bytes:
    """Return a sound frame of one raw block whose reader is to hold a window of 2^log bytes."""
    header = b"\x28\xb5\x2f\xfd\x80" + bytes([(log - 10) << 3]) + len(data).to_bytes(4, "little")
    body = header + (len(data) << 3 | 1).to_bytes(3, "little") + data
    return frames.encode_header(codecs.ZSTD, len(data), len(body), 0, digests.digest_function("blake3")(data)) + body


BOMB = bytes(64 << 20)
LYING = {
    "more raw bytes than there are": frame(b"abc", raw=4),
    "fewer raw bytes than there are": frame(b"abc", raw=2),
    "more stored bytes than there are": frame(b"abc", stored=4000),
    "four gigabytes": frame(b"abc", raw=2**32 - 1),
    "a bomb": frame(BOMB, raw=4 << 20),
    "an honest bomb": frame(BOMB),
    "another digest": frame(b"abc", digest=bytes(32)),
    "another codec": frame(b"abc", codec=9),
    "a delta without a base": frame(b"abc", codec=codecs.DELTA, chain=1, base=bytes(32)),
    "a chain that is none": frame(b"abc", chain=7),
    "a window of 16 MiB": windowed_frame(b"abc", 24),
    "garbage": b"\xff" * 100,
    "nothing": b"\0",
}


@pytest.mark.parametrize("name", LYING)
def test_frames_that_lie(name: str, tmp_path: Path) -> None:
    """A frame that lies about itself is damage of the version that holds it, inline and in a pack alike."""
    data = b"abc"
    store = new_store(open_memory("lies"))
    lie = LYING[name]
    commit_entry(store, ROOT, "inline", data, [[-1, 0, len(lie), 3]], frames=lie)
    pack = planted_pack(store, lie)
    commit_entry(
        store, ROOT, "packed", data, [[0, packs.HEAD_BYTES, len(lie), 3]], content={"packs": [list(pack)], "leans": []}
    )
    root = anew(store)
    for path in ("inline", "packed"):
        (version,) = root.versions(path)
        for attempt in (lambda: root.read(version), lambda: root.download([(version, str(tmp_path / "file"))])):  # noqa: B023 - called at once
            with pytest.raises(Damaged, match=f"{path}@@v1"):
                attempt()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [3, 300_000])
def test_sound_chunks_of_something_else(size: int, tmp_path: Path) -> None:
    """A version that points to whole, sound chunks of other content is damage: it is bound to its own bytes."""
    store = new_store(open_memory("bound"))
    mine, other = (random.Random(seed).randbytes(size) for seed in (1, 2))
    store.root(ROOT).upload([Item("mine", mine)], context=CONTEXT)
    store.root(ROOT).upload([Item("other", other)], context=CONTEXT)
    mine_made, other_made = (commit.changes[0] for commit in reversed(list(store.root(ROOT).history())))
    at = other_made.entries[0].at
    if isinstance(at, dict):
        at = at | {"tree": mine_made.entries[0].at["tree"]}
    frames_of_other = bytes(log_of(store, ROOT).frames(2, 0)) if other_made.frames else b""
    commit_entry(store, ROOT, "mixed", mine, at, content=other_made.content, frames=frames_of_other)
    root = anew(store)
    (version,) = root.versions("mixed")
    for attempt in (ways(root, version, tmp_path)[0], ways(root, version, tmp_path)[2]):
        with pytest.raises(Damaged, match="mixed@@v1"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def planted_pack(store: Store, body: bytes, directory: bytes | None = None) -> PackName:
    """Write a pack with `body` as its frames, and any directory, and return its name."""
    if directory is None:
        builder = DirectoryBuilder()
        builder.add(len(body), 3, codecs.ZSTD)
        directory = builder.encode()
    data = packs.new_head() + body + directory
    name = PackName("all", digests.digest_function(store.marker.digest)(data).hex(), len(data), len(directory))
    store.backend.put(name.key, data)
    return name


@pytest.mark.parametrize(
    ("at", "content"),
    [
        ([[0, 0, 10, 3]], {}),
        ([[5, 24, 10, 3]], "pack"),
        ([[-2, 24, 10, 3]], "pack"),
        ([[0, -1, 10, 3]], "pack"),
        ([[0, 24, 0, 3]], "pack"),
        ([[0, 24, 10, 4]], "pack"),
        ([[0, 24, 10]], "pack"),
        ([[0, 24, 1 << 60, 3]], "pack"),
        ([[0, 1 << 49, 10, 3]], "pack"),
        ([[0, 23, 60, 3]], "pack"),
        ([[-1, 0, 10, 3]], {}),
        ({"extents": [[0, 24, 10, 3]], "tree": "xyz"}, "pack"),
        ([], {}),
        ([[0, 24, 60, 3]], {"packs": [["all", "../../store.json", 1000, 100]]}),
        ([[0, 24, 60, 3]], {"packs": [["all", "0" * 64, 1 << 40, 100]]}),
        ([[0, 24, 60, 3]], {"packs": [["", "0" * 64, 1000, 100]]}),
        ([[0, 24, 60, 3]], {"packs": [["all", "0" * 64, 100, 1000]]}),
        ([[0, 24, 60, 3]], {"packs": [["..", "0" * 64, 1000, 100]]}),
        ([[0, 24, 60, 3]], {"packs": "all"}),
        ([[0, 24, 60, 3]], {"packs": {"0": "x"}}),
        ([[0, 24, 60, 3]], {"packs": [["all", "0" * 64, 1000, 100]], "leans": [7]}),
    ],
    ids=str,
)
def test_extents_that_lie(at: Any, content: Any, tmp_path: Path) -> None:
    """A location that cannot be is damage of the version that has it, however it is read."""
    store = new_store(open_memory("extents"))
    if content == "pack":
        content = {"packs": [list(planted_pack(store, frame(b"abc")))]}
    commit_entry(store, ROOT, "d/file", b"abc", at, content=content)
    root = anew(store)
    (version,) = root.versions("d/file")
    for attempt in ways(root, version, tmp_path):
        with pytest.raises(Damaged, match="d/file@@v1"):
            attempt()
    assert list(tmp_path.iterdir()) == []


def column(*items: Any) -> bytes:
    """Return a pack's directory and footer with any columns."""
    directory = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(items))
    return directory + packs._FOOTER.pack(len(directory), packs._check(directory), packs._END)


def test_a_circle_of_deltas_ends() -> None:
    """Deltas whose bases lead back to themselves are damage, not an endless walk."""
    store = new_store(open_memory("circle"))
    body = frame(b"abc", codec=codecs.DELTA, chain=1, base=bytes(32))
    size, tail = len(body), len(column([1], [3], b"\2", [["all", "0" * 64, 10_000, 200]], [[0], [24], [1]]))
    name = planted_pack(store, body, column([size], [3], b"\2", [["all", "0" * 64, 10_000, tail]], [[0], [24], [size]]))
    # A pack cannot name its own digest; so two objects lie about each other under names that are not theirs.
    alias = PackName("all", "0" * 64, name.size, name.tail)
    body_alias = column([size], [3], b"\2", [list(alias)], [[0], [24], [size]])
    data = packs.new_head() + body + body_alias
    alias = PackName("all", "0" * 64, len(data), len(body_alias))
    store.backend.put(alias.key, data)
    content = {"packs": [list(alias)], "leans": [list(alias)]}
    commit_entry(store, ROOT, "file", b"abc", [[0, 24, size, 3]], content=content)
    root = anew(store)
    with pytest.raises(Damaged):
        root.read(root.versions("file")[0])
    with pytest.raises(Damaged):
        root.read(root.versions("file")[0], 1, 2)


def deep(levels: int) -> Any:
    """Return a value that nests so deep."""
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def test_records_that_nest_too_deep(store: Store) -> None:
    """A record beyond 64 levels is never written, and one that somebody else wrote is damage."""
    with pytest.raises(InvalidInput, match="nest too deep"):
        commit_entry(store, ROOT, "deep", b"", deep(64))
    text = b'{"mvs":1,"root":"planted","number":1,"time":0,"changes":' + b"[" * 100_000 + b"]" * 100_000
    sealed = text + b',"check":"' + digests.digest_function("blake3")(text).hex().encode() + b'"}'
    for data in (sealed + b"\n", zstandard.ZstdCompressor(write_checksum=True).compress(sealed)):
        store.backend.put(keys.commit(keys.log("planted"), 1), data)
        with pytest.raises(Damaged, match="_mvs/log/planted/_c/"):
            client(store.backend).root("planted").walk()


def test_a_record_that_explodes(store: Store) -> None:
    """A record that would unpack to more than 64 MiB is damage before it is unpacked."""
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(200 << 20))
    unsized = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(bytes(200 << 20))
    for data in (bomb, unsized):
        store.backend.put(keys.commit(keys.log("planted"), 1), data)
        with pytest.raises(Damaged, match="_mvs/log/planted/_c/"):
            client(store.backend).root("planted").walk()


def test_versions_that_do_not_follow(store: Store) -> None:
    """The check of a log finds versions with gaps, though each commit is sound in itself."""
    plant_commit(store, "planted", 1, Entry("a", "make", 7, sha256="0" * 64, at=[]))
    assert "version 1 is next" in log_of(store, "planted").verify().reason


def test_commits_about_what_never_was(store: Store) -> None:
    """A tombstone or purge of a version that never was is damage."""
    for action in ("delete", "purge", "expire", "move"):
        plant_commit(store, f"planted-{action}", 1, Entry("a", action, 3))
        with pytest.raises(Damaged, match="never was"):
            client(store.backend).root(f"planted-{action}").walk()


@pytest.mark.parametrize("seed", range(30))
def test_any_flipped_bit_anywhere(seed: int, tmp_path: Path) -> None:
    """Flip a bit of any object of a store: all that is read is what was written, or the error is one of ours."""
    store = new_store(open_memory("bits"))
    for data in (DATA, EDITED):
        store.root(ROOT).upload([Item("d/table", data), Item("small", data[:100])], context=CONTEXT)
    dice = random.Random(seed)
    key = dice.choice(objects(store, ""))
    stored = bytearray(store.backend.get(key).data)
    if stored:
        stored[dice.randrange(len(stored))] ^= 1 << dice.randrange(8)
    store.backend.put(key, stored)
    expected = {"d/table@@v1": DATA, "d/table@@v2": EDITED, "small@@v1": DATA[:100]}
    error: VersionedStoreError | None = None
    try:
        root = anew(store)
        for address, data in expected.items():
            version = root.resolve(address)
            assert isinstance(version, Version)
            assert root.read(version) == data
            assert root.read(version, 10, 50) == data[10:50]
    except VersionedStoreError as caught:
        error = caught
    assert not isinstance(error, NotFound), error


@pytest.mark.parametrize("sound", [frame(b"abc"), windowed_frame(b"abc", 23)], ids=["plain", "a window of 8 MiB"])
def test_what_is_crafted_soundly_is_read(sound: bytes) -> None:
    """The crafted commits of these tests are refused for what they say, not for how they are made."""
    store = new_store(open_memory("sound"))
    pack = planted_pack(store, sound)
    extent = [0, packs.HEAD_BYTES, len(sound), 3]
    commit_entry(store, ROOT, "packed", b"abc", [extent], content={"packs": [list(pack)]})
    commit_entry(store, ROOT, "inline", b"abc", [[-1, 0, len(sound), 3]], frames=sound)
    plant_commit(store, "planted", 1, Entry("a", "make", 1, sha256="0" * 64, at=[]))
    root = anew(store)
    assert [root.read(version) for version in root.walk()] == [b"abc", b"abc"]
    assert [version.path for version in client(store.backend).root("planted").walk()] == ["a"]
