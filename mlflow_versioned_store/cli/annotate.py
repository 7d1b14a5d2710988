"""`mvs annotate`."""

from __future__ import annotations

import json

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.pairs import parse_pairs, parse_value


@_command
@click.argument("address")
@click.argument("pairs", nargs=-1, metavar="[NAME=VALUE]...")
def command(address: str, pairs: tuple[str, ...]) -> None:
    """Record notes about a path, or about the one version that ADDRESS names; or show them.

    VALUE is JSON, or else a text: description="Without test rows". @FILE stands for the JSON in a file:
    columns=@dictionary.json. NAME= removes a note.
    """
    root, inside = locate(address)
    notes = {name: None if value is None else parse_value(value) for name, value in parse_pairs(pairs).items()}
    if notes:
        root.annotate(inside, notes)
    found = dict(sorted(root.annotations(inside).items()))
    output.show(
        {"address": address, "notes": found},
        lambda: output.table(
            [output.Column("NOTE"), output.Column("VALUE")],
            [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in found.items()],
        ),
    )
