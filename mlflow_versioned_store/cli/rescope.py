"""`mvs rescope`."""

from __future__ import annotations

from dataclasses import replace

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import transfer
from mlflow_versioned_store.wording import counted, sized


@_command
@click.argument("uri")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and change nothing.")
def command(uri: str, dry_run: bool) -> None:
    """Give each experiment chunks of its own, so that permissions on prefixes isolate bytes as well as names.

    The setting dedup_scope becomes "experiment", and versions whose bytes lie elsewhere are stored anew in the domain
    of their experiment; their numbers and history stay. Writers and readers may go on meanwhile. Programs that opened
    the store before go on as they did: when they are done, run it again, and it moves the rest. Also when it was
    interrupted. The bytes at the old place stay until they are collected.
    """
    import mlflow_versioned_store as mvs
    from mlflow_versioned_store.content.wanted import ignore
    from mlflow_versioned_store.context import here
    from mlflow_versioned_store.policies.rescoping import rescope
    from mlflow_versioned_store.settings import change_settings, read_settings

    store = mvs.open_store(uri).engine
    settings = replace(read_settings(store.settings_log), dedup_scope="experiment")
    if not dry_run:
        change_settings(store.settings_log, {"dedup_scope": "experiment"}, here("").who())
    with transfer("Moving versions", None) as progress:
        on_bytes = progress.add if progress else ignore
        done = rescope(store, store.roots_below(""), settings, move=not dry_run, on_bytes=on_bytes)
    document = {
        "uri": f"versioned-{store.location}",
        "dry_run": dry_run,
        "roots": done.roots,
        "versions": done.versions,
        "size": done.size,
    }
    what = f"{counted(done.versions, 'version')} ({sized(done.size)}) of {counted(done.roots, 'artifact root')}"
    output.show(document, lambda: output.line(f"{'Would move' if dry_run else 'Moved'} {what}."))
