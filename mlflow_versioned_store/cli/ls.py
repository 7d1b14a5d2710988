"""`mvs ls`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import document_of, open_tree, uri_of
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.wording import sized

if TYPE_CHECKING:
    from mlflow_versioned_store.history.versions import Version
    from mlflow_versioned_store.store import Store

# What is listed: its path below the address, its artifact root, and its version; a folder has none.
_Row = tuple[str, str, "Version | None"]


@_command
@click.argument("address")
@click.option("-l", "--long", is_flag=True, help="Show size, version and time as well.")
@click.option("-R", "--recursive", is_flag=True, help="List all files below ADDRESS.")
def command(address: str, long: bool, recursive: bool) -> None:
    """List what is in a store, an experiment, a run or any folder, now or as of a commit or time."""
    store, tree, path = open_tree(address)
    rows: list[_Row]
    if recursive:
        rows = [(found.path, found.root.name, found.version) for found in tree.files("")]
    else:
        root = store.place(path).root
        rows = [(entry.name, root, entry.version) for entry in tree.children("")]
    if not rows:
        tree.check("")
        rows = [] if recursive else [(found.path, found.root.name, found.version) for found in tree.files("")]
    # An address that is a file's own is listed under its name.
    named = [(name or path.rpartition("/")[2], root, version) for name, root, version in rows]
    if output.wants_json():
        entries = [_document(store, row) for row in named]
        output.write_json({"uri": uri_of(store, path), "entries": entries})
    elif long:
        _print_long(named)
    else:
        _print(named)


def _document(store: Store, row: _Row) -> dict[str, Any]:
    name, root, version = row
    if version is None or version.kind == "folder":
        return {"name": name, "kind": "folder"}
    return {"name": name, "kind": "file"} | document_of(store, root, version)


def _print(rows: Sequence[_Row]) -> None:
    output.table([output.Column("")], [(_name(row),) for row in rows], header=False)


def _print_long(rows: Sequence[_Row]) -> None:
    columns = [
        output.Column("SIZE", "right"),
        output.Column("VERSION", "right"),
        output.Column("LOGGED (UTC)", dim=True, spare=True),
        output.Column("NAME"),
    ]
    output.table(columns, [(*_facts(version), _name((name, root, version))) for name, root, version in rows])


def _facts(version: Version | None) -> tuple[str, str, str]:
    if version is None or version.kind == "folder":
        return "", "", ""
    return sized(version.size), f"v{version.number}", output.moment(version.time)


def _name(row: _Row) -> str:
    name, _, version = row
    return f"{name}/" if version is None or version.kind == "folder" else name
