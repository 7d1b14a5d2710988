"""`mvs cat`."""

from __future__ import annotations

import sys

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput

_STEP_BYTES = 1 << 20


@_command
@click.argument("address")
def command(address: str) -> None:
    """Write the bytes of a file to the standard output, as they come.

    They are no JSON: --json is refused, since `mvs get` tells programs what it wrote.
    """
    if output.wants_json():
        raise InvalidInput("The bytes of a file are no JSON document; leave --json out, or use mvs get.")
    root, inside = locate(address)
    with root.open(inside) as file:
        data = file.read(_STEP_BYTES)
        if sys.stdout.isatty() and b"\0" in data:
            raise InvalidInput(f"{address} is no text, which no terminal shows; send it elsewhere, or get the file.")
        out = sys.stdout.buffer
        while data:
            out.write(data)
            data = file.read(_STEP_BYTES)
        out.flush()
