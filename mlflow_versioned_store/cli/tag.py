"""`mvs tag`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.pairs import parse_pairs


@_command
@click.argument("address")
@click.argument("pairs", nargs=-1, metavar="[NAME=VALUE]...")
def command(address: str, pairs: tuple[str, ...]) -> None:
    """Tag the version at ADDRESS, or list its tags. NAME= removes a tag."""
    root, inside = locate(address)
    if tags := parse_pairs(pairs):
        root.tag(inside, tags)
    found = dict(sorted(root.tags(inside).items()))
    output.show(
        {"address": address, "tags": found},
        lambda: output.table([output.Column("TAG"), output.Column("VALUE")], found.items()),
    )
