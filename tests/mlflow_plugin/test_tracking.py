"""What MLflow's tracking database knows."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from mlflow_versioned_store.catalog.orphans import Owner, compare, placing
from mlflow_versioned_store.errors import NotFound, Unavailable
from mlflow_versioned_store.mlflow_plugin import tracking as tracking_module
from mlflow_versioned_store.mlflow_plugin.tracking import owners, tracking_place
from mlflow_versioned_store.store import create_store
from tests.servers.tracking import Tracking


@pytest.fixture
def location(tmp_path: Path) -> str:
    """The URI of a new store."""
    uri = f"versioned-file://{tmp_path}/store"
    create_store(uri)
    return uri


def test_everything_is_found_page_by_page(tracking: Tracking, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, those in the trash too, models and traces come however many pages they take."""
    monkeypatch.setattr(tracking_module, "_PAGE", 2)
    monkeypatch.setattr(tracking_module, "_MODELS_A_PAGE", 1)
    monkeypatch.setattr(tracking_module, "_TRACES_A_PAGE", 1)
    monkeypatch.setattr(tracking_module, "_EXPERIMENTS_AT_ONCE", 2)
    runs = [tracking.new_run(f"{location}/{number}") for number in range(5)]
    tracking.client.delete_run(runs[1])
    experiment = tracking.client.get_run(runs[0]).info.experiment_id
    has_models = hasattr(tracking.client, "create_logged_model")
    models = [tracking.client.create_logged_model(experiment).model_id for _ in range(2)] if has_models else []
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow.tracing.reset()  # type: ignore[no-untyped-call]
    mlflow.set_experiment(experiment_id=experiment)
    for _ in range(2):
        with mlflow.start_span("work"):
            pass
    found = list(owners(tracking.uri, traces=True))
    assert [owner.id for owner in found if owner.kind == "run" and owner.deleted] == [runs[1]]
    assert {owner.id for owner in found if owner.kind == "run"} == set(runs)
    assert {owner.id for owner in found if owner.kind == "model"} == set(models)
    assert sum(owner.kind == "trace" for owner in found) == 2
    assert len(found) == 5 + len(models) + 2
    assert all(owner.kind != "trace" for owner in owners(tracking.uri, traces=False))


def test_a_store_is_compared_with_its_tracking_database(tracking: Tracking, location: str) -> None:
    """Runs that MLflow deleted or never knew leave orphans; runs that logged nothing are empty."""
    experiment = tracking.new_experiment(location)
    kept, trashed, gone, empty = (tracking.client.create_run(experiment).info.run_id for _ in range(4))
    for run in (kept, trashed, gone):
        tracking.client.log_text(run, "text", "a.txt")
    tracking.client.delete_run(trashed)
    names = [name.replace(gone, "f" * 32) for name in create_store(location).roots_below("")]
    found = compare(names, owners(tracking.uri, traces=False), placing(location))
    assert found.owned == 1
    assert {(orphan.id, orphan.reason) for orphan in found.orphans} == {(trashed, "deleted"), ("f" * 32, "unknown")}
    assert [owner.id for owner in sorted(found.empty)] == sorted([gone, empty])
    assert all(isinstance(owner, Owner) and owner.experiment == experiment for owner in found.empty)


def test_the_default_is_mlflows_own(tracking: Tracking, location: str) -> None:
    """Without a URI the tracking server is the one that MLflow uses."""
    run = tracking.new_run(location)
    assert mlflow.get_tracking_uri() == tracking.uri
    assert [owner.id for owner in owners(traces=False)] == [run]


def test_a_server_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tracking server that cannot be reached is told as such; a store is never compared with half of one."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unavailable, match="tracking server"):
        list(owners("http://127.0.0.1:9", traces=False))


def test_only_local_files_have_to_be_there(tmp_path: Path) -> None:
    """Options are no part of a database's path, and neither memory nor a server is a file."""
    (tmp_path / "there.db").touch()
    for uri in (f"sqlite:///{tmp_path}/there.db?timeout=60", "sqlite:///:memory:", "sqlite://", "http://127.0.0.1:9"):
        assert tracking_place(uri) == uri
    for uri in (
        f"sqlite:///{tmp_path}/no.db?timeout=60",
        f"sqlite+pysqlite:///{tmp_path}/no.db",
        f"file://{tmp_path}/no",
    ):
        with pytest.raises(NotFound, match="does not exist"):
            tracking_place(uri)
