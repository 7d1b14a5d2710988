"""`mvs materialize`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import transfer
from mlflow_versioned_store.wording import sized


@_command
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--to", "destination", required=True, metavar="URI", help="s3://bucket/prefix, a folder, gs://…, …")
@click.option("--keep-latest", is_flag=True, help="Keep a prefix equal to the newest version.")
def command(addresses: tuple[str, ...], destination: str, keep_latest: bool) -> None:
    """Write exact versions as plain objects that any tool can read.

    A file goes below URI/<path>/v<number>/, a folder below URI/<path>/c<commit>/, and these prefixes never change; with
    --keep-latest it is URI/<path>/latest/, which follows the newest version whenever the command runs again. What lies
    below a prefix, with versions and SHA-256, is in URI/_manifests/<prefix>.json, written when all of it is there.
    Within a bucket, versions that are kept natively are copied by the server.
    """
    from mlflow_versioned_store.direct.destinations import open_destination
    from mlflow_versioned_store.direct.materializing import materialize

    to = open_destination(destination)
    done = []
    for address in addresses:
        root, inside = locate(address)
        with transfer(address.rpartition("/")[2], None) as progress:
            done.append(
                materialize(root.engine, inside, to, store_id=root.store.id, keep_latest=keep_latest, progress=progress)
            )
    document = [
        {
            "address": one.manifest.address,
            "root": one.manifest.root,
            "uri": one.uri,
            "written": one.written,
            "copied_by_server": one.copied,
            "unchanged": one.unchanged,
            "files": [
                {"uri": f"{one.uri}/{copy.name}", "version": copy.version, "size": copy.size, "sha256": copy.sha256}
                for copy in one.manifest.files
            ],
        }
        for one in done
    ]

    def print_text() -> None:
        for one in done:
            size = sized(sum(copy.size for copy in one.manifest.files))
            changes = (
                f"{one.written} written, {one.unchanged} there already" if one.unchanged else f"{one.written} written"
            )
            output.line(f"{one.manifest.address} → {one.uri} ({changes}, {size})")

    output.show(document, print_text)
