"""`mvs adopt`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.cli.progress import counting
from mlflow_versioned_store.wording import counted, sized

if TYPE_CHECKING:
    from mlflow_versioned_store.direct.adopting import Adopted


@_command
@click.argument("source")
@click.argument("into", required=False)
@click.option("--hash", "hashed", is_flag=True, help="Read each object once: later uploads share its bytes.")
@click.option("--yes", is_flag=True, help="Write; without it nothing is changed.")
def command(source: str, into: str | None, hashed: bool, yes: bool) -> None:
    """Take in what lies at SOURCE, such as s3://bucket/mlruns, without copying it.

    Every object becomes a version that refers to the object where it is; on a bucket that keeps object versions, every
    object version does, in their order. By default the store is made at SOURCE itself (INTO is versioned- and SOURCE),
    so artifacts keep their places; INTO may be any place in a store, also for a single file or data set of another
    bucket, which readers then have to allow in MVS_ALLOWED_REFERENCES.

    What was taken in before is passed over: run it again after an interruption, or for what came since. With --hash the
    same content logged again is recognised, and whatever is logged later shares the bytes of what lies in the store.
    """
    from mlflow_versioned_store.direct.adopting import Adoption, adopt
    from mlflow_versioned_store.direct.listing import Place
    from mlflow_versioned_store.errors import NoStore
    from mlflow_versioned_store.store import Store, create_store, open_store

    store: Store | None
    place = Place(source)
    target = into or f"versioned-{place.uri}"
    try:
        store, path = open_store(target)
    except NoStore:
        store, path = (create_store(target), "") if yes else (None, "")
    with counting("Adopting") as count:
        found = adopt(store, Adoption(place, path, write=yes, hashed=hashed, on_version=count))
    document = {"source": place.uri, "into": target, "written": yes} | asdict(found)
    output.show(document, lambda: _print(found, target, written=yes))


def _print(found: Adopted, target: str, *, written: bool) -> None:
    what = f"{counted(found.versions, 'version')} ({sized(found.size)}) in {counted(found.roots, 'artifact root')}"
    output.line(f"{'Adopted' if written else 'Would adopt'} {what} of {target}.")
    if found.known:
        output.line(f"Known already: {found.known:,}.")
    if found.deleted:
        output.line(f"{'Recorded' if written else 'Would record'} {counted(found.deleted, 'path')} as deleted.")
    if found.skipped:
        output.line(
            f"{counted(found.skipped, 'object')} can be no artifact, such as {', '.join(map(repr, found.named))}."
        )
    if not written:
        output.note("Nothing was changed; --yes writes it.")
