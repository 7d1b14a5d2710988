"""What MLflow calls, at whatever prefix it builds the repository."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException

from mlflow_versioned_store import errors
from mlflow_versioned_store._entry import artifact_repository
from mlflow_versioned_store.mlflow_plugin import repository as repository_module
from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository
from tests.mlflow_plugin.conftest import RUN, Open

if TYPE_CHECKING:
    from mlflow.entities import FileInfo

Log = Callable[..., None]


@pytest.fixture
def log(repository: VersionedArtifactRepository, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Log files by path and content in one change: `log({"d/a.txt": b"1"})`."""

    def log_all(files: dict[str, bytes]) -> None:
        folder = tmp_path_factory.mktemp("log")
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        repository.log_artifacts(folder)

    return log_all


def _tree(folder: str | Path) -> dict[str, bytes | None]:
    top = Path(folder)
    return {
        str(path.relative_to(top)): None if path.is_dir() else path.read_bytes()
        for path in sorted(top.rglob("*"))
        if not path.is_dir() or not any(path.iterdir())
    }


def _names(infos: list[FileInfo]) -> list[str]:
    return [info.path for info in infos]


def test_what_is_logged_comes_back(repository: VersionedArtifactRepository, tmp_path: Path) -> None:
    """Files, nested and empty ones, and empty folders."""
    (tmp_path / "in" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "in" / "hollow").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(b"a")
    (tmp_path / "in" / "deep" / "er" / "empty").write_bytes(b"")
    (tmp_path / "out").mkdir()
    repository.log_artifacts(tmp_path / "in", "d")
    assert _tree(repository.download_artifacts("d", tmp_path / "out")) == _tree(tmp_path / "in")


@pytest.mark.parametrize("path", ["hollow", "hollow/", "d/hollow", "hollow@c1", "d@c2/hollow"])
def test_an_empty_folder_downloads_by_its_own_path(
    repository: VersionedArtifactRepository, tmp_path: Path, path: str
) -> None:
    """It is a folder at the path that was asked for; its addresses outlive its deletion, its name does not."""
    (tmp_path / "in" / "hollow").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for folder in (None, "d"):
        repository.log_artifacts(tmp_path / "in", folder)
    if "@" in path:
        repository.delete_artifacts()
    wanted = path.rstrip("/")
    assert repository.download_artifacts(path, tmp_path / "out") == str(tmp_path / "out" / wanted)
    assert _tree(tmp_path / "out") == {wanted: None}
    repository.delete_artifacts()
    with pytest.raises(MlflowException) as raised:
        repository.download_artifacts("hollow", tmp_path / "out")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_a_folder_that_was_empty_downloads_what_came_into_it(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """It counts as an empty folder no more."""
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    repository.log_artifacts(tmp_path / "in")
    log({"d/a.txt": b"1"})
    repository.download_artifacts("d", tmp_path / "out")
    assert _tree(tmp_path / "out") == {"d/a.txt": b"1"}


@pytest.mark.parametrize("path", ["", None])
def test_everything_downloads_into_the_destination_itself(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path, path: str | None
) -> None:
    """No path means the whole repository, and the destination is returned."""
    log({"a.txt": b"1", "d/b.txt": b"2"})
    assert repository.download_artifacts(path, tmp_path) == str(tmp_path)
    assert _tree(tmp_path) == {"a.txt": b"1", "d/b.txt": b"2"}


def test_an_empty_repository_lists_and_downloads_nothing(
    repository: VersionedArtifactRepository, tmp_path: Path
) -> None:
    """A new run has no artifacts, and nothing was made by looking."""
    assert repository.list_artifacts() == []
    assert repository.download_artifacts("", tmp_path) == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_listing_has_direct_children_with_sizes(repository: VersionedArtifactRepository, log: Log) -> None:
    """Paths are relative to the repository, folders have no size."""
    log({"z.txt": b"123", "d/b.txt": b"", "d/e/c.txt": b"1"})
    assert [(info.path, info.is_dir, info.file_size) for info in repository.list_artifacts()] == [
        ("d", True, None),
        ("z.txt", False, 3),
    ]
    assert _names(repository.list_artifacts("d/")) == ["d/b.txt", "d/e"]


@pytest.mark.parametrize("path", ["d/b.txt", "missing", "d/missing"])
def test_a_file_and_what_is_missing_list_as_nothing(
    repository: VersionedArtifactRepository, log: Log, path: str
) -> None:
    """MLflow tells files from folders that way."""
    log({"d/b.txt": b"1"})
    assert repository.list_artifacts(path) == []


def test_both_versions_download_side_by_side(repository: VersionedArtifactRepository, log: Log, tmp_path: Path) -> None:
    """The local name is the path that was asked for."""
    log({"d/t.csv": b"old"})
    log({"d/t.csv": b"new"})
    for path in ("d/t.csv", "d/t.csv@v1", "d/t.csv@@v2"):
        assert repository.download_artifacts(path, tmp_path) == str(tmp_path / path)
    assert _tree(tmp_path) == {"d/t.csv": b"new", "d/t.csv@v1": b"old", "d/t.csv@@v2": b"new"}


def test_a_folder_as_of_a_commit_can_be_walked_and_downloaded(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """The entries of a listing keep the address, so that who walks on stays in that state."""
    log({"d/t.csv": b"old", "d/e/gone.csv": b"1"})
    repository.delete_artifacts("d/e")
    log({"d/t.csv": b"new"})
    assert _names(repository.list_artifacts("d@c1")) == ["d@c1/e", "d@c1/t.csv"]
    assert _names(repository.list_artifacts("d@c1/e")) == ["d@c1/e/gone.csv"]
    assert _names(repository.list_artifacts("d")) == ["d/t.csv"]
    repository.download_artifacts("d@c1", tmp_path)
    assert _tree(tmp_path) == {"d@c1/t.csv": b"old", "d@c1/e/gone.csv": b"1"}


def test_everything_as_of_a_commit_has_an_address(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """The address of no name at all."""
    log({"a.txt": b"1"})
    log({"a.txt": b"2", "b.txt": b"2"})
    assert _names(repository.list_artifacts("@c1")) == ["@c1/a.txt"]
    assert _tree(repository.download_artifacts("@c1", tmp_path)) == {"a.txt": b"1"}


def test_a_name_that_looks_like_an_address_is_a_name_first(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """Unchanged code always gets back what it logged."""
    log({"t.csv": b"one"})
    log({"t.csv": b"two", "t.csv@v1": b"literal", "at@home/x@y": b"3"})
    for path, data in {"t.csv@v1": b"literal", "t.csv@@v1": b"one", "at@home/x@y": b"3"}.items():
        assert Path(repository.download_artifacts(path, tmp_path)).read_bytes() == data


def test_an_address_can_be_part_of_the_uri(open_at: Open, log: Log, tmp_path: Path) -> None:
    """`download_artifacts(artifact_uri="…/d@c1/t.csv")` builds the repository at `…/d@c1`."""
    log({"d/t.csv": b"old"})
    log({"d/t.csv": b"new"})
    at = open_at(f"1/{RUN}/artifacts/d@c1")
    assert _names(at.list_artifacts()) == ["t.csv"]
    assert Path(at.download_artifacts("t.csv", tmp_path)).read_bytes() == b"old"


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("", f"1/{RUN}/artifacts/d/a.txt"),
        ("1", f"{RUN}/artifacts/d/a.txt"),
        (f"1/{RUN}", "artifacts/d/a.txt"),
        (f"1/{RUN}/artifacts", "d/a.txt"),
        (f"1/{RUN}/artifacts/d", "a.txt"),
        (f"1/{RUN}/artifacts/d/../d", "a.txt"),
        (f"1/{RUN}/artifacts/", "d/a.txt"),
    ],
)
def test_any_prefix_reads_and_writes_the_same_artifacts(
    open_at: Open, repository: VersionedArtifactRepository, log: Log, tmp_path: Path, prefix: str, path: str
) -> None:
    """MLflow builds a repository wherever it likes; there is one history."""
    log({"d/a.txt": b"1"})
    at = open_at(prefix)
    local = at.download_artifacts(path, tmp_path)
    assert Path(local).read_bytes() == b"1"
    assert local == str(tmp_path / path)
    (tmp_path / "a.txt").write_bytes(b"2")
    at.log_artifact(tmp_path / "a.txt", path.rpartition("/")[0])
    assert Path(repository.download_artifacts("d/a.txt@v2", tmp_path)).read_bytes() == b"2"


def test_a_prefix_above_runs_sees_them_all(open_at: Open, log: Log, tmp_path: Path) -> None:
    """Listing, downloading and deleting there covers every artifact root below."""
    log({"a.txt": b"1"})
    (tmp_path / "loose.txt").write_bytes(b"0")
    (tmp_path / "out").mkdir()
    top = open_at("")
    model = "1/models/m-0123456789abcdef0123456789abcdef/artifacts"
    open_at(model).log_artifact(tmp_path / "loose.txt")
    top.log_artifact(tmp_path / "loose.txt")
    assert _names(top.list_artifacts()) == ["1", "loose.txt"]
    assert _names(top.list_artifacts("1")) == [f"1/{RUN}", "1/models"]
    top.download_artifacts("", tmp_path / "out")
    assert _tree(tmp_path / "out") == {
        f"1/{RUN}/artifacts/a.txt": b"1",
        f"{model}/loose.txt": b"0",
        "loose.txt": b"0",
    }
    top.delete_artifacts("1/")
    assert _names(top.list_artifacts(f"1/{RUN}/artifacts")) == []
    assert _names(open_at(model).list_artifacts()) == []
    assert "loose.txt" in _names(top.list_artifacts())


@pytest.mark.parametrize("path", ["missing.txt", "d/missing", "a.txt@v2", "a.txt@c9", "a.txt/below"])
def test_a_missing_artifact_does_not_exist(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path, path: str
) -> None:
    """The tracking server makes a 404 of it; nothing is left on the disk."""
    log({"a.txt": b"1", "d/b": b"2"})
    for download in (
        lambda: repository.download_artifacts(path, tmp_path),
        lambda: repository._download_file(remote_file_path=path, local_path=str(tmp_path / "x")),
    ):
        with pytest.raises(MlflowException) as raised:
            download()
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("a.txt@v9", "has only version v1; there is no v9"),
        ("a.txt@gold", "has no alias 'gold'"),
        ("b.txt", "there are 'a.txt', 'd'"),
    ],
)
def test_a_missing_version_says_which_there_are(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path, path: str, says: str
) -> None:
    """The error names what could have been meant, in downloads of either kind and where a file is opened."""
    log({"a.txt": b"1", "d/b": b"2"})
    for read in (
        lambda: repository.download_artifacts(path, tmp_path),
        lambda: repository._download_file(remote_file_path=path, local_path=str(tmp_path / "x")),
        lambda: repository.open_artifact(path),
    ):
        with pytest.raises(MlflowException, match=says) as raised:
            read()
        assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"
        assert repository.artifact_uri in raised.value.message


def test_a_missing_artifact_leaves_no_temporary_folder(
    repository: VersionedArtifactRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow asks for a model in places where it may not be, every time that it loads one."""
    monkeypatch.setattr(repository_module, "create_tmp_dir", lambda: pytest.fail("a folder was made"))
    with pytest.raises(MlflowException, match="missing"):
        repository.download_artifacts("missing")


def test_a_folder_is_no_file(repository: VersionedArtifactRepository, log: Log, tmp_path: Path) -> None:
    """Asked for one file, a folder does not exist."""
    log({"d/b": b"2"})
    with pytest.raises(MlflowException) as raised:
        repository._download_file("d", str(tmp_path / "x"))
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_one_file_is_downloaded_by_the_names_that_mlflow_uses(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """MLflow passes `remote_file_path` and `local_path` by keyword, and pathlib paths."""
    log({"d/a.txt": b"1"})
    repository._download_file(remote_file_path="d/a.txt", local_path=tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"1"


def _broken(monkeypatch: pytest.MonkeyPatch, error: errors.VersionedStoreError) -> None:
    def fail(uri: str, *, write: bool = False) -> None:
        raise error

    monkeypatch.setattr(repository_module, "open_store", fail)


def test_a_store_that_cannot_be_reached_is_never_empty(
    repository: VersionedArtifactRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call says that the store is unavailable, none that there is nothing."""
    _broken(monkeypatch, errors.Unavailable("s3://b did not answer within 15 s; check the network."))
    (tmp_path / "a").write_bytes(b"")
    calls: list[Callable[[], object]] = [
        repository.list_artifacts,
        lambda: repository.download_artifacts("a"),
        lambda: repository.download_artifacts(""),
        lambda: repository._download_file("a", tmp_path / "b"),
        lambda: repository.log_artifact(tmp_path / "a"),
        lambda: repository.log_artifacts(tmp_path),
        repository.delete_artifacts,
    ]
    for call in calls:
        with pytest.raises(MlflowException, match="did not answer") as raised:
            call()
        assert raised.value.error_code == "TEMPORARILY_UNAVAILABLE"


@pytest.mark.parametrize(
    ("error", "times"), [(errors.Damaged("pack ab12 is damaged"), 1), (errors.NotFound("no such thing"), 0)]
)
def test_a_failed_download_is_logged_where_mlflow_would_hide_it(
    repository: VersionedArtifactRepository,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: errors.VersionedStoreError,
    times: int,
) -> None:
    """For `runs:/` MLflow reports any failure as a path that does not exist."""
    _broken(monkeypatch, error)
    with pytest.raises(MlflowException):
        repository.download_artifacts("a")
    assert caplog.text.count(str(error)) == times


def test_deleting_returns_normally_and_keeps_the_versions(
    repository: VersionedArtifactRepository, log: Log, tmp_path: Path
) -> None:
    """`mlflow gc` goes on, and an earlier version still reads; a second time there is nothing to delete."""
    log({"d/a.txt": b"1", "b.txt": b"2"})
    for _ in range(2):
        repository.delete_artifacts("d/")
        assert _names(repository.list_artifacts()) == ["b.txt"]
    assert Path(repository.download_artifacts("d/a.txt@v1", tmp_path)).read_bytes() == b"1"
    repository.delete_artifacts()
    assert repository.list_artifacts() == []


def test_deleting_where_nothing_was_ever_logged_is_no_error(repository: VersionedArtifactRepository) -> None:
    """`mlflow gc` meets runs without artifacts."""
    repository.delete_artifacts()
    repository.delete_artifacts("d/")


def test_deleting_says_once_that_bytes_stay(
    repository: VersionedArtifactRepository, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody should wonder why the bill stays the same, or read it a thousand times."""
    repository_module._say_that_bytes_stay.cache_clear()
    log({"a": b"1", "b": b"2"})
    with caplog.at_level(logging.WARNING):
        repository.delete_artifacts("a")
        repository.delete_artifacts("b")
    assert caplog.text.count("bytes stay in the store: this release frees no space") == 1


def test_one_version_cannot_be_deleted(repository: VersionedArtifactRepository, log: Log) -> None:
    """Versions never change; the message says what can be done."""
    log({"a.txt": b"1"})
    with pytest.raises(MlflowException, match="cannot be deleted") as raised:
        repository.delete_artifacts("a.txt@v1")
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
    log({"b@v1": b"literal"})
    repository.delete_artifacts("b@v1")
    assert _names(repository.list_artifacts()) == ["a.txt"]


@pytest.mark.parametrize("climb", ["../../../../elsewhere/d", "../../../../elsewhere"])
def test_a_uri_cannot_climb_into_another_store(store_uri: str, tmp_path: Path, climb: str) -> None:
    """`..` in a URI is resolved within the store of the path in front of it."""
    (tmp_path / "secret.txt").write_bytes(b"1")
    for name in ("mine", "elsewhere"):
        artifact_repository(f"{store_uri}/{name}/1/{RUN}/artifacts").log_artifact(tmp_path / "secret.txt")
    at = artifact_repository(f"{store_uri}/mine/1/{RUN}/artifacts/{climb}")
    with pytest.raises(MlflowException, match="climbs out") as raised:
        at.list_artifacts()
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_climbing_uri_makes_no_store(store_uri: str, tmp_path: Path) -> None:
    """Where nothing exists, `..` must not choose the place of a new store."""
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(MlflowException) as raised:
        artifact_repository(f"{store_uri}/1/{RUN}/artifacts/d/../d").log_artifact(tmp_path / "a")
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "_mvs"])
def test_a_bad_path_is_refused_before_anything_is_logged(
    repository: VersionedArtifactRepository, tmp_path: Path, path: str
) -> None:
    """INVALID_PARAMETER_VALUE, and the repository stays empty."""
    (tmp_path / "a.txt").write_bytes(b"1")
    for call in (repository.log_artifact, repository.log_artifacts):
        with pytest.raises(MlflowException) as raised:
            call(tmp_path / "a.txt" if call == repository.log_artifact else tmp_path, path)
        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"
    assert repository.list_artifacts() == []


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.text(max_size=12)
    | st.lists(st.sampled_from(["a", "d", "@", "@@", "v1", "c1", "v0", "/", "..", "."]), max_size=6).map("".join)
)
def test_any_text_is_a_path_or_refused(
    repository: VersionedArtifactRepository, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    """Whatever is asked for, the answer is MLflow's: an artifact, a list, or one of two error codes."""
    folder = tmp_path_factory.mktemp("any")
    (folder / "a").write_bytes(b"1")
    repository.log_artifacts(folder, "d")
    repository.log_artifact(folder / "a")
    answers: list[str] = []
    questions: list[Callable[[], str]] = [
        lambda: str(repository.list_artifacts(path)),
        lambda: repository.download_artifacts(path, folder),
    ]
    for ask in questions:
        try:
            answers.append(ask())
        except MlflowException as error:
            answers.append(error.error_code)
    assert answers[0].startswith("[") or answers[0] == "INVALID_PARAMETER_VALUE"
    assert answers[1] in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"} or answers[1].startswith(str(folder))


def test_a_query_in_the_uri_is_refused(store_uri: str) -> None:
    """MLflow drops it on some ways and misplaces it on others."""
    with pytest.raises(MlflowException, match="environment variables") as raised:
        artifact_repository(f"{store_uri}/p?version=3")
    assert raised.value.error_code == "INVALID_PARAMETER_VALUE"


def test_a_file_cannot_take_the_place_of_an_artifact_root(open_at: Open, tmp_path: Path) -> None:
    """A file named `artifacts` below a run id would hide all of the run's artifacts."""
    (tmp_path / "artifacts").write_bytes(b"")
    with pytest.raises(MlflowException, match="artifact root"):
        open_at("").log_artifact(tmp_path / "artifacts", f"1/{RUN}")


def test_threads_may_share_an_instance(repository: VersionedArtifactRepository, tmp_path: Path) -> None:
    """MLflow logs from its own worker threads."""
    files = [tmp_path / f"{n}.txt" for n in range(16)]
    for path in files:
        path.write_text(path.name)
    threads = [threading.Thread(target=repository.log_artifact, args=(path, "d")) for path in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (tmp_path / "out").mkdir()
    assert _tree(repository.download_artifacts("d", tmp_path / "out")) == {
        path.name: path.name.encode() for path in files
    }


def test_traces_and_their_absence_work_through_the_base_class(repository: VersionedArtifactRepository) -> None:
    """A trace is one file; a missing one raises what MLflow expects."""
    from mlflow.exceptions import MlflowTraceDataNotFound

    with pytest.raises(MlflowTraceDataNotFound):
        repository.download_trace_data()
    repository.upload_trace_data('{"spans": []}')
    assert repository.download_trace_data() == {"spans": []}
