"""`mvs alias`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput


@_command
@click.argument("address")
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Remove the alias.")
def command(address: str, name: str | None, remove: bool) -> None:
    """Let NAME stand for the version at ADDRESS, or list the aliases of its path.

    `mvs alias …/train.csv@v2 gold` makes …/train.csv@gold lead to version 2, until the alias is moved or removed. The
    alias of a folder stands for it as of a commit.
    """
    from mlflow_versioned_store.artifact_root import Folder
    from mlflow_versioned_store.roots import joined

    root, inside = locate(address)
    found = root.engine.find(inside)
    if name is not None:
        target = f"c{found.state.number}" if isinstance(found, Folder) else f"v{found.number}"
        root.alias(found.path, name, None if remove else target)
    elif remove:
        raise InvalidInput("Name the alias that is to be removed.")
    aliases = dict(sorted(root.aliases(found.path).items()))
    output.show(
        {"uri": joined(root.uri, found.path), "aliases": aliases},
        lambda: output.table([output.Column("ALIAS"), output.Column("STANDS FOR")], aliases.items()),
    )
