"""`mvs settings`."""

from __future__ import annotations

from dataclasses import asdict

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import open_tree
from mlflow_versioned_store.cli.command import command as _command


@_command
@click.argument("uri")
@click.argument("changes", nargs=-1, metavar="[NAME=VALUE]...")
def command(uri: str, changes: tuple[str, ...]) -> None:
    """Show how the store at or above URI is written, or change it: dedup=off, stage_bytes=1G, quota:7=500G.

    A name without a value (NAME=) goes back to its default. quota:EXPERIMENT is how many bytes of the store an
    experiment shall need at most, quota:* that of all others; stats and doctor warn at 80 %.
    """
    from mlflow_versioned_store.catalog.configuration import settings_in_words
    from mlflow_versioned_store.context import here
    from mlflow_versioned_store.settings import change_settings, parse_setting, read_settings

    parsed = dict(map(parse_setting, changes))
    store, _, _ = open_tree(uri)
    log = store.settings_log
    settings = change_settings(log, parsed, here("").who()) if parsed else read_settings(log)
    words = settings_in_words(settings, log.state(refresh=False).notes(""))
    output.show(
        {"location": store.location, "settings": asdict(settings)},
        lambda: output.table(
            [output.Column("SETTING"), output.Column("VALUE"), output.Column("FROM", dim=True)], words
        ),
    )
