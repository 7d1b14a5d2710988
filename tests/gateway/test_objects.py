"""What is said of an object."""

from __future__ import annotations

import msgspec

from mlflow_versioned_store.gateway import objects
from tests.gateway.conftest import RUN, Endpoint


def test_content_that_nobody_has_read_has_a_tag_and_no_digest(endpoint: Endpoint) -> None:
    """Two versions without a SHA-256 are told apart, and no client is given a digest to check."""
    read = endpoint.store.root(RUN).versions("data/one.csv")
    unread = [msgspec.structs.replace(version, sha256="") for version in read]
    assert len({objects.e_tag(version) for version in (*read, *unread)}) == 4
    for version in unread:
        assert objects.checksums(version) == {}
        assert "x-amz-meta-sha256" not in objects.headers(version, version.path, {})
