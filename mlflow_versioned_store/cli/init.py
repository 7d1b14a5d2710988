"""`mvs init`."""

from __future__ import annotations

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput


@_command
@click.argument("uri")
@click.option("--digest", type=click.Choice(["blake3", "sha256"]), help="What names chunks; it can never be changed.")
@click.option(
    "--dedup-scope",
    type=click.Choice(["store", "experiment"]),
    help="Share chunks across the whole store, or only within an experiment.",
)
@click.option(
    "--native",
    metavar="PATTERN",
    multiple=True,
    help="Keep the paths it matches, such as 'data/**/*.parquet', as plain objects; a bucket then keeps versions.",
)
def command(uri: str, digest: str | None, dedup_scope: str | None, native: tuple[str, ...]) -> None:
    """Make a store at URI, such as versioned-s3://bucket/prefix.

    A store that is there already is left as it is, but for --dedup-scope and --native where they are given.
    """
    from mlflow_versioned_store.context import here
    from mlflow_versioned_store.settings import change_settings, read_settings
    from mlflow_versioned_store.store import create_store

    store = create_store(uri, digest=digest or "blake3")
    made_with = store.marker.digest
    if digest not in (None, made_with):
        raise InvalidInput(
            f"The store at {store.location} was made with {made_with}, which cannot be changed; make another one for "
            f"{digest}."
        )
    scope = read_settings(store.settings_log).dedup_scope
    if dedup_scope not in (None, scope):
        scope = change_settings(store.settings_log, {"dedup_scope": dedup_scope}, here("").who()).dedup_scope
    patterns = (store.keep_natively(native, here("")) if native else read_settings(store.settings_log)).native
    output.show(
        {"location": store.location, "id": store.id, "digest": made_with, "dedup_scope": scope, "native": patterns},
        lambda: output.line(
            f"{store.location} is the store {store.id} (digest {made_with}, deduplication within one {scope})"
        ),
    )
