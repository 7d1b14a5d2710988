"""`mvs doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import located
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput


@_command
@click.argument("uri")
@click.option("--read-only", is_flag=True, help="Try nothing that writes.")
@click.option("--fix", is_flag=True, help="Put plain objects right, and remove those that crashed uploads left.")
@click.option("--bundle", type=click.Path(dir_okay=False), metavar="FILE", help="Write a zip archive for support too.")
def command(uri: str, read_only: bool, fix: bool, bundle: str | None) -> None:
    """Look a store over: can it be reached, may I, does its server keep its word, is all set up.

    The place of URI is tried as an upload there would use it. Ends with 1 where a check failed. The archive of --bundle
    holds what was found, package versions and the configuration, and no secret.

    Where paths are kept natively, the plain objects at and below URI are looked at: what others wrote, what crashed
    uploads left more than a day ago, and keys whose readers do not get the newest version. With --fix the last two are
    put right.
    """
    from mlflow_versioned_store.catalog.bundle import check_as_json, refuse_taken, warnings_recorded, write_bundle
    from mlflow_versioned_store.catalog.checkup import examine
    from mlflow_versioned_store.catalog.configuration import redacted

    if read_only and fix:
        raise InvalidInput("--fix writes, which --read-only forbids; leave one of them out.")
    if bundle is not None:
        refuse_taken(bundle)
    with warnings_recorded() as warnings:
        found = examine(located(uri), write=not read_only, fix=fix)
    if bundle is not None:
        write_bundle(bundle, found, warnings)
    # What a server answered may repeat a secret.
    document = redacted(
        {
            "uri": uri,
            "status": found.status,
            "checks": [check_as_json(check) for check in found.checks],
            "configuration": [value._asdict() for value in found.values],
            "requests": asdict(found.requests),
        }
    )
    output.show(document, lambda: _print(document))
    if found.status == "failed":
        raise click.exceptions.Exit(1)


def _print(document: dict[str, Any]) -> None:
    rows: list[tuple[str, str, str]] = []
    for check in document["checks"]:
        rows.append((check["status"], check["name"], " ".join(check["detail"].split())))
        rows += [("", "", f"> {check['advice']}")] if check["advice"] else []
    output.table([output.Column("STATUS"), output.Column("CHECK"), output.Column("FOUND")], rows)
    output.line()
    columns = [output.Column("SETTING"), output.Column("VALUE"), output.Column("FROM", dim=True)]
    output.table(columns, [tuple(value.values()) for value in document["configuration"]])
