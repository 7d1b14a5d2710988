"""Ordinary MLflow code, unchanged, on an experiment whose artifacts are in a versioned store.

These flows run on every supported release of MLflow. What a release does not have yet is left out by its version,
never because something failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mlflow.data.pandas_dataset import from_pandas
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.version import VERSION
from PIL import Image
from sklearn.linear_model import LinearRegression

if TYPE_CHECKING:
    from tests.servers.tracking import Tracking

MLFLOW = tuple(int(part) for part in VERSION.split(".")[:2])
HAS_LOGGED_MODELS = MLFLOW >= (3, 0)


@pytest.fixture
def location(tmp_path: Path) -> str:
    """An artifact location in a fresh store."""
    return f"versioned-file://{tmp_path / 'store'}"


@pytest.fixture
def run_id(tracking: Tracking, location: str) -> str:
    """A run that is active in this test."""
    mlflow.set_experiment(experiment_id=tracking.new_experiment(location))
    return str(mlflow.start_run().info.run_id)


def _read(**arguments: str) -> bytes:
    return Path(mlflow.artifacts.download_artifacts(**arguments)).read_bytes()


def _versions(run_id: str, path: str) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            found.append(_read(run_id=run_id, artifact_path=f"{path}@v{len(found) + 1}"))
        except MlflowException:
            return found


def test_the_same_name_logged_twice_gives_both_versions(run_id: str) -> None:
    """Nothing that was logged is ever overwritten."""
    mlflow.log_text("old", "data/note.txt")
    mlflow.log_text("new", "data/note.txt")
    mlflow.log_text("new", "data/note.txt")
    assert _read(run_id=run_id, artifact_path="data/note.txt") == b"new"
    assert _versions(run_id, "data/note.txt") == [b"old", b"new"]


def test_a_version_downloads_by_every_address_that_mlflow_takes(run_id: str, tmp_path: Path) -> None:
    """By run id, `runs:/` URI, plain artifact URI and client, each under the name that was asked for."""
    mlflow.log_text("old", "data/note.txt")
    mlflow.log_text("new", "data/note.txt")
    uri = mlflow.get_artifact_uri("data/note.txt@v1")
    assert _read(run_id=run_id, artifact_path="data/note.txt@v1") == b"old"
    assert _read(artifact_uri=f"runs:/{run_id}/data/note.txt@v1") == b"old"
    assert _read(artifact_uri=uri) == b"old"
    for path in ("data/note.txt", "data/note.txt@v1"):
        local = mlflow.MlflowClient().download_artifacts(run_id, path, str(tmp_path))
        assert Path(local).name == path.removeprefix("data/")
        assert Path(local).is_relative_to(tmp_path)
    assert sorted(file.read_text() for file in tmp_path.rglob("note.txt*") if file.is_file()) == ["new", "old"]
    assert mlflow.artifacts.load_text(uri) == "old"


def test_files_and_directories_go_up_and_come_down(run_id: str, tmp_path: Path) -> None:
    """`log_artifact`, `log_artifacts`, a directory given to `log_artifact`, and empty folders."""
    source = tmp_path / "source"
    (source / "sub" / "hollow").mkdir(parents=True)
    (source / "a.txt").write_text("a")
    (source / "sub" / "b.bin").write_bytes(bytes(range(256)) * 1000)
    mlflow.log_artifact(str(source / "a.txt"))
    mlflow.log_artifacts(str(source), "tree")
    mlflow.log_artifact(str(source), "whole")
    client = mlflow.MlflowClient()
    assert [(info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run_id)] == [
        ("a.txt", False, 1),
        ("tree", True, None),
        ("whole", True, None),
    ]
    assert [info.path for info in client.list_artifacts(run_id, "tree/sub")] == ["tree/sub/b.bin", "tree/sub/hollow"]
    everything = Path(mlflow.artifacts.download_artifacts(run_id=run_id))
    for folder in (everything / "tree", everything / "whole" / "source"):
        assert (folder / "sub" / "b.bin").read_bytes() == (source / "sub" / "b.bin").read_bytes()
        assert (folder / "sub" / "hollow").is_dir()


def test_odd_names_survive(run_id: str, tmp_path: Path) -> None:
    """Blanks, plus signs, per cent signs, umlauts and at signs."""
    names = ["a b.txt", "a+b.txt", "50%.txt", "grün.txt", "mail@home.txt", "x~y.txt"]
    source = tmp_path / "odd"
    source.mkdir()
    for name in names:
        (source / name).write_text(name)
    mlflow.log_artifacts(str(source), "odd")
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="odd"))
    assert {path.name: path.read_text() for path in folder.iterdir()} == {name: name for name in names}


def test_dicts_figures_and_images_are_versioned(run_id: str) -> None:
    """Whatever helper logs it."""
    figure = Figure()
    figure.subplots().plot([1, 2])
    image = Image.new("RGB", (4, 4))
    for value in (1, 2):
        mlflow.log_dict({"value": value}, "config.json")
    mlflow.log_figure(figure, "plot.png")
    mlflow.log_image(image, "image.png")
    assert [json.loads(data) for data in _versions(run_id, "config.json")] == [{"value": 1}, {"value": 2}]
    assert mlflow.artifacts.load_dict(mlflow.get_artifact_uri("config.json@v1")) == {"value": 1}
    assert _read(run_id=run_id, artifact_path="plot.png").startswith(b"\x89PNG")
    assert mlflow.artifacts.load_image(mlflow.get_artifact_uri("image.png")).size == (4, 4)


def test_a_table_appended_to_keeps_every_state(run_id: str) -> None:
    """Each append logs the whole table again; all three are there."""
    for row in range(3):
        mlflow.log_table({"row": [row]}, "table.json")
    assert mlflow.load_table("table.json", run_ids=[run_id])["row"].tolist() == [0, 1, 2]
    assert [json.loads(data)["data"] for data in _versions(run_id, "table.json")] == [
        [[0]],
        [[0], [1]],
        [[0], [1], [2]],
    ]


def test_images_logged_in_the_background_arrive(run_id: str) -> None:
    """`log_image(key=…)` logs from MLflow's own threads."""
    image = Image.new("RGB", (4, 4))
    for step in range(3):
        mlflow.log_image(image, key="a/b", step=step)
    mlflow.flush_artifact_async_logging()
    names = [info.path for info in mlflow.MlflowClient().list_artifacts(run_id, "images")]
    assert len([name for name in names if name.endswith(".png")]) == 3


def _model(value: float) -> tuple[Any, Any]:
    features = [[0.0], [1.0]]
    return LinearRegression().fit(features, [0.0, value]), features


def _log_model(model: Any, **options: Any) -> str:
    named = {"name": "model"} if HAS_LOGGED_MODELS else {"artifact_path": "model"}
    return str(mlflow.sklearn.log_model(model, **named, **options).model_uri)


def test_a_model_is_logged_registered_copied_and_loaded(run_id: str) -> None:
    """By its own URI, through the run, and through the registry."""
    model, features = _model(3.0)
    uri = _log_model(model, registered_model_name="linear")
    mlflow.MlflowClient().copy_model_version("models:/linear/1", "copied")
    mlflow.register_model(f"runs:/{run_id}/model", "again")
    for source in (uri, f"runs:/{run_id}/model", "models:/linear/1", "models:/copied/1", "models:/again/1"):
        assert mlflow.sklearn.load_model(source).predict(features).tolist() == model.predict(features).tolist()
    assert mlflow.pyfunc.load_model("models:/linear/1").predict(features)[1] == pytest.approx(3.0)


def test_a_registered_model_can_be_pinned_to_a_version(run_id: str) -> None:
    """A model logged by hand under one path twice; the registry points at the first version."""
    first, features = _model(1.0)
    second, _ = _model(2.0)
    for model in (first, second):
        mlflow.log_text(repr(model.predict(features).tolist()), "weights/w.txt")
    client = mlflow.MlflowClient()
    client.create_registered_model("pinned")
    source = mlflow.get_artifact_uri("weights@c1")
    client.create_model_version("pinned", source=source, run_id=run_id)
    local = Path(mlflow.artifacts.download_artifacts("models:/pinned/1"))
    assert (local / "w.txt").read_text() == repr(first.predict(features).tolist())


def test_autologging_logs_a_model(run_id: str) -> None:
    """What MLflow logs by itself goes the same way."""
    mlflow.sklearn.autolog(log_datasets=False)
    try:
        _model(1.0)
    finally:
        mlflow.sklearn.autolog(disable=True)
    paths = [info.path for info in mlflow.MlflowClient().list_artifacts(run_id)]
    models = mlflow.search_logged_models(output_format="list") if HAS_LOGGED_MODELS else paths
    assert "estimator.html" in paths
    assert models


def test_a_data_set_is_found_again_by_its_source(run_id: str) -> None:
    """Every artifact scheme is a data set source of MLflow."""
    mlflow.log_text("a,b\n1,2\n", "data/t.csv")
    uri = mlflow.get_artifact_uri("data/t.csv@v1")
    mlflow.log_input(from_pandas(pd.DataFrame({"a": [1]}), source=uri))
    inputs = mlflow.get_run(run_id).inputs
    assert inputs is not None
    source = mlflow.data.get_source(inputs.dataset_inputs[0])
    assert Path(source.load()).read_text() == "a,b\n1,2\n"


def test_traces_come_back(run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one file in the trace's own artifact root, unless the tracking database keeps the spans itself."""
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
    mlflow.tracing.reset()  # type: ignore[no-untyped-call]
    with mlflow.start_span("work") as span:
        span.set_inputs({"x": 1})
    trace = mlflow.get_trace(span.trace_id if HAS_LOGGED_MODELS else span.request_id)
    assert trace is not None
    assert [found.name for found in trace.data.spans] == ["work"]
    in_database = trace.info.tags.get("mlflow.trace.spansLocation") == "TRACKING_STORE"
    repository = get_artifact_repository(trace.info.tags["mlflow.artifactLocation"])
    assert [info.path for info in repository.list_artifacts()] == ([] if in_database else ["traces.json"])


@pytest.mark.skipif(MLFLOW < (3, 13), reason="traces have attachments since MLflow 3.11, archives since 3.13")
def test_attachments_and_archives_of_traces_come_back(location: str) -> None:
    """What MLflow keeps beside a trace."""
    repository = get_artifact_repository(f"{location}/1/traces/tr-{'ab' * 16}/artifacts")
    name = "123e4567-e89b-42d3-a456-426614174000"
    repository.upload_attachment(name, b"picture")
    repository.upload_archived_trace_data_bytes(b"spans")
    assert repository.download_trace_attachment(name) == b"picture"
    assert [info.path for info in repository.list_artifacts()] == ["attachments", "traces.pb"]


def test_gc_deletes_a_run_with_its_artifacts(tracking: Tracking, run_id: str, tmp_path: Path, location: str) -> None:
    """`mlflow gc` ends well, and nothing is listed any more, while the bytes wait to be collected."""
    mlflow.log_text("1", "a.txt")
    uri = mlflow.get_artifact_uri()
    mlflow.end_run()
    mlflow.delete_run(run_id)
    command = [sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", tracking.uri, "--run-ids", run_id]
    environment = {"MLFLOW_TRACKING_URI": tracking.uri}
    done = subprocess.run(
        command, capture_output=True, text=True, env=_environment(environment), check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(MlflowException):
        mlflow.get_run(run_id)
    assert mlflow.artifacts.list_artifacts(artifact_uri=uri) == []
    assert _read(artifact_uri=f"{uri}/a.txt@v1") == b"1"


def test_what_an_exiting_program_still_logs_arrives(tracking: Tracking, run_id: str, tmp_path: Path) -> None:
    """An exit handler runs when thread pools already refuse new work."""
    script = tmp_path / "exiting.py"
    script.write_text(
        "import atexit, sys, mlflow\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "client = mlflow.MlflowClient()\n"
        "client.log_text(sys.argv[2], 'before', 'before.txt')\n"
        "atexit.register(lambda: client.log_text(sys.argv[2], 'x' * 200_000, 'after.txt'))\n"
        "atexit.register(lambda: print(len(mlflow.artifacts.load_text(\n"
        "    client.get_run(sys.argv[2]).info.artifact_uri + '/before.txt'))))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), tracking.uri, run_id],
        capture_output=True,
        text=True,
        env=_environment({}),
        check=False,
        timeout=120,
    )
    assert done.stdout.strip() == "6", done.stderr
    assert _read(run_id=run_id, artifact_path="after.txt") == b"x" * 200_000


@pytest.mark.parametrize("path", ["missing.txt", "data/missing.txt"])
def test_a_missing_artifact_is_reported_as_missing(run_id: str, path: str) -> None:
    """By its code, so that MLflow's UI shows a 404."""
    mlflow.log_text("1", "data/a.txt")
    for arguments in ({"run_id": run_id, "artifact_path": path}, {"artifact_uri": mlflow.get_artifact_uri(path)}):
        with pytest.raises(MlflowException) as raised:
            mlflow.artifacts.download_artifacts(**arguments)
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def _environment(more: dict[str, str]) -> dict[str, str]:
    return dict(os.environ) | more
