"""Making stores: on request, silently on a first write, by many at once, and where none may be made."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

import mlflow_versioned_store
from mlflow_versioned_store import creating, finding
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.cli import main
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied, Damaged, InvalidInput, NoStore, OutcomeUnknown, Unsupported
from mlflow_versioned_store.store import Store, create_store, open_store
from mlflow_versioned_store.testing.clients import client, new_store
from mlflow_versioned_store.testing.faults import Fault, FaultyBackend

RUN = "0123456789abcdef" * 2
ARTIFACTS = f"team/7/{RUN}/artifacts"


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
    for module in (finding, creating):
        monkeypatch.setattr(module, "open_container", lambda wanted: (backend, open_container(wanted)[1]))
    return backend


def markers(container: Backend) -> list[str]:
    """Return where there are stores."""
    return [info.key for info in container.list("") if info.key.endswith("_mvs/store.json")]


def test_a_first_write_makes_the_store(uri: str, container: Backend) -> None:
    """Opening for a write makes a store at the default place, and later calls find it."""
    store, path = open_store(f"{uri}/{ARTIFACTS}", write=True)
    assert markers(container) == ["team/_mvs/store.json"]
    assert (store.location, path) == (f"{container.location}/team", f"7/{RUN}/artifacts")
    assert open_store(f"{uri}/{ARTIFACTS}/x", write=True)[0].id == store.id


def test_reading_makes_none(uri: str, container: Backend) -> None:
    """Opening for a read never makes a store."""
    with pytest.raises(NoStore):
        open_store(f"{uri}/{ARTIFACTS}")
    assert list(container.list("")) == []


def test_a_store_is_announced_once(uri: str, caplog: pytest.LogCaptureFixture) -> None:
    """The silent making of a store is told in one line that everybody sees, with its id and place; finding is not."""
    caplog.set_level(logging.INFO)
    store, _ = open_store(f"{uri}/{ARTIFACTS}", write=True)
    open_store(f"{uri}/{ARTIFACTS}", write=True)
    told = [record for record in caplog.records if "Created" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"]
    assert store.id in told[0].getMessage()
    assert store.location in told[0].getMessage()


@pytest.mark.parametrize("text", ["never", "NEVER", "off", "no", "false", "0"])
def test_mvs_create_never(uri: str, container: Backend, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Where MVS_CREATE says no, a write finds stores and makes none; the message says how to make one."""
    monkeypatch.setenv("MVS_CREATE", text)
    with pytest.raises(NoStore, match="init URI"):
        open_store(f"{uri}/{ARTIFACTS}", write=True)
    assert list(container.list("")) == []
    made = create_store(f"{uri}/team")
    assert open_store(f"{uri}/{ARTIFACTS}", write=True)[0].id == made.id


def test_a_misspelt_mvs_create_is_refused(uri: str, container: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says neither yes nor no makes no store by mistake."""
    monkeypatch.setenv("MVS_CREATE", "nver")
    with pytest.raises(InvalidInput, match="MVS_CREATE='nver'"):
        open_store(f"{uri}/{ARTIFACTS}", write=True)
    assert list(container.list("")) == []


def test_a_store_is_made_where_mvs_store_says(uri: str, container: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MVS_STORE names a place without a store, the first write makes it there."""
    monkeypatch.setenv("MVS_STORE", f"{uri}/team/deeper")
    store, path = open_store(f"{uri}/team/deeper/er/7/{RUN}/artifacts", write=True)
    assert markers(container) == ["team/deeper/_mvs/store.json"]
    assert path == f"er/7/{RUN}/artifacts"
    assert open_store(f"{uri}/team/deeper/x", write=True)[0].id == store.id


def test_nothing_is_made_where_there_may_be_a_store(uri: str, faulty: FaultyBackend, container: Backend) -> None:
    """A denied ancestor is unknown: a write makes no second store in its place."""
    faulty.when(lambda call: call.key == "_mvs/store.json", Fault.DENY)
    with pytest.raises(AccessDenied, match="MVS_STORE"):
        open_store(f"{uri}/{ARTIFACTS}", write=True)
    assert list(container.list("")) == []


def test_who_may_not_look_further_up_may_say_where(uri: str, faulty: FaultyBackend) -> None:
    """Where an ancestor is hidden, an explicit store is made below it and found from then on."""
    faulty.when(lambda call: call.key == "_mvs/store.json", Fault.DENY)
    made = create_store(f"{uri}/team")
    assert open_store(f"{uri}/{ARTIFACTS}", write=True)[0].id == made.id


def test_creating_twice_is_creating_once(uri: str, container: Backend) -> None:
    """A store that is there is returned as it is."""
    made = create_store(f"{uri}/s", digest="sha256")
    assert create_store(f"{uri}/s").id == made.id
    assert client(container, "s").marker.digest == "sha256"


def test_a_store_inside_a_store_is_refused(uri: str, container: Backend) -> None:
    """No store is made below one that is there."""
    new_store(container, "a")
    with pytest.raises(InvalidInput, match="lies inside the store"):
        create_store(f"{uri}/a/b/c")


@pytest.mark.parametrize("below", ["a/b", "a/b/c", "b/z"])
def test_a_store_around_a_store_is_refused(uri: str, container: Backend, below: str) -> None:
    """No store is made above one that is there, by request or silently."""
    for number in range(5):
        container.put(f"a/other{number}/x", b"")
    new_store(container, below)
    top = below.split("/", maxsplit=1)[0] if below.startswith("a") else ""
    with pytest.raises(InvalidInput, match=f"a store at {container.location}/.*{below}"):
        create_store(f"{uri}/{top}")
    with pytest.raises(InvalidInput, match="around it"):
        open_store(f"{uri}/{top}/7/{RUN}/artifacts", write=True)
    assert markers(container) == [f"{below}/_mvs/store.json"]


def test_what_lies_below_is_only_looked_at(uri: str, faulty: FaultyBackend) -> None:
    """Folders that cannot be listed or be a store's do not keep a store from being made."""
    faulty.put("strange/ name /x", b"")
    faulty.put(f"7/{RUN}/artifacts/x", b"")
    faulty.when(lambda call: call.verb == "folders", Fault.DENY)
    assert create_store(uri).location


def test_a_run_is_no_place_for_a_store(uri: str, container: Backend) -> None:
    """A store cannot be made inside an artifact root, where nobody would look for it."""
    for path in (ARTIFACTS, f"{ARTIFACTS}/data"):
        with pytest.raises(InvalidInput, match="belongs to one run"):
            create_store(f"{uri}/{path}")
    with pytest.raises(InvalidInput, match="_mvs"):
        create_store(f"{uri}/a/_mvs/b")
    assert list(container.list("")) == []


def test_logs_without_a_marker_are_damage(uri: str, container: Backend) -> None:
    """Where a store lost its marker no new one is put in its place: that would change what its bytes mean."""
    store = new_store(container, "team")
    store.root(f"7/{RUN}/artifacts").upload([Item("a", b"a")], context=Context())
    container.delete(["team/_mvs/store.json"])
    with pytest.raises(Damaged, match="Restore the marker"):
        create_store(f"{uri}/team")
    for write in (True, False):
        with pytest.raises(Damaged, match="Restore the marker"):
            open_store(f"{uri}/{ARTIFACTS}", write=write)


def test_a_backend_without_conditional_writes_is_refused(
    uri: str, container: Backend, faulty: FaultyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probe runs before a marker is written: a server where several creates win gets no store."""
    monkeypatch.setattr(faulty, "put", lambda key, data, **_: container.put(key, data))
    with pytest.raises(Unsupported, match="If-None-Match"):
        create_store(uri)
    assert markers(container) == []


def test_a_marker_that_cannot_be_written_is_an_error(uri: str, faulty: FaultyBackend, container: Backend) -> None:
    """A create that never gets an answer is tried again and then reported, and nobody is told of a store."""
    faulty.when(lambda call: call.create and call.key == "_mvs/store.json", Fault.REFUSED)
    with pytest.raises(OutcomeUnknown):
        create_store(uri)
    assert markers(container) == []


def test_threads_that_race_make_one_store(uri: str, container: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """However many threads write first, there is one store, announced once, and all use it."""
    barrier = threading.Barrier(16)

    def first_write(number: int) -> str:
        barrier.wait()
        store, path = open_store(f"{uri}/{ARTIFACTS}", write=True)
        store.root(store.place(path).root).upload([Item(str(number), b"%d" % number)], context=Context())
        return store.id

    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(first_write, range(16)))
    assert len(ids) == 1
    assert len(markers(container)) == 1
    assert sum("Created" in record.getMessage() for record in caplog.records) == 1
    assert len(client(container, "team").root(f"7/{RUN}/artifacts").walk()) == 16


def command(*arguments: str) -> tuple[int, str]:
    """Run the command in this process and return its exit code and all that it printed."""
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def test_init_prints_where_and_which(uri: str, container: Backend) -> None:
    """The command makes a store, prints its place and id in one line, and the second time the same."""
    code, output = command("init", f"{uri}/s", "--digest", "sha256", "--dedup-scope", "experiment")
    store = client(container, "s")
    assert code == 0
    assert output.count("\n") == 1
    assert store.id in output
    assert store.location in output
    assert (store.marker.digest, store.settings.dedup_scope) == ("sha256", "experiment")
    assert command("init", f"{uri}/s") == (0, output)
    assert command("init", f"{uri}/s", "--digest", "sha256", "--dedup-scope", "experiment") == (0, output)
    assert len(list(client(container, "s").settings_log.commits())) == 1


def test_init_changes_the_scope_but_never_the_digest(uri: str, container: Backend) -> None:
    """What can be changed is, for the store that is there; what cannot is refused."""
    assert command("init", uri)[0] == 0
    assert command("init", uri, "--dedup-scope", "experiment")[0] == 0
    assert client(container).settings.dedup_scope == "experiment"
    code, output = command("init", uri, "--digest", "sha256")
    assert (code, "cannot be changed" in output) == (2, True)
    assert client(container).marker.digest == "blake3"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["s3://bucket"], 2), (["{uri}/a/b"], 2), (["{uri}/denied"], 3), (["{uri}/away"], 4), (["{uri}/new"], 5)],
)
def test_init_fails_in_one_clear_line(
    uri: str, faulty: FaultyBackend, container: Backend, arguments: list[str], code: int
) -> None:
    """Each kind of failure has an exit code, and its reason is one line without a traceback."""
    new_store(container, "a")
    container.put("new/_mvs/store.json", json.dumps({"format": 2}).encode())
    faulty.when(lambda call: call.key.startswith("denied/"), Fault.DENY)
    faulty.when(lambda call: call.key.startswith("away/"), Fault.REFUSED)
    exit_code, output = command("init", *(argument.format(uri=uri) for argument in arguments))
    assert exit_code == code
    assert output.startswith("Error: ")
    assert output.count("\n") == 1


def test_the_command_tells_its_version_and_what_it_does() -> None:
    """`--version` and `--help` need no store, no network and no metadata of an installed package."""
    assert command("--version") == (0, f"mvs, version {mlflow_versioned_store.__version__}\n")
    code, output = command("init", "--help")
    assert code == 0
    assert "--dedup-scope" in output


def test_init_runs_as_a_module(tmp_path: Path) -> None:
    """`python -m mlflow_versioned_store init URI` works in a fresh process, and its result can be used."""
    uri = f"versioned-file://{tmp_path}/store"
    arguments = [sys.executable, "-m", "mlflow_versioned_store", "init", uri]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60, env=dict(os.environ))
    store: Store = open_store(uri)[0]
    assert store.id in done.stdout
    assert done.stderr == ""
