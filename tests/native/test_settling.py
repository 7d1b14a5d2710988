"""What plain readers of native keys get: before commits, after crashes, under races, and once writers are quiet."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.opening import open_container
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import Unavailable
from mlflow_versioned_store.history.log import Log
from mlflow_versioned_store.history.numbering import Appended
from mlflow_versioned_store.history.records import Draft
from mlflow_versioned_store.moving import Taken, take
from mlflow_versioned_store.native import settling
from mlflow_versioned_store.store import Store, create_store
from mlflow_versioned_store.testing.clients import client
from tests.servers.s3 import S3Server

ROOT = f"1/{'a' * 32}/artifacts"
CONTEXT = Context()


@pytest.fixture
def store(real_minio: S3Server, s3_env: Callable[[S3Server], None]) -> Store:
    """A store that keeps everything natively."""
    s3_env(real_minio)
    made = create_store(f"versioned-s3://{real_minio.new_bucket()}/lake")
    made.keep_natively(["**"], CONTEXT)
    return made


@pytest.fixture
def plain(real_minio: S3Server, store: Store) -> Callable[[str], bytes | None]:
    """Read a path's key as any S3 tool does; None where there is nothing."""
    bucket = store.location.removeprefix("s3://").partition("/")[0]

    def read(path: str) -> bytes | None:
        try:
            body: bytes = real_minio.client().get_object(Bucket=bucket, Key=f"lake/{ROOT}/{path}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise
        return body

    return read


def other(store: Store) -> ArtifactRoot:
    """Return the root as another process sees it."""
    return client(*open_container(f"versioned-{store.location}")).root(ROOT)


def upload(root: ArtifactRoot, data: bytes, path: str = "table") -> None:
    """Upload one file."""
    root.upload([Item(path, data)], context=CONTEXT)


def at_commit(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], Any]) -> None:
    """Do things just before the next commits of native uploads and deletions, one each."""
    left = list(actions)
    append = Log.append

    def delayed(log: Log, drafts: list[Draft]) -> list[Appended]:
        if left and log.root == ROOT:
            left.pop(0)()
        return append(log, drafts)

    monkeypatch.setattr(Log, "append", delayed)


def test_before_the_commit_the_key_has_the_new_bytes(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between writing and committing a plain reader gets what is about to be committed; ours get the version before."""
    upload(other(store), b"one")
    seen: list[object] = []

    def look() -> None:
        root = other(store)
        seen.extend((plain("table"), [root.read(version) for version in root.versions("table")]))

    at_commit(monkeypatch, look)
    upload(store.root(ROOT), b"two")
    assert seen == [b"two", [b"one"]]


def test_who_writes_first_and_commits_last_is_what_readers_get(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key follows the order of commits, whatever the order of writes."""
    at_commit(monkeypatch, lambda: upload(other(store), b"written last, committed first"))
    upload(store.root(ROOT), b"written first, committed last")
    assert plain("table") == b"written first, committed last"
    root = other(store)
    assert [root.read(version) for version in root.versions("table")] == [
        b"written last, committed first",
        b"written first, committed last",
    ]
    assert root.settle() == 0


def test_a_deletion_between_write_and_commit_is_undone_by_the_commit(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed after a deletion is there, though the deletion hid it when it was written."""
    upload(other(store), b"one")
    at_commit(monkeypatch, lambda: other(store).delete("table", context=CONTEXT))
    upload(store.root(ROOT), b"two")
    assert plain("table") == b"two"


def test_a_version_between_commit_and_marker_of_a_deletion_is_not_hidden(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that is committed while a deletion looks for keys to hide stays visible."""
    upload(other(store), b"one")
    native_paths = settling.Settler.native_paths
    states: list[settling.Settler] = []

    def late(self: settling.Settler, versions: Any) -> list[str]:
        if not states:
            states.append(self)
            upload(other(store), b"two")
        return native_paths(self, versions)

    monkeypatch.setattr(settling.Settler, "native_paths", late)
    store.root(ROOT).delete("table", context=CONTEXT)
    assert plain("table") == b"two"


def test_a_crash_before_the_commit_is_mended_by_the_next_writer(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes without a commit stay at the key while a writer may yet commit them; then whoever comes next mends that."""
    upload(other(store), b"one")

    def crash() -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        at_commit(patch, crash)
        with pytest.raises(Unavailable, match="killed"):
            upload(store.root(ROOT), b"never committed")
    assert plain("table") == b"never committed"
    assert other(store).settle() == 0
    monkeypatch.setattr(settling, "GRACE_SECONDS", 0.0)
    upload(other(store), b"one")
    assert plain("table") == b"one"
    root = other(store)
    assert [root.read(version) for version in root.versions("table")] == [b"one"]
    assert root.settle() == 0


def test_a_first_version_that_was_never_committed_is_hidden(
    store: Store, plain: Callable[[str], bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settling mends what deletions could not finish."""
    upload(store.root(ROOT), b"one")
    with monkeypatch.context() as patch:
        patch.setattr(settling.Settler, "settle", lambda *_: 0)
        store.root(ROOT).delete("table", context=CONTEXT)
    assert plain("table") == b"one"
    assert other(store).settle() == 1
    assert plain("table") is None


def test_what_somebody_else_wrote_stays(
    real_minio: S3Server, store: Store, plain: Callable[[str], bytes | None]
) -> None:
    """Settling never covers foreign bytes, which are nobody's version yet; a foreign deletion is undone."""
    upload(store.root(ROOT), b"ours")
    upload(store.root(ROOT), b"ours too", "second")
    bucket = store.location.removeprefix("s3://").partition("/")[0]
    real_minio.client().put_object(Bucket=bucket, Key=f"lake/{ROOT}/table", Body=b"theirs")
    real_minio.client().delete_object(Bucket=bucket, Key=f"lake/{ROOT}/second")
    assert other(store).settle() == 1
    assert (plain("table"), plain("second")) == (b"theirs", b"ours too")


def test_many_writers_and_deleters_end_settled(store: Store, plain: Callable[[str], bytes | None]) -> None:
    """However uploads and deletions of one path interleave, in the end the key has the newest version, or nothing."""
    start = threading.Barrier(6)

    def work(seed: int) -> None:
        chance, root = random.Random(seed), other(store)
        start.wait()
        for number in range(6):
            if chance.random() < 0.35:
                root.delete("table", context=CONTEXT)
            else:
                upload(root, b"%d of %d" % (number, seed))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    root = other(store)
    newest = root.log.state().get("table")
    assert plain("table") == (root.read(newest) if newest else None)
    assert root.settle() == 0


def test_a_restored_version_is_what_readers_get(store: Store, plain: Callable[[str], bytes | None]) -> None:
    """Restored in its own root or taken into another path, a version is copied to the key, once."""
    for data in (b"one", b"two"):
        upload(store.root(ROOT), data)
    root = other(store)
    first = root.versions("table")[0]
    taken = [Taken(root, first, "table"), Taken(root, first, "copy")]
    take(root, taken, operation="restore", context=CONTEXT)
    assert (plain("table"), plain("copy")) == (b"one", b"one")
    assert [root.read(version) for version in root.versions("table")] == [b"one", b"two", b"one"]
    assert root.settle() == 0
    upload(other(store), b"one")
    assert len(root.survey().orphans) == 0


def test_a_copy_stays_when_its_original_is_deleted(store: Store, plain: Callable[[str], bytes | None]) -> None:
    """A native version copied to another path is a plain object there too; a deletion hides the original alone."""
    root = store.root(ROOT)
    upload(root, b"one")
    upload(root, b"two")
    take(root, [Taken(root, root.versions("table")[0], "copy")], operation="upload", context=CONTEXT)
    root.delete("table", context=CONTEXT)
    fresh = other(store)
    assert (plain("copy"), plain("table")) == (b"one", None)
    assert [fresh.read(version) for version in fresh.versions("copy")] == [b"one"]
    assert fresh.settle() == 0
