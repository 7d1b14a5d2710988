"""`mvs cache`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.wording import counted, sized

if TYPE_CHECKING:
    from mlflow_versioned_store.content.cache import Usage


@_command
@click.option("--clear", is_flag=True, help="Empty it first.")
def command(clear: bool) -> None:
    """Show the local cache of what was read, or empty it."""
    from mlflow_versioned_store.content import cache

    here = cache.default()
    freed = here.clear() if clear else 0
    usage = here.usage()
    output.show(asdict(usage) | {"freed": freed}, lambda: _print(usage, freed if clear else None))


def _print(usage: Usage, freed: int | None) -> None:
    if freed is not None:
        output.line(f"Freed {sized(freed)}.")
    why_not = "MVS_CACHE turns it off" if usage.limit else "MVS_CACHE_SIZE gives it no room"
    facts = [
        ("folder", usage.folder or "this machine has no place for one"),
        ("used", "yes" if usage.on else f"no, {why_not}"),
        ("holds", f"{sized(usage.size)} of {counted(usage.objects, 'object')}"),
        ("limit", sized(usage.limit)),
    ]
    output.table([output.Column("", dim=True), output.Column("")], facts, header=False)
