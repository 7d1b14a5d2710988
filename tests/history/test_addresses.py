"""Addresses: every path can be addressed, literal names win, and errors say what there is."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.errors import InvalidInput, NotFound
from mlflow_versioned_store.history.addresses import format_address, parse_time, resolve
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.records import DraftEntry
from tests.history.making import DictBackend, draft, new_log, remove, upload

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "a@v1", "a@@v1", "@v1", "@@c1", "a@", "a@@", "a@gold", "v1", "@", "a@b@@v2", "a.gz"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def log() -> Log:
    """Return a log of five commits, a minute apart from noon on.

    1 data/t.csv v1; 2 data/t.csv v2 and data/u.csv v1; 3 aliases; 4 data/u.csv deleted; 5 data/t.csv@v1 by that name.
    """
    backend = DictBackend()
    log = new_log(backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time_ns", lambda: int(backend.now().timestamp() * 1e9))
        backend.clock = NOON
        upload(log, "data/t.csv", b"1")
        backend.clock += timedelta(minutes=1)
        log.append(
            [draft("upload", *(DraftEntry(p, sha256=d * 64) for p, d in [("data/t.csv", "2"), ("data/u.csv", "3")]))]
        )
        backend.clock += timedelta(minutes=1)
        notes = [
            DraftEntry("data/t.csv", note={"alias:gold": "v1", "alias:then": "c1"}),
            DraftEntry("data", kind="folder", note={"alias:release": "c2"}),
        ]
        log.append([draft("annotate", *notes)])
        backend.clock += timedelta(minutes=1)
        remove(log, "data/u.csv")
        backend.clock += timedelta(minutes=1)
        upload(log, "literal@v1", b"x")
    return log


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("data/t.csv", "data/t.csv@@v2"),
        ("/data/t.csv/", "data/t.csv@@v2"),
        ("data/t.csv@v1", "data/t.csv@@v1"),
        ("data/t.csv@@v1", "data/t.csv@@v1"),
        ("data/t.csv@2026-11-01T12:00:30Z", "data/t.csv@@v1"),
        ("data/t.csv@20261101T120030Z", "data/t.csv@@v1"),
        ("data/t.csv@@20261101T1201Z", "data/t.csv@@v2"),
        ("data/t.csv@2026-11-01T12:00:59.999Z", "data/t.csv@@v1"),
        ("data/t.csv@gold", "data/t.csv@@v1"),
        ("data/t.csv@@then", "data/t.csv@@v1"),
        ("data/t.csv@c1", "data/t.csv@@v1"),
        ("data@c1/t.csv", "data/t.csv@@v1"),
        ("data@@c1/t.csv", "data/t.csv@@v1"),
        ("data@20261101T120130Z/u.csv", "data/u.csv@@v1"),
        ("data@release/u.csv", "data/u.csv@@v1"),
        ("@c1/data/t.csv", "data/t.csv@@v1"),
        ("data/t.csv@v1/t.csv", "data/t.csv@@v1"),
        ("data/t.csv@@gold/t.csv", "data/t.csv@@v1"),
        ("data/t.csv@c1/t.csv", "data/t.csv@@v1"),
        ("data/u.csv@v1", "data/u.csv@@v1"),
        ("data/u.csv@c2", "data/u.csv@@v1"),
        ("literal@v1", "literal@v1@@v1"),
        ("literal@v1@v1", "literal@v1@@v1"),
    ],
)
def test_addresses_of_files(log: Log, address: str, found: str) -> None:
    """Every form of an address leads to its version."""
    version = resolve(log, address).version
    assert version is not None
    assert format_address(version.path, version.number) == found
    assert resolve(log, found).version == version


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("", ["data", "literal@v1"]),
        ("data", ["t.csv"]),
        ("data@c2", ["t.csv", "u.csv"]),
        ("data@@release", ["t.csv", "u.csv"]),
        ("data@20261101T1200Z", ["t.csv"]),
        ("@c1", ["data"]),
        ("@@c2/data", ["t.csv", "u.csv"]),
    ],
)
def test_addresses_of_folders(log: Log, address: str, names: list[str]) -> None:
    """A folder comes with the state at which to list it."""
    resolved = resolve(log, address)
    assert resolved.version is None
    assert [name for name, _ in resolved.state.children(resolved.path)] == names


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("data/t.csv@v9", "v1 to v2"),
        ("data/t.csv@v0", "v1 to v2"),
        ("data/t.csv@@c0", "newest is 5"),
        ("data/t.csv@@v9", "v1 to v2"),
        ("data/t.csv@silver", "gold, then"),
        ("data@v1", "as of a commit"),
        ("data/u.csv", "'data/u.csv@@v1'"),
        ("data/u.csv@c1", "did not exist"),
        ("data/t.csv@c9", "newest is 5"),
        ("data/t.csv@20261031T000000Z", "first commit is of 2026-11-01T12:00:00"),
        ("data/x", "'t.csv'"),
        ("nowhere/x@v1", "'literal@v1'"),
        ("data/t.csv@v1/other.csv", "is a file"),
        ("data/t.csv/below", "'t.csv'"),
        ("literal@@v1", "no 'literal'"),
        ("@v1", "as of a commit"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(log: Log, address: str, says: str) -> None:
    """An address that leads nowhere names what exists instead."""
    with pytest.raises(NotFound, match=says):
        resolve(log, address)


@pytest.mark.parametrize("address", ["../x", "a//b", "data/t.csv@20261332T000000Z", "_mvs/x"])
def test_what_can_never_be_an_address_is_invalid(log: Log, address: str) -> None:
    """A path that climbs out or a day that never is are errors of another kind."""
    with pytest.raises(InvalidInput):
        resolve(log, address)


@given(st.lists(PATHS, min_size=1, max_size=6), st.data())
def test_every_path_can_be_addressed(paths: list[str], data: st.DataObject) -> None:
    """The doubled address of each version leads to it, and so does the path itself unless it is doubled."""
    log = new_log(DictBackend())
    for index, path in enumerate(paths):
        with suppress(InvalidInput):  # what is a folder by now, or below a file
            upload(log, path, b"%d" % index)
    state = log.state()
    for path in set(paths):
        for version in state.versions(path):
            assert resolve(log, format_address(path, version.number)).version == version
        current = state.get(path)
        if current and "@@" not in path:
            assert resolve(log, path).version == current
    commit = data.draw(st.integers(1, state.number))
    then = log.state_at(commit=commit)
    for version in then.walk():
        found = resolve(log, f"{version.path}@@c{commit}").version
        assert found is not None
        assert (found.path, found.number) == (version.path, version.number)


def test_expired_versions_are_named_as_such() -> None:
    """An address of a version that retention removed says that, not that it never was."""
    log = new_log(DictBackend())
    upload(log, "a", b"x")
    log.append([draft("expire", DraftEntry("a", version=1))])
    for address in ("a@v1", "a@@v1", "a@c1"):
        with pytest.raises(NotFound, match="expired"):
            resolve(log, address)


def test_a_look_at_the_past_finds_moved_bytes() -> None:
    """A version that was moved after commit 1 is read as of commit 1 from where its bytes are now."""
    log = new_log(DictBackend())
    upload(log, "a", b"x")
    log.append([draft("relocate", DraftEntry("a", version=1, at=["new"]))])
    version = resolve(log, "a@c1").version
    assert version is not None
    assert log.locate([version])[0].at == ["new"]


def test_aliases_move_and_go() -> None:
    """An alias stands for what it was given last, and for nothing once it is dropped."""
    log = new_log(DictBackend())
    upload(log, "a", b"1")
    upload(log, "a", b"2")
    for target in ("v1", "v2"):
        log.append([draft("annotate", DraftEntry("a", note={"alias:gold": target}))])
        version = resolve(log, "a@gold").version
        assert version is not None
        assert version.number == int(target[1:])
    log.append([draft("annotate", DraftEntry("a", note={"alias:gold": None}))])
    with pytest.raises(NotFound, match="it has none"):
        resolve(log, "a@gold")


@pytest.mark.parametrize(
    ("spec", "time"),
    [
        ("2026-11-01T12:00:00Z", NOON),
        ("20261101T120000Z", NOON),
        ("2026-11-01T12:00Z", NOON),
        ("20261101T120000.5Z", NOON + timedelta(seconds=0.5)),
        ("2026-11-01", None),
        ("2026-11-01T12:00:00", None),
        ("2026-11-01T120000Z", None),
        ("gold", None),
    ],
)
def test_times_are_spelled_in_two_ways(spec: str, time: datetime | None) -> None:
    """With colons and dashes or without, in UTC, and nothing between."""
    assert parse_time(spec) == time


def test_a_name_that_hides_a_version_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Logging a path that read as an address until then warns once, and says how to reach what it hides."""
    log = new_log(DictBackend())
    upload(log, "a", b"1")
    log.append([draft("annotate", DraftEntry("a", note={"alias:gold": "v1"}))])
    for path in ("a@v1", "a@gold", "a@c1"):
        caplog.clear()
        upload(log, path, b"x")
        upload(log, path, b"y")
        assert [record.getMessage().count(repr(path.replace("@", "@@"))) for record in caplog.records] == [1]
        version = resolve(log, path).version
        assert version is not None
        assert version.path == path
    caplog.clear()
    for path in ("a@v9", "b@v1", "a@silver", "@", "mail@example.org"):
        upload(log, path, b"x")
    assert caplog.records == []
