"""Opening stores, artifact roots and files by their URIs."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

import mlflow_versioned_store as mvs
from mlflow_versioned_store.errors import InvalidInput, NoStore, NotFound, Unavailable
from tests.api.conftest import RUN
from tests.servers.tracking import Tracking, mlflow_at


def test_a_store_is_opened_by_any_uri_in_it(uri: str, root: mvs.ArtifactRoot) -> None:
    """The store says where it is and what it is called."""
    store = mvs.open_store(uri)
    assert uri.startswith(store.uri)
    assert (store.id, store.roots(), store.settings.dedup) == (root.store.id, [], True)
    root.upload(b"1", "a")
    assert store.roots() == store.roots("1") == [root.name]
    assert store.roots("2") == []


def test_a_store_that_is_missing_is_made_only_when_asked(tmp_path: Path) -> None:
    """`create` makes one above MLflow's part of the URI; without it there is none."""
    uri = f"versioned-file://{tmp_path}/1/{RUN}/artifacts"
    with pytest.raises(NoStore):
        mvs.open_root(uri)
    assert mvs.open_root(uri, create=True).store.uri == f"versioned-file://{tmp_path}"


def test_a_root_is_opened_by_its_uri_and_its_name(uri: str, root: mvs.ArtifactRoot) -> None:
    """All ways lead to the same root, the store's own included."""
    assert (root.uri, root.name) == (uri, f"1/{RUN}/artifacts")
    assert root.store.root(root.name).uri == uri
    own = mvs.open_root(root.store.uri)
    assert (own.name, own.uri) == ("", root.store.uri)
    assert uri in repr(root)
    assert own.uri in repr(own.store)


def test_a_uri_inside_a_root_is_no_root(uri: str, root: mvs.ArtifactRoot) -> None:
    """`locate` splits it; `open_root` and `Store.root` say which root it is in."""
    located, path = mvs.locate(f"{uri}/data/t.csv@v2")
    assert (located.uri, path) == (uri, "data/t.csv@v2")
    assert mvs.locate(uri)[1] == ""
    with pytest.raises(InvalidInput, match=r"data/t\.csv"):
        mvs.open_root(f"{uri}/data/t.csv")
    with pytest.raises(InvalidInput, match="data"):
        root.store.root(f"{root.name}/data")


def test_a_root_as_of_a_commit(uri: str, root: mvs.ArtifactRoot) -> None:
    """An address may stand on the root itself, with or without a path behind it; none can be written to."""
    root.upload(b"one", "a")
    root.upload(b"two", "a")
    for address in (f"{uri}@c1", f"{uri}@@c1", f"{uri}/@c1"):
        located, inside = mvs.locate(address)
        assert located.uri == uri
        assert [entry.version.number for entry in located.list(inside) if entry.version] == [1]
        assert mvs.open(f"{address}/a").read() == b"one"
    with pytest.raises(InvalidInput, match="@c1"):
        mvs.open_root(f"{uri}@c1")


def test_exactly_one_root_is_asked_for(uri: str) -> None:
    """Neither or both of URI and run are refused."""
    with pytest.raises(InvalidInput):
        mvs.open_root()
    with pytest.raises(InvalidInput):
        mvs.open_root(uri, run_id=RUN)


def test_a_file_is_read_and_written_by_its_uri(uri: str) -> None:
    """Writing makes a version, reading an address gives it back."""
    for content in (b"one", b"two"):
        with mvs.open(f"{uri}/a", "wb") as file:
            file.write(content)
    with mvs.open(f"{uri}/a@v1") as read:
        assert read.read() == b"one"
    with mvs.open(f"{uri}/a") as read:
        read.seek(1)
        assert read.read() == b"wo"


def test_what_mlflow_knows_is_opened(tracking: Tracking, tmp_path: Path) -> None:
    """Run ids, `runs:/` and `models:/` URIs, by version and by alias, lead to the artifacts, with paths behind them."""
    run = tracking.new_run(f"versioned-file://{tmp_path}/store")
    tracking.client.log_text(run, "text", "model/a.txt")
    root = mvs.open_root(run_id=run)
    assert root.name.endswith(f"{run}/artifacts")
    assert mvs.open_root(f"runs:/{run}").uri == root.uri
    assert mvs.open(f"runs:/{run}/model/a.txt@v1").read() == b"text"
    tracking.client.log_text(run, "later", "model/a.txt")
    for address in (f"runs:/{run}@c1/model/a.txt", f"runs:/{run}@@c1/model/a.txt", f"runs:/{run}/@c1/model/a.txt"):
        assert mvs.open(address).read() == b"text"
    client = mlflow.MlflowClient()
    client.create_registered_model("churn")
    client.create_model_version("churn", f"{root.uri}/model", run_id=run)
    client.set_registered_model_alias("churn", "best", "1")
    for model in ("models:/churn/1", "models:/churn@best"):
        located, path = mvs.locate(f"{model}/a.txt@v1")
        assert (located.uri, path) == (root.uri, "model/a.txt@v1")


def test_a_logged_model_is_opened(tracking: Tracking, tmp_path: Path) -> None:
    """A model's id leads to its own artifact root."""
    experiment = tracking.new_experiment(f"versioned-file://{tmp_path}/store")
    if not hasattr(tracking.client, "create_logged_model"):
        return  # MLflow 2 has none
    model = tracking.client.create_logged_model(experiment).model_id
    assert mvs.open_root(f"models:/{model}", create=True).name.endswith(f"models/{model}/artifacts")
    assert mvs.locate(f"models:/{model}/MLmodel")[1] == "MLmodel"
    assert mvs.locate(f"models:/{model}@c1/MLmodel")[1] == "@c1/MLmodel"


@pytest.mark.usefixtures("tracking")
def test_what_mlflow_does_not_know_is_not_found() -> None:
    """An unknown run or model is told apart from an address that can never work."""
    for uri in (f"runs:/{RUN}", "models:/churn/1", f"models:/m-{RUN}"):
        with pytest.raises(NotFound, match="tracking URI"):
            mvs.open_root(uri)
    for uri in ("models:/", "runs:"):
        with pytest.raises(InvalidInput, match="names nothing"):
            mvs.open_root(uri)


def test_a_tracking_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for one that knows no such run."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with mlflow_at("http://127.0.0.1:1"), pytest.raises(Unavailable, match="cannot say"):
        mvs.open_root(run_id=RUN)


@pytest.mark.parametrize(("location", "says"), [("mlflow-artifacts:/1", "tracking server"), ("s3://b/p", "versioned")])
def test_artifacts_that_are_in_no_store(tracking: Tracking, location: str, says: str) -> None:
    """A location that only the server can reach, or that is in no store of ours, is refused by name."""
    run = tracking.new_run(location)
    with pytest.raises(InvalidInput, match=says):
        mvs.open_root(run_id=run)
