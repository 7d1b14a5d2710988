"""`mvs put`."""

from __future__ import annotations

import os
import sys

import click

import mlflow_versioned_store as mvs
from mlflow_versioned_store.cli.addresses import show_stored
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import transfer


@_command
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("uri")
@click.option("--anew", is_flag=True, help="Store all bytes again and make new versions, even of what is current.")
def command(sources: tuple[str, ...], uri: str, anew: bool) -> None:
    """Store local files and directories in one commit; "-" is the standard input.

    A file becomes URI; where URI ends with "/", is an artifact root, or there are several sources, it goes there under
    its own name. The content of a directory goes below URI. What is current already makes no new version. Where there
    is no store yet, one is made.

    With --anew nothing leans on bytes that are stored already: the way back where those are damaged.
    """
    from mlflow_versioned_store.api.uploads import items
    from mlflow_versioned_store.context import here
    from mlflow_versioned_store.roots import joined

    root, path = mvs.locate(uri, create=True)
    if uri.endswith("/") or len(sources) > 1:
        path = f"{path}/"
    wanted = []
    for source in sources:
        wanted += items(sys.stdin.buffer if source == "-" else source, path)
    local = [item.source for item in wanted if isinstance(item.source, str)]
    size = sum(map(os.path.getsize, local)) if len(local) == len(wanted) else None
    with transfer(joined(root.name, path).rstrip("/").rpartition("/")[2], size) as progress:
        context = here(root.name)
        stored = root.engine.upload(wanted, context=context, progress=progress, anew=anew) if wanted else []
    show_stored(root, stored)
