"""Versions move into domains of their own, and stay what they were."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from functools import partial

import pytest

from mlflow_versioned_store import keys
from mlflow_versioned_store.artifact_root import Item
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.content.locations import decode_content
from mlflow_versioned_store.content.wanted import ignore
from mlflow_versioned_store.context import Context
from mlflow_versioned_store.errors import AccessDenied, InvalidInput
from mlflow_versioned_store.policies import rescoping
from mlflow_versioned_store.policies.rescoping import Rescoped, rescope
from mlflow_versioned_store.policies.roles import scope
from mlflow_versioned_store.settings import Settings, change_settings
from mlflow_versioned_store.store import Store
from mlflow_versioned_store.testing import invariants
from mlflow_versioned_store.testing.clients import client, new_store
from tests.policies.conftest import LARGE, TEN, Site, refused
from tests.policies.conftest import ONE as SITE_ONE
from tests.servers.minio import Minio
from tests.servers.s3 import S3Server

ONE, TWO = f"1/{'a' * 32}/artifacts", f"2/{'b' * 32}/artifacts"
CONTEXT = Context()
SETTINGS = Settings(dedup_scope="experiment")
TABLE = b"".join(b"%d,%d\n" % (row, random.Random(row).getrandbits(64)) for row in range(20_000))
EDITED = TABLE.replace(b"7,", b"8,", 40)


@pytest.fixture
def backend() -> Backend:
    """A store of two experiments that share chunks, whose settings then part them."""
    backend = open_memory(uuid.uuid4().hex)
    store = new_store(backend)
    for root in (ONE, TWO):
        for data in (TABLE, EDITED):
            store.root(root).upload([Item("t.csv", data)], context=CONTEXT)
    store.root(ONE).upload([Item("small", b"small")], context=CONTEXT)
    store.root(TWO).delete("t.csv", context=CONTEXT)
    change_settings(store.settings_log, {"dedup_scope": "experiment"}, {})
    return backend


def moved(store: Store, *, move: bool = True) -> Rescoped:
    """Rescope all of a store."""
    return rescope(store, store.roots_below(""), SETTINGS, move=move, on_bytes=ignore)


def domains(store: Store, root: str) -> set[str]:
    """Return the domains of the packs that the versions of a root are read from."""
    log = store.root(root).log
    located = log.locate([version for version in log.state().all_versions() if version.readable])
    contents = [decode_content(one.content) for one in located]
    return {pack.domain for content in contents for pack in (*content.packs, *content.leans)}


def test_every_version_moves_and_stays_what_it_was(backend: Backend) -> None:
    """Afterwards each root leans on its own domain alone, and every version, deleted ones too, reads as before."""
    assert moved(client(backend)) == Rescoped(2, 4, 2 * (len(TABLE) + len(EDITED)))
    store = client(backend)
    assert (domains(store, ONE), domains(store, TWO)) == ({"experiment-1"}, {"experiment-2"})
    for root in (ONE, TWO):
        first, second = store.root(root).versions("t.csv")
        assert (store.root(root).read(first), store.root(root).read(second)) == (TABLE, EDITED)
        invariants.check_all(store, root)
    assert store.root(TWO).walk() == []
    assert store.root(ONE).read(store.root(ONE).versions("small")[0]) == b"small"


def test_nothing_needs_the_old_domain(backend: Backend) -> None:
    """Without the packs of the shared domain everything is still read."""
    moved(client(backend))
    backend.delete([info.key for info in backend.list(keys.domain_folder("all"))])
    store = client(backend)
    assert [store.root(ONE).read(version) for version in store.root(ONE).versions("t.csv")] == [TABLE, EDITED]


def test_versions_share_chunks_in_their_new_domain(backend: Backend) -> None:
    """An edited version is a delta there too."""
    moved(client(backend))
    packs = [info.size for info in backend.list(f"{keys.domain_folder('experiment-1')}/packs")]
    assert sum(packs) < 1.2 * max(packs)


def test_counting_moves_nothing(backend: Backend) -> None:
    """A dry run says what would be moved."""
    keys_before = [info.key for info in backend.list("")]
    assert moved(client(backend), move=False).versions == 4
    assert [info.key for info in backend.list("")] == keys_before


def test_it_goes_on_where_it_was_interrupted(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was moved before an interruption is not moved again."""
    monkeypatch.setattr(rescoping, "_MOVED_AT_ONCE", 1)
    seen: list[int] = []

    def interrupts(size: int) -> None:
        seen.append(size)
        if len(seen) == 3:
            raise KeyboardInterrupt

    store = client(backend)
    with pytest.raises(KeyboardInterrupt):
        rescope(store, store.roots_below(""), SETTINGS, move=True, on_bytes=interrupts)
    assert moved(client(backend)).versions == 1
    assert moved(client(backend)) == Rescoped(0, 0, 0)


def test_afterwards_permissions_on_prefixes_isolate_bytes(
    real_minio: Minio, s3_env: Callable[[S3Server], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader of one experiment reads all of it, versions from before too, and no name or byte of another one."""
    s3_env(real_minio)
    site = Site(real_minio, monkeypatch, dedup_scope="store")
    root = site.opened().root(SITE_ONE)
    root.upload([Item("d/large", LARGE + b"more")], context=CONTEXT)
    with pytest.raises(InvalidInput, match="rescope"):
        scope(dedup_scope="store", experiment="1")
    change_settings(site.opened().settings_log, {"dedup_scope": "experiment"}, {})
    store = site.opened()
    rescope(store, store.roots_below(""), SETTINGS, move=True, on_bytes=ignore)
    s3 = site.become("reader", "1")
    root = site.opened().root(SITE_ONE)
    first, second = root.versions("d/large")
    small = root.versions("small")[0]
    assert [root.read(version) for version in (first, second, small)] == [LARGE, LARGE + b"more", b"small"]
    with pytest.raises(AccessDenied):
        site.opened().root(TEN).walk()
    foreign = [key for key in site.keys("/packs/") if "experiment-1/" not in key]
    assert any("experiment-10/" in key for key in foreign)
    assert all(refused(partial(s3.get_object, Bucket=site.bucket, Key=key)) for key in foreign)
