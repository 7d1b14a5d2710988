"""`mvs export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import transfer
from mlflow_versioned_store.wording import counted, sized

if TYPE_CHECKING:
    from mlflow_versioned_store.direct.exporting import Exported


@_command
@click.argument("source")
@click.argument("to", required=False)
@click.option("--plain", is_flag=True, required=True, help="As plain objects: the newest versions, without history.")
@click.option("--yes", is_flag=True, help="Write; without it nothing is changed.")
def command(source: str, to: str | None, plain: bool, yes: bool) -> None:
    """Write all artifacts at or below SOURCE where MLflow finds them without this package.

    SOURCE is a store, an experiment or an artifact root. Of every path the newest version becomes a plain object; by
    default in the store's own place (TO is SOURCE without versioned-), where what was adopted or kept natively is there
    already, unless it changed. Objects of deleted paths are removed. The store itself stays, with all versions.

    An object is never replaced or removed whose bytes are nowhere else: then nothing is written. Run it again after an
    interruption, or for what came since.
    """
    from mlflow_versioned_store.direct.destinations import open_destination
    from mlflow_versioned_store.direct.exporting import export
    from mlflow_versioned_store.store import open_store

    del plain  # it is the one form there is, and is named so that nobody takes it for a copy with history
    store, path = open_store(source)
    destination = open_destination(to or source.removeprefix("versioned-"))
    with transfer("Exporting", None) as progress:
        found = export(store, path, destination, write=yes, progress=progress)
    document = {"source": source, "to": destination.uri, "written": yes, "objects": found._asdict()}
    output.show(document, lambda: _print(found, destination.uri, written=yes))


def _print(found: Exported, to: str, *, written: bool) -> None:
    what = f"{counted(found.written, 'object')} ({sized(found.size)}) to {to}"
    output.line(f"{'Wrote' if written else 'Would write'} {what}; {found.unchanged:,} there already.")
    if found.removed:
        output.line(f"{'Removed' if written else 'Would remove'} {counted(found.removed, 'object')} of deleted paths.")
    if not written:
        output.note("Nothing was changed; --yes writes it.")
