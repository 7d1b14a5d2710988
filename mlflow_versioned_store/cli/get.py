"""`mvs get`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import document_of, locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import transfer
from mlflow_versioned_store.wording import counted, sized


@_command
@click.argument("address")
@click.argument("to", required=False, type=click.Path())
@click.option("--force", is_flag=True, help="Replace files that are there with other content.")
def command(address: str, to: str | None, force: bool) -> None:
    """Write a file, or all of a folder, to local files.

    TO is the file's new name, or a directory that is there; for a folder, the directory that its content goes into. By
    default it is the name at the end of ADDRESS, here. Files that are there with the same content stay as they are, so
    a download that broke off goes on where it stopped; other content is kept unless --force is given.
    """
    from mlflow_versioned_store.artifact_root import Folder
    from mlflow_versioned_store.roots import joined

    root, inside = locate(address)
    found = root.engine.find(inside)
    if isinstance(found, Folder):
        versions = [version for version in found.state.walk(found.path) if version.kind == "file"]
        pinned = f"{found.path}@@c{found.state.number}"
    else:
        versions = [found]
        pinned = f"{found.path}@@v{found.number}"
    name = joined(root.name, found.path).rpartition("/")[2]
    size = sum(version.size for version in versions)
    with transfer(name, size) as progress:
        path = root.download(pinned, to or name or "artifacts", force=force, progress=progress)
    store = root.store.engine
    files = "" if len(versions) == 1 else f"{counted(len(versions), 'file')}, "
    output.show(
        {
            "path": str(path),
            "size": size,
            "files": [document_of(store, root.name, version) for version in versions],
        },
        lambda: output.line(f"{pinned} → {path} ({files}{sized(size)})"),
    )
