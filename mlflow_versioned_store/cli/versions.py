"""`mvs versions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import document_of, locate
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.wording import sized

if TYPE_CHECKING:
    from mlflow_versioned_store.history.versions import Version

_DIGITS = 12


@_command
@click.argument("address")
def command(address: str) -> None:
    """List every version that a file ever had, the oldest first."""
    root, path = locate(address)
    found = root.versions(path)
    # As of the same look at the log.
    aliases = _by_version(root.engine.log.state(refresh=False).aliases(found[0].path), found)
    store = root.store.engine
    output.show(
        {
            "uri": f"{root.uri}/{found[0].path}",
            "versions": [
                document_of(store, root.name, version) | {"aliases": aliases.get(version.number, [])}
                for version in found
            ],
        },
        lambda: _print(found, aliases),
    )


def _by_version(aliases: Mapping[str, str], versions: Sequence[Version]) -> dict[int, list[str]]:
    """Return the aliases of each version; one of a commit stands for the version that was current then."""
    from mlflow_versioned_store.history.addresses import is_numbered

    found: dict[int, list[str]] = {}
    for name, target in sorted(aliases.items()):
        if not is_numbered(target):
            continue
        mark, number = target[0], int(target[1:])
        older = [one.number for one in versions if (one.commit if mark == "c" else one.number) <= number]
        found.setdefault(older[-1] if older else 0, []).append(name)
    return found


def _print(versions: Sequence[Version], aliases: Mapping[int, Sequence[str]]) -> None:
    columns = [
        output.Column("VERSION", "right"),
        output.Column("SIZE", "right"),
        output.Column("LOGGED (UTC)"),
        output.Column("COMMIT", "right", dim=True, spare=True),
        output.Column("SHA-256", dim=True, spare=True),
        output.Column("STATUS"),
    ]
    newest = versions[-1].number
    rows = []
    for version in versions:
        status: list[str] = [] if version.status == "live" else [version.status]
        if version.number == newest and not status:
            status = ["current"]
        digest = version.sha256[:_DIGITS]
        rows.append(
            (
                f"v{version.number}",
                sized(version.size),
                output.moment(version.time),
                f"c{version.commit}",
                digest,
                ", ".join([*status, *(f"@{name}" for name in aliases.get(version.number, ()))]),
            )
        )
    output.table(columns, rows)
