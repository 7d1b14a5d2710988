"""Finding the store of any URI."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_versioned_store import finding, keys
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.changes import Item
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied, Damaged, InvalidInput, NoStore, Unsupported
from mlflow_versioned_store.store import create_store
from mlflow_versioned_store.testing.clients import new_store
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend

RUN = "0123456789abcdef" * 2
Serve = Callable[[], FaultyBackend]


@pytest.fixture
def uri() -> str:
    """The URI of an empty container that no other test uses."""
    return f"versioned-memory://{uuid.uuid4().hex}"


@pytest.fixture
def container(uri: str) -> Backend:
    """That container."""
    return open_container(uri)[0]


@pytest.fixture
def faulty(container: Backend, uri: str, monkeypatch: pytest.MonkeyPatch) -> FaultyBackend:
    """The container behind requests that can go wrong, served for its URI."""
    backend = FaultyBackend(container)
    monkeypatch.setattr(finding, "open_container", lambda wanted: (backend, open_container(wanted)[1]))
    return backend


def test_the_nearest_ancestor_is_the_store(uri: str, container: Backend) -> None:
    """Of several markers above a URI the nearest counts, and the rest of the path lies inside its store."""
    outer, inner = new_store(container), new_store(container, "team/a")
    for below, store, path in (
        (f"team/a/1/{RUN}/artifacts/x", inner, f"1/{RUN}/artifacts/x"),
        ("team/a", inner, ""),
        (f"team/ab/1/{RUN}/artifacts", outer, f"team/ab/1/{RUN}/artifacts"),
        ("", outer, ""),
    ):
        found = finding.find(f"{uri}/{below}")
        assert (found.marker.id, found.path) == (store.id, path)
        assert found.backend.location == store.location


def test_no_marker_is_no_store(uri: str) -> None:
    """Where no ancestor has a marker there certainly is no store, and the message says what to do."""
    with pytest.raises(NoStore, match="init"):
        finding.find(f"{uri}/1/{RUN}/artifacts")


def test_a_store_without_its_marker_is_not_a_missing_one(uri: str, container: Backend) -> None:
    """Whoever reads what is in a store that lost its marker is told so, instead of that nothing is there."""
    new_store(container, "s").root(f"1/{RUN}/artifacts").upload([Item("a", b"a")], context=Context())
    container.delete(["s/_mvs/store.json"])
    with pytest.raises(Damaged, match=r"logs of a versioned store, but not its marker _mvs/store\.json"):
        finding.find(f"{uri}/s/1/{RUN}/artifacts")


def test_who_may_not_list_finds_no_store(uri: str, faulty: FaultyBackend) -> None:
    """Whether logs are there cannot be told then, and a first upload says what is missing."""
    faulty.when(lambda call: call.verb == "list", Fault.DENY)
    with pytest.raises(NoStore):
        finding.find(f"{uri}/1/{RUN}/artifacts")


def test_absence_is_never_remembered(uri: str, container: Backend) -> None:
    """A store that somebody makes is found by a process that looked for it before."""
    with pytest.raises(NoStore):
        finding.find(f"{uri}/s/x")
    made = new_store(container, "s")
    assert finding.find(f"{uri}/s/x").marker.id == made.id


def test_presence_is_remembered(uri: str, faulty: FaultyBackend) -> None:
    """A store that was found costs no request the next time; the first time all ancestors are asked at once."""
    new_store(faulty)
    faulty.calls.clear()
    finding.find(f"{uri}/s/deep/er/1/{RUN}/artifacts")
    assert sorted(call.key for call in faulty.calls) == sorted(
        f"{folder}_mvs/store.json" for folder in ("s/deep/er/1/", "s/deep/er/", "s/deep/", "s/", "")
    )
    faulty.calls.clear()
    assert finding.find(f"{uri}/s/other/1/{RUN}/artifacts").prefix == ""
    assert faulty.calls == []


def test_a_denied_ancestor_is_unknown_and_not_none(uri: str, faulty: FaultyBackend) -> None:
    """Where an ancestor may not be read there may be a store; MVS_STORE is what the message asks for."""
    new_store(faulty)
    faulty.when(lambda call: call.key == "team/_mvs/store.json", Fault.DENY)
    with pytest.raises(AccessDenied, match="MVS_STORE"):
        finding.find(f"{uri}/team/x")


def test_a_denied_ancestor_above_the_store_does_not_matter(uri: str, faulty: FaultyBackend) -> None:
    """What lies above the nearest marker need not be readable."""
    made = new_store(faulty, "team")
    faulty.when(lambda call: call.key == "_mvs/store.json", Fault.DENY)
    assert finding.find(f"{uri}/team/x").marker.id == made.id


def test_a_denied_ancestor_is_unknown_even_where_nothing_else_is(uri: str, faulty: FaultyBackend) -> None:
    """Nothing found and something hidden is not the same as nothing there."""
    faulty.when(lambda call: call.key == "_mvs/store.json", Fault.DENY)
    with pytest.raises(AccessDenied, match="unknown"):
        finding.find(f"{uri}/team/x")


def test_mvs_store_says_where(uri: str, faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """With MVS_STORE only the store it names is asked for, whatever is hidden or lies nearer."""
    made = new_store(faulty, "team")
    new_store(faulty, "team/nearer")
    faulty.when(lambda call: call.key.startswith(("team/nearer", "_mvs")), Fault.DENY)
    monkeypatch.setenv("MVS_STORE", f"{uri}/team")
    found = finding.find(f"{uri}/team/nearer/x")
    assert (found.marker.id, found.path) == (made.id, "nearer/x")


@pytest.mark.parametrize("elsewhere", ["{uri}/other", "versioned-memory://another"])
def test_mvs_store_only_speaks_of_what_it_covers(
    uri: str,
    container: Backend,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    elsewhere: str,
) -> None:
    """A URI outside of the store that MVS_STORE names is looked for as without it, which one warning says."""
    made = new_store(container, "team")
    told = elsewhere.format(uri=uri)
    monkeypatch.setenv("MVS_STORE", told)
    for below in ("x", "y"):
        assert finding.find(f"{uri}/team/{below}").marker.id == made.id
    (warning,) = caplog.messages
    assert told in warning
    assert f"{uri}/team/x" in warning


def test_an_unreachable_store_is_not_a_missing_one(uri: str, faulty: FaultyBackend) -> None:
    """A failed request is an error, whichever ancestor it asked for."""
    faulty.when(lambda call: call.key == "a/_mvs/store.json", Fault.REFUSED)
    with pytest.raises(ConnectionError):
        finding.find(f"{uri}/a/b")


def test_an_unusable_marker_is_not_passed_over(uri: str, container: Backend) -> None:
    """A damaged or too new marker is reported; no store further up takes its place."""
    new_store(container)
    container.put("a/_mvs/store.json", b"{}")
    with pytest.raises(Damaged, match="/a cannot be read"):
        finding.find(f"{uri}/a/x")
    container.put("a/_mvs/store.json", b'{"format": 99}')
    with pytest.raises(Unsupported, match="format 99"):
        finding.find(f"{uri}/a/x")


def test_a_store_never_lies_inside_a_run(uri: str, container: Backend) -> None:
    """What a run logged cannot pass for a store: markers are looked for above MLflow's part of a path only."""
    container.put(f"1/{RUN}/artifacts/_mvs/store.json", b"planted")
    with pytest.raises(NoStore):
        finding.find(f"{uri}/1/{RUN}/artifacts/x")


def test_a_stores_own_folder_is_no_place(uri: str, container: Backend) -> None:
    """A URI into `_mvs` is refused."""
    new_store(container)
    with pytest.raises(InvalidInput, match="_mvs"):
        finding.find(f"{uri}/_mvs/log")


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (f"team/7/{RUN}/artifacts", "team"),
        (f"7/{RUN}/artifacts/data", ""),
        (f"team/churn/{RUN}/artifacts", "team/churn"),
        (f"team/7/models/m-{RUN}/artifacts", "team"),
        (f"team/7/traces/tr-{RUN}/artifacts", "team"),
        ("team/7", "team/7"),
        ("", ""),
    ],
)
def test_where_a_store_is_made_by_default(path: str, location: str) -> None:
    """A new store lies at the path less its MLflow part, and less the experiment's number where that stands there."""
    assert finding.default_location(path) == location


def test_a_marker_is_told_with_the_location_of_its_store(tmp_path: Path) -> None:
    """As all other messages name it, whether it is damaged or gone."""
    store = create_store(f"versioned-file://{tmp_path}/store")
    store.root(f"{RUN}/artifacts").upload([Item("a", b"a")], context=Context())
    container, prefix = open_container(f"versioned-file://{tmp_path}/store")
    (tmp_path / "store" / keys.MARKER).write_bytes(b"{")
    with pytest.raises(Damaged, match=f"of the store {store.location} cannot be read"):
        finding.read_marker(container, prefix)
    (tmp_path / "store" / keys.MARKER).unlink()
    with pytest.raises(Damaged, match=f"^{store.location} holds the logs"):
        finding.marker_of_logs(container, prefix)
