"""A tracking server that gives links needs no more than a writer."""

from __future__ import annotations

import urllib.request

from mlflow_versioned_store.direct import uploads
from mlflow_versioned_store.direct.links import link_in_place
from mlflow_versioned_store.direct.uploads import Begun
from tests.policies.conftest import CONTEXT, ONE, Site


def send(begun: Begun, data: bytes) -> list[dict[str, object]]:
    """PUT the one part of an upload as a client that has its link alone."""
    with urllib.request.urlopen(urllib.request.Request(begun.links[0], data, method="PUT"), timeout=30) as answer:
        return [{"PartNumber": 1, "ETag": answer.headers["ETag"]}]


def test_a_writer_gives_links_and_records_what_came(site: Site) -> None:
    """It begins, finishes, finishes again and gives up uploads, and links to what became of them."""
    site.opened().keep_natively(["data/**"], CONTEXT)
    site.become("writer", native=True)
    path = f"{ONE}/data/table"
    for data in (b"first", b"second"):
        begun = uploads.begin(site.opened(), path, 1)
        sent = send(begun, data)
        stored = uploads.finish(site.opened(), path, begun.id, sent, CONTEXT)
        assert uploads.finish(site.opened(), path, begun.id, sent, CONTEXT).version == stored.version
    uploads.give_up(site.opened(), path, uploads.begin(site.opened(), path, 1).id)
    root = site.opened().root(ONE)
    versions = root.versions("data/table")
    assert [root.read(version) for version in versions] == [b"first", b"second"]
    with urllib.request.urlopen(link_in_place(root, versions[0], 60), timeout=30) as answer:
        assert answer.read() == b"first"
