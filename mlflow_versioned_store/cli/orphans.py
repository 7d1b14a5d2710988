"""`mvs orphans`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import located
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import NotFound
from mlflow_versioned_store.wording import counted, without_login

if TYPE_CHECKING:
    from mlflow_versioned_store.catalog.orphans import Comparison


@_command
@click.argument("uri")
@click.option("--tracking-uri", metavar="URI", help="MLflow's tracking server or database; by default MLflow's own.")
def command(uri: str, tracking_uri: str | None) -> None:
    """Compare the artifact roots at or below URI with the runs, models and traces that MLflow knows.

    Lists roots whose owner MLflow does not know, has deleted, or keeps elsewhere, and runs and models without a root
    here. Where a tracking server keeps artifacts for its clients, URI is its --artifacts-destination. Only reads.
    """
    from mlflow_versioned_store.catalog.orphans import compare, owner_of, placing
    from mlflow_versioned_store.mlflow_plugin.tracking import owners, tracking_place
    from mlflow_versioned_store.store import open_store

    uri = located(uri)
    tracking = tracking_place(tracking_uri)
    store, inside = open_store(uri)
    roots = store.roots_below(inside)
    traces = any(owner_of(root)[0] == "trace" for root in roots if root)
    found = compare(roots, owners(tracking, traces=traces), placing(uri))
    if inside and not roots and not found.empty:
        raise NotFound(f"No artifact root is at or below {uri}, nor shall be one of MLflow's; mvs ls shows what is.")
    output.show(
        {
            "tracking_uri": without_login(tracking),
            "owned": found.owned,
            "orphans": [orphan._asdict() for orphan in found.orphans],
            "empty": [
                {"kind": owner.kind, "id": owner.id, "experiment": owner.experiment, "location": owner.location}
                for owner in found.empty
            ],
        },
        lambda: _print(found, without_login(tracking)),
    )
    if found.orphans and all(orphan.reason == "unknown" for orphan in found.orphans) and not found.owned:
        output.note(f"Warning: MLflow knows none of these at {without_login(tracking)}; is that the right one?")


def _print(found: Comparison, tracking: str) -> None:
    output.line(f"Compared with MLflow at {tracking}.")
    output.line(f"{counted(found.owned, 'artifact root')} with an owner in MLflow, {len(found.orphans):,} without.")
    if found.orphans:
        output.line()
        columns = [output.Column("KIND"), output.Column("IN MLFLOW"), output.Column("ARTIFACT ROOT")]
        output.table(columns, [(orphan.kind, orphan.reason, orphan.root) for orphan in found.orphans])
    if found.empty:
        output.line()
        output.line(f"Runs and models that have logged nothing here: {len(found.empty):,}.")
        output.line()
        columns = [output.Column("KIND"), output.Column("EXPERIMENT"), output.Column("ID")]
        output.table(columns, [(owner.kind, owner.experiment, owner.id) for owner in found.empty])
