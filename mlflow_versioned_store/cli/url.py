"""`mvs url`."""

from __future__ import annotations

import re

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import locate
from mlflow_versioned_store.cli.command import command as _command

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """A time such as 90s, 15m, 1h or 7d, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is no duration: write 90s, 15m, 1h or 7d", param, ctx)
        return int(match[1]) * _SECONDS[match[2] or "s"]


@_command
@click.argument("address")
@click.option("--expires", type=Duration(), default="1h", show_default=True, help="How long it holds, at most 7d.")
@click.option("--copies", metavar="URI", help="Where `mvs materialize` wrote copies of packed versions.")
def command(address: str, expires: int, copies: str | None) -> None:
    """Print a link from which anybody can download an exact version, under its real name.

    It needs a version that is one object: one kept natively, or one that was materialised below --copies. Whoever has
    the link needs no credentials, so treat it like one.
    """
    from mlflow_versioned_store.direct.destinations import open_destination
    from mlflow_versioned_store.direct.links import link

    root, inside = locate(address)
    version = root.get(inside)
    made = link(
        root.engine,
        version,
        expires,
        store_id=root.store.id,
        copies=open_destination(copies) if copies else None,
    )
    document = {"url": made, "path": version.path, "version": version.number, "expires_seconds": expires}
    output.show(document, lambda: output.line(made))
