"""`python -m mlflow_versioned_store`: what is done to a store as such.

Exit codes: 0 done; 2 the command can never work as it is; 3 no permission; 4 the store cannot be reached; 5 the
server or the store does not fit this release; 1 anything else.
"""

from __future__ import annotations

import sys

import click

from mlflow_versioned_store import __version__
from mlflow_versioned_store.errors import AccessDenied, InvalidInput, Unavailable, Unsupported, VersionedStoreError

_EXIT_CODES: tuple[tuple[type[VersionedStoreError], int], ...] = (
    (InvalidInput, 2),
    (AccessDenied, 3),
    (Unavailable, 4),
    (Unsupported, 5),
    (VersionedStoreError, 1),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mlflow-versioned-store")
def main() -> None:
    """Look after versioned stores."""


@main.command()
@click.argument("uri")
@click.option("--digest", type=click.Choice(["blake3", "sha256"]), help="What names chunks; it can never be changed.")
@click.option(
    "--dedup-scope",
    type=click.Choice(["store", "experiment"]),
    help="Share chunks across the whole store, or only within an experiment.",
)
def init(uri: str, digest: str | None, dedup_scope: str | None) -> None:
    """Make a store at URI, such as versioned-s3://bucket/prefix, and print where it is and its id.

    A store that is there already is left as it is, but for --dedup-scope where that is given.
    """
    try:
        click.echo(_init(uri, digest, dedup_scope))
    except VersionedStoreError as error:
        click.echo(f"Error: {' '.join(str(error).split())}", err=True)
        sys.exit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind)))


def _init(uri: str, digest: str | None, dedup_scope: str | None) -> str:
    from mlflow_versioned_store.context import here
    from mlflow_versioned_store.settings import change_settings, read_settings
    from mlflow_versioned_store.store import create_store

    store = create_store(uri, digest=digest or "blake3")
    if digest not in (None, store.marker.digest):
        raise InvalidInput(
            f"The store at {store.location} was made with {store.marker.digest}, which cannot be changed; make another "
            f"one for {digest}."
        )
    scope = read_settings(store.settings_log).dedup_scope
    if dedup_scope not in (None, scope):
        scope = change_settings(store.settings_log, {"dedup_scope": dedup_scope}, here("").who()).dedup_scope
    return f"{store.location} is the store {store.id} (digest {store.marker.digest}, deduplication within one {scope})"


if __name__ == "__main__":
    main(prog_name="python -m mlflow_versioned_store")
