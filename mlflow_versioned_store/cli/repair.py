"""`mvs repair`."""

from __future__ import annotations

from datetime import datetime

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.wording import counted


@_command
@click.argument("uri")
@click.option("--undelete", is_flag=True, help="Bring back what others deleted or overwrote, from object versions.")
@click.option("--since", metavar="TIME", help="Leave older deletions as they are, such as 2026-11-01T12:00:00+00:00.")
@click.option("--dry-run", is_flag=True, help="Only count.")
def command(uri: str, undelete: bool, since: str | None, dry_run: bool) -> None:
    """Undo what somebody did to a store behind its back, such as `aws s3 rm --recursive`."""
    from mlflow_versioned_store.native.undeleting import undelete_store
    from mlflow_versioned_store.store import open_store

    if not undelete:
        raise InvalidInput("Say what to repair: --undelete.")
    found = undelete_store(uri, _time(since), dry_run=dry_run)
    if not dry_run:
        found += open_store(uri)[0].undelete(since=_time(since))
    output.show(
        {"deleted": found.deleted, "overwritten": found.overwritten, "dry_run": dry_run},
        lambda: output.line(
            f"{'Would bring back' if dry_run else 'Brought back'} {counted(found.deleted, 'object')} deleted and "
            f"{found.overwritten:,} overwritten by others."
        ),
    )


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time, such as 2026-11-01T12:00:00+00:00.") from error
    if time is not None and time.tzinfo is None:
        raise InvalidInput(f"{text!r} has no time zone; append +00:00 for UTC.")
    return time
