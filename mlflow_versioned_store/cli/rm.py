"""`mvs rm`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import open_tree, uri_of
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.wording import counted


@_command
@click.argument("uri")
@click.option("-r", "--recursive", is_flag=True, help="Delete a folder, and everything in it.")
def command(uri: str, recursive: bool) -> None:
    """Record a file, or with -r a folder, as deleted.

    Nothing is lost: its versions stay, are read by their addresses, and can be restored.
    """
    store, tree, path = open_tree(uri)
    tree.check_plain("")
    if tree.is_folder("") and not recursive:
        raise InvalidInput(f"{uri} is a folder; -r deletes all that is in it.")
    count = tree.delete("")
    if not count:
        tree.check("")
    output.show(
        {"uri": uri_of(store, path), "deleted": count},
        lambda: output.line(f"{counted(count, 'path')} deleted; the versions stay."),
    )
