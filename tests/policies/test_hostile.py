"""MinIO cannot hold a writer to creating. What a hostile one overwrites is read around or noticed, and comes back."""

from __future__ import annotations

import uuid

import pytest

from mlflow_versioned_store.artifact_root import ArtifactRoot, Item
from mlflow_versioned_store.backends.memory import open_memory
from mlflow_versioned_store.errors import Damaged
from mlflow_versioned_store.testing.clients import new_store
from tests.policies.conftest import CONTEXT, LARGE, ONE, Site, refused


def overwrite(site: Site, containing: str, data: bytes) -> None:
    """Overwrite all objects of experiment 1 whose keys contain something, as a writer may on MinIO."""
    s3 = site.become("writer")
    for key in site.keys(containing):
        s3.put_object(Bucket=site.bucket, Key=key, Body=data)


def as_reader(site: Site) -> ArtifactRoot:
    """Return the root as a reader sees it."""
    site.become("reader")
    return site.opened().root(ONE)


def contents(root: ArtifactRoot) -> dict[str, bytes]:
    """Return all that is current."""
    return {version.path: root.read(version) for version in root.walk()}


def forged() -> bytes:
    """Return a first commit of the root that is right in itself: somebody else's, with other content."""
    backend = open_memory(uuid.uuid4().hex)
    new_store(backend).root(ONE).upload([Item("small", b"forged")], context=CONTEXT)
    (commit,) = [info.key for info in backend.list("") if f"{ONE}/_c/" in info.key]
    return bytes(backend.get(commit).data)


EXPECTED = {"d/large": LARGE, "small": b"small"}
COMMITS = f"/log/{ONE}/_c/"


@pytest.mark.parametrize("data", [b"", b"hostile", bytes(474)], ids=["empty", "short", "long"])
def test_an_overwritten_pack_is_read_as_it_was_written(site: Site, data: bytes) -> None:
    """Readers get the bytes that were committed all the while, and the owner undoes the overwrite."""
    overwrite(site, "experiment-1/packs/", data)
    assert contents(as_reader(site)) == EXPECTED
    site.leave()
    assert site.opened().undelete(dry_run=True).overwritten == 1
    assert site.opened().undelete().overwritten == 1
    (pack,) = site.keys("experiment-1/packs/")
    assert len(site.object_versions(pack)) == 1
    assert contents(as_reader(site)) == EXPECTED


@pytest.mark.parametrize("data", [b"", b"hostile"], ids=["empty", "garbage"])
def test_an_overwritten_commit_is_damage_until_it_is_undone(site: Site, data: bytes) -> None:
    """Readers and auditors are told which commit is no commit; after the undoing everything is as it was."""
    overwrite(site, COMMITS, data)
    with pytest.raises(Damaged):
        as_reader(site).walk()
    site.leave()
    assert site.opened().undelete().overwritten == 1
    root = as_reader(site)
    assert contents(root) == EXPECTED
    assert root.log.verify().broken is None


def test_a_forged_commit_breaks_the_chain(site: Site) -> None:
    """History that is right in itself does not fit what was committed after it; verifying says where."""
    site.opened().root(ONE).upload([Item("later", b"later")], context=CONTEXT)
    s3 = site.become("writer")
    first = max(site.keys(COMMITS))
    s3.put_object(Bucket=site.bucket, Key=first, Body=forged())
    assert as_reader(site).log.verify().broken is not None
    site.leave()
    site.opened().undelete()
    root = as_reader(site)
    assert root.log.verify().broken is None
    assert contents(root) == EXPECTED | {"later": b"later"}


def test_a_forged_newest_commit_is_told_by_its_object_versions(site: Site) -> None:
    """Nothing follows the newest commit that could disagree; the bucket knows that its key was written twice."""
    overwrite(site, COMMITS, forged())
    assert contents(as_reader(site)) == {"small": b"forged"}
    site.leave()
    assert site.opened().undelete(dry_run=True).overwritten == 1
    site.opened().undelete()
    assert contents(as_reader(site)) == EXPECTED


def test_a_deletion_by_somebody_else_is_undone(site: Site) -> None:
    """No role but a collector's can delete; what the owner deletes by mistake comes back, and packs are read anyway."""
    writer = site.become("writer")
    (pack,) = site.keys("experiment-1/packs/")
    assert refused(lambda: writer.delete_object(Bucket=site.bucket, Key=pack))
    site.server.client().delete_object(Bucket=site.bucket, Key=pack)
    assert contents(as_reader(site)) == EXPECTED
    site.leave()
    for commit in site.keys(COMMITS):
        site.server.client().delete_object(Bucket=site.bucket, Key=commit)
    assert site.opened().undelete().overwritten == 0
    assert contents(as_reader(site)) == EXPECTED
