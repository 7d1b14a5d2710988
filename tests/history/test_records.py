"""Commits: round trips, one pinned byte for byte, and nothing damaged or hostile gets through."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import Damaged, InvalidInput, Unsupported
from mlflow_versioned_store.history import records, sealed
from mlflow_versioned_store.history.records import (
    Change,
    CheckpointRef,
    Commit,
    DraftEntry,
    Entry,
    FrameRange,
    PartRef,
    Unchanged,
)
from tests.history.making import ROOT, draft, sha256

DIGEST = sealed.digest_named("blake3")
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PATHS = st.lists(
    TEXT.filter(lambda name: not set(name) & set("/\\\0") and name not in ("", ".", "..", "_mvs")),
    min_size=1,
    max_size=3,
)
DICTS = st.dictionaries(TEXT, st.integers(0, 9) | TEXT | st.lists(st.integers(0, 9)), max_size=2)
NUMBERS = st.integers(0, 2**40)
ENTRIES = st.builds(
    Entry,
    path=PATHS.map("/".join),
    action=st.sampled_from(sorted(records.ACTIONS)),
    version=NUMBERS,
    kind=st.sampled_from(["file", "folder"]),
    size=NUMBERS,
    sha256=HEX | st.just(""),
    at=st.none() | st.lists(NUMBERS, max_size=4) | DICTS,
    note=st.none() | DICTS,
)
CHANGES = st.builds(
    Change,
    id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    operation=st.sampled_from([*sorted(records.OPERATIONS), "transmogrify"]),
    entries=st.lists(ENTRIES, max_size=12).map(tuple),
    parts=st.lists(st.builds(PartRef, digest=HEX, rows=st.integers(1, 9), first=TEXT, last=TEXT), max_size=2).map(
        tuple
    ),
    unchanged=st.none() | st.builds(Unchanged, count=NUMBERS, sha256=HEX, addresses=st.just(("a@@v1",))),
    content=DICTS,
    who=DICTS,
    context=DICTS,
    note=DICTS,
)


@st.composite
def _commits(draw: st.DrawFn) -> tuple[Commit, bytes]:
    changes, frames = [], b""
    for change in draw(st.lists(CHANGES, max_size=3)):
        inline = draw(st.binary(max_size=20))
        named = FrameRange(len(frames), len(inline), DIGEST(inline)) if inline else None
        changes.append(msgspec.structs.replace(change, frames=named))
        frames += inline
    commit = Commit(
        root=draw(TEXT),
        number=draw(st.integers(100, 10**9)),
        parent=draw(HEX),
        time=draw(NUMBERS),
        changes=tuple(changes),
        since=tuple(msgspec.json.encode(delta) for delta in draw(st.lists(DICTS, max_size=2))),
        checkpoints=draw(
            st.sampled_from([(), (CheckpointRef(1, 65, 99, "a" * 64), CheckpointRef(2, 1, 64, "b" * 64))])
        ),
    )
    return commit, frames


def _decoded(data: bytes) -> Commit:
    commit, _ = records.decode_commit(data, DIGEST, "the commit")
    return replace(commit, record=b"", digest="")


@given(_commits())
def test_round_trip(made: tuple[Commit, bytes]) -> None:
    """A commit comes back as it was written, with its record and digest, and its frames behind it."""
    commit, frames = made
    record = records.encode_commit(commit, DIGEST)
    found, end = records.decode_commit(record + frames, DIGEST, "the commit")
    assert replace(found, record=b"", digest="") == commit
    assert (found.record, found.digest, end) == (record, DIGEST(record), len(record))


@given(_commits(), st.data())
def test_damage_is_an_error_or_changes_nothing(made: tuple[Commit, bytes], data: st.DataObject) -> None:
    """After one flipped bit or any truncation the record is an error, and the frames fail their digest."""
    commit, frames = made
    record = records.encode_commit(commit, DIGEST)
    whole = bytearray(record + frames)
    if data.draw(st.booleans()):
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        whole[bit // 8] ^= 1 << bit % 8
    else:
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    try:
        found, end = records.decode_commit(bytes(whole), DIGEST, "the commit")
    except Damaged:
        return
    assert replace(found, record=b"", digest="") == commit
    named = [change.frames for change in found.changes if change.frames]
    sound = [DIGEST(bytes(whole[end:])[n.offset : n.offset + n.length]) == n.digest for n in named]
    assert not all(sound) or not frames or found.record != record


GOLDEN = (
    '{"mvs":1,"root":"1/0123456789abcdef0123456789abcdef/artifacts","number":2,"time":1793534400000,'
    '"parent":"1111111111111111111111111111111111111111111111111111111111111111","changes":[{'
    '"id":"0123456789abcdef0123456789abcdef","operation":"upload","who":{"user":{"name":"ada","known":"claimed"}},'
    '"context":{"run_id":"0123456789abcdef0123456789abcdef"},"entries":{"path":["data/a.csv","data/b"],"action":"make",'
    '"version":[2,1],"kind":["file","folder"],"size":[5,0],'
    '"sha256":["2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",""],"at":[[0,0,5,5],null]},'
    '"unchanged":{"count":1,"sha256":"9c3a1e1ed2b22aa9fe1d1e3d5b3d3c3a6a2f6f7f3c9c8c8d8e8f808182838485",'
    '"addresses":["data/c.csv@@v1"]},"content":{"packs":[]},"frames":{"offset":0,"length":5,'
    '"digest":"ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"}}],'
    '"since":[{"number":1}],"check":"'
)


def test_golden_commit() -> None:
    """This commit is written with exactly these bytes, and read from them, in every release of format 1."""
    hello = b"hello"
    change = Change(
        id="0123456789abcdef0123456789abcdef",
        operation="upload",
        entries=(
            Entry("data/a.csv", "make", 2, "file", 5, sha256(hello), [0, 0, 5, 5]),
            Entry("data/b", "make", 1, "folder"),
        ),
        unchanged=Unchanged(1, "9c3a1e1ed2b22aa9fe1d1e3d5b3d3c3a6a2f6f7f3c9c8c8d8e8f808182838485", ("data/c.csv@@v1",)),
        content={"packs": []},
        frames=FrameRange(0, 5, DIGEST(hello)),
        who={"user": records.identity("ada", "claimed")},
        context={"run_id": "0123456789abcdef0123456789abcdef"},
    )
    commit = Commit(ROOT, 2, "1" * 64, 1793534400000, (change,), since=(b'{"number":1}',))
    record = records.encode_commit(commit, DIGEST)
    check = DIGEST(GOLDEN.removesuffix(',"check":"').encode())
    assert record.decode() == f'{GOLDEN}{check}"}}\n'
    assert _decoded(record + hello) == commit


def _hostile(**fields: Any) -> bytes:
    document = {"mvs": 1, "root": ROOT, "number": 70, "time": 5, **fields}
    return sealed.seal(json.dumps(document).encode(), DIGEST)


def _entries(**columns: Any) -> dict[str, Any]:
    return _change(entries={"path": ["a"], "version": 1, **columns})


def _frames(offset: int, length: int) -> dict[str, Any]:
    return _change(frames={"offset": offset, "length": length, "digest": "0" * 64})


def _part(digest: str, rows: int) -> dict[str, Any]:
    return _change(parts=[{"digest": digest, "rows": rows, "first": "a", "last": "b"}])


def _change(**fields: Any) -> dict[str, Any]:
    return {"changes": [{"id": "0" * 32, "operation": "upload", **fields}]}


@pytest.mark.parametrize(
    "fields",
    [
        _entries(path=["../../etc/passwd"]),
        _entries(path=["/etc/passwd"]),
        _entries(path=["a/../../b"]),
        _entries(path=["_mvs/store.json"]),
        _entries(path=["a\\b"]),
        _entries(path=["a\0b"]),
        _entries(path=["\ud800"]),
        _entries(path=[""]),
        _entries(path=["a", 7]),
        _entries(path="a"),
        _entries(size=-1),
        _entries(size=1 << 80),
        _entries(size=[1, 2]),
        _entries(version="1"),
        _entries(action="explode"),
        _entries(kind="symlink"),
        _entries(sha256="../x"),
        _change(id="../x"),
        _frames(5, 1),
        _frames(0, -1),
        _part("../x", 1),
        _part("0" * 64, 1 << 40),
        {"checkpoints": [{"level": 1, "first": 1, "number": 70, "digest": "0" * 64}]},
        {"checkpoints": [{"level": 1, "first": 2, "number": 9, "digest": "0" * 64}]},
        {"checkpoints": [{"level": 1, "first": 1, "number": 9, "digest": "../x"}]},
        {"parent": "../x"},
        {"time": -1},
        {"number": "70"},
        {"root": None},
        {"changes": {}},
    ],
    ids=range(30),
)
def test_hostile_records_are_refused(fields: dict[str, Any]) -> None:
    """Paths that climb out, impossible numbers and digests that are paths are damage, though the check is right."""
    with pytest.raises(Damaged, match="the commit"):
        records.decode_commit(_hostile(**fields), DIGEST, "the commit")


def test_unknown_fields_are_ignored_and_kept_in_the_record() -> None:
    """A field of a later release changes nothing, and the record that the chain covers still has it."""
    data = _hostile(colour="red", changes=[{"id": "0" * 32, "operation": "upload", "mood": "good"}])
    commit, _ = records.decode_commit(data, DIGEST, "the commit")
    assert commit.changes == (Change(id="0" * 32, operation="upload"),)
    assert b"colour" in commit.record


def test_unknown_features_are_refused_by_name() -> None:
    """A record that needs what this release lacks says so."""
    with pytest.raises(Unsupported, match="signatures"):
        records.decode_commit(_hostile(needs=["signatures"]), DIGEST, "the commit")


def test_frames_may_be_gone_but_not_cut() -> None:
    """A purge may remove all inline frames; some of them missing, or others behind them, is damage."""
    data = _hostile(**_change(frames={"offset": 0, "length": 4, "digest": DIGEST(b"data")}))
    for behind in (b"data", b""):
        assert _decoded(data + behind).changes[0].frames == FrameRange(0, 4, DIGEST(b"data"))
    for behind in (b"dat", b"data!"):
        with pytest.raises(Damaged, match="frames"):
            _decoded(data + behind)


@pytest.mark.parametrize(
    "bad",
    [
        draft("upload", DraftEntry("a", sha256="x")),
        draft("upload", DraftEntry("a", sha256="A" * 64)),
        draft("upload", DraftEntry("a", kind="folder", sha256="a" * 64)),
        draft("upload", DraftEntry("", sha256="a" * 64)),
        draft("upload", DraftEntry("../a", sha256="a" * 64)),
        draft("upload", DraftEntry("a/", sha256="a" * 64)),
        draft("upload", DraftEntry("a", sha256="a" * 64, size=-1)),
        draft("upload", DraftEntry("a", sha256="a" * 64, at=object())),
        draft("upload", content={"packs": {1j}}),
        draft("upload", content={"deep": json.loads("[" * 60 + "]" * 60)}),
        draft("upload", content={"large": "x" * records.VALUES_BYTES_MAX}),
        draft("annotate", DraftEntry("a", note={"mean": [float("nan")]})),
        draft("upload", who={"user": "ada"}),
        draft("upload", who={"user": {"name": "ada", "known": "rumour"}}),
        replace(draft("upload"), id="1"),
        draft(cast("records.Operation", "transmogrify")),
    ],
    ids=range(16),
)
def test_drafts_that_could_not_be_read_back_are_refused(bad: records.Draft) -> None:
    """What a reader would call damaged is never written."""
    with pytest.raises(InvalidInput):
        records.check_draft(bad)


def test_identities_say_how_they_are_known() -> None:
    """There are three ways to know somebody, and no fourth."""
    assert records.identity("ada", "mlflow-login") == {"name": "ada", "known": "mlflow-login"}
    with pytest.raises(InvalidInput, match="provider"):
        records.identity("ada", "rumour")


@given(st.lists(ENTRIES, min_size=1, max_size=12))
def test_parts_come_back_and_are_checked(entries: list[Entry]) -> None:
    """A part holds its entries; another part, or another number of rows, is damage."""
    data = records.encode_part(entries, "nonce", DIGEST)
    ref = PartRef(DIGEST(data), len(entries), entries[0].path, entries[-1].path)
    assert list(records.decode_part(data, ref, DIGEST, "the part")) == entries
    assert records.encode_part(entries, "other", DIGEST) != data
    for wrong in (msgspec.structs.replace(ref, rows=99), msgspec.structs.replace(ref, digest="0" * 64)):
        with pytest.raises(Damaged, match="the part"):
            records.decode_part(data, wrong, DIGEST, "the part")
