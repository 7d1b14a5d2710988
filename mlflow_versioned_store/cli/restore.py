"""`mvs restore`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli.addresses import locate, show_stored
from mlflow_versioned_store.cli.command import command as _command


@_command
@click.argument("address")
def command(address: str) -> None:
    """Make an old version, or a folder as it was, the newest. No bytes are moved."""
    root, inside = locate(address)
    show_stored(root, root.restore(inside))
