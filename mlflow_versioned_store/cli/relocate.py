"""`mvs relocate`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command


@_command
@click.argument("old")
@click.argument("new")
@click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    required=True,
    show_envvar=True,
    help="MLflow's tracking database, such as sqlite:///mlflow.db.",
)
@click.option("--yes", is_flag=True, help="Write; without it nothing is changed.")
def command(old: str, new: str, tracking_uri: str, yes: bool) -> None:
    """Let MLflow look for artifacts below NEW that it looked for below OLD: of experiments, runs, models and traces.

    Only locations in the tracking database change, in one transaction; artifacts stay where they are, so adopt them
    first. Back up the database, stop nothing: programs that run keep the location that they began with. The same with
    OLD and NEW exchanged undoes it.
    """
    from mlflow_versioned_store.mlflow_plugin.relocating import relocate

    found = relocate(tracking_uri, old, new, write=yes)
    document = {
        "written": yes,
        "locations": [one._asdict() for one in found],
    }

    def print_text() -> None:
        columns = [output.Column("Column"), output.Column("Rows", "right"), output.Column("Such as")]
        rows = [
            (f"{one.table}.{one.column}", f"{one.rows:,}", f"{one.example} → {one.becomes}" if one.example else "")
            for one in found
        ]
        output.table(columns, rows)
        output.note("Written." if yes else "Nothing was changed; --yes writes it.")

    output.show(document, print_text)
