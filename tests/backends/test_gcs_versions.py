"""What the way to Google Cloud Storage needs beside what every provider does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_versioned_store.backends.gcs_versions import GcsVersions, _Stream
from mlflow_versioned_store.backends.object_versions import Labels
from mlflow_versioned_store.errors import AccessDenied, CredentialsMissing, NotFound, Unsupported
from tests.conftest import StorageServer
from tests.servers.fake_gcs import FakeGcs


@given(
    parts=st.lists(st.binary(min_size=1, max_size=20), max_size=10),
    size=st.integers(1, 30),
    arrivals=st.lists(st.integers(0, 30), max_size=10),
)
def test_a_piece_that_did_not_arrive_is_read_again(parts: list[bytes], size: int, arrivals: list[int]) -> None:
    """From any byte of it on, since a server may have kept its beginning; in the end all bytes were read in order."""
    stream, arrived, piece = _Stream(parts), b"", b"some"
    while piece:
        piece = stream.read(size)
        assert stream.tell() == len(arrived) + len(piece)
        arrived += piece[: arrivals.pop() if arrivals else None]
        stream.seek(len(arrived))
    assert arrived == b"".join(parts)


@pytest.fixture
def bucket(versioned_gcs: FakeGcs, use_server: Callable[[StorageServer], None]) -> str:
    """A bucket that keeps no generations."""
    use_server(versioned_gcs)
    return versioned_gcs.new_bucket()


def test_a_generation_that_can_be_none_is_not_found(bucket: str) -> None:
    """What another provider calls a version is no number; nothing is asked."""
    versions = GcsVersions(bucket)
    with pytest.raises(NotFound, match="no generation"):
        versions.describe("a", "2026-01-01T00:00:00.0000000Z")


def test_a_bucket_that_keeps_none_is_refused_before_it_is_written_to(bucket: str) -> None:
    """A generation alone says nothing about the next write."""
    versions = GcsVersions(bucket)
    assert versions.put("a", b"one", Labels()).isdecimal()
    assert not versions.are_usable()
    with pytest.raises(Unsupported, match="switched off"):
        versions.check_kept()


def test_who_may_not_ask_takes_it_that_none_are_kept(
    bucket: str, versioned_gcs: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they are: what cannot be known is not relied on, and `keep_versions` says what is missing."""
    from google.api_core.exceptions import Forbidden
    from google.cloud.storage import Client

    def refuse(_: Client, __: str) -> None:
        raise Forbidden("storage.buckets.get")  # type: ignore[no-untyped-call]

    versioned_gcs.keep_versions(bucket, on=True)
    monkeypatch.setattr(Client, "get_bucket", refuse)
    versions = GcsVersions(bucket)
    assert not versions.are_usable()
    assert f"gcloud storage buckets update gs://{bucket} --versioning" in versions.keep_versions()


def test_a_refusal_is_one_of_ours(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the object and carries the provider's words; a login that cannot be renewed is missing credentials."""
    from google.api_core.exceptions import Forbidden
    from google.auth.exceptions import RefreshError
    from google.cloud.storage import Blob

    versions = GcsVersions(bucket, "lake")
    for refusal, kind in ((Forbidden("storage.objects.delete"), AccessDenied), (RefreshError(), CredentialsMissing)):  # type: ignore[no-untyped-call]

        def refuse(*_: object, refusal: Exception = refusal, **__: object) -> None:
            raise refusal

        monkeypatch.setattr(Blob, "upload_from_string", refuse)
        with pytest.raises(kind, match="lake/a"):
            versions.put("a", b"one", Labels())
