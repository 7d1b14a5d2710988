"""`mvs stats`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import open_place
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.wording import sized

if TYPE_CHECKING:
    from mlflow_versioned_store.catalog.ledger import Group
    from mlflow_versioned_store.catalog.quotas import Quota
    from mlflow_versioned_store.catalog.usage import Level

_COLUMNS = ("versions", "logged", "stored", "exclusive", "shared", "elsewhere")


class _Row(NamedTuple):
    """A group under the name that leads to it in the store."""

    name: str
    group: Group


@_command
@click.argument("uri")
@click.option(
    "--by",
    type=click.Choice(["experiment", "run", "path"]),
    help="What is told apart; a run stands for any artifact root. By default what is just inside of URI.",
)
def command(uri: str, by: Level | None) -> None:
    """Say how many bytes were logged, and are stored, for each experiment, run or path at or below URI.

    STORED is what its versions need of the store, EXCLUSIVE what nobody else needs: what deleting them would free.
    SHARED counts in full for everyone who shares it. Reads every commit of the store that made a version.
    """
    from mlflow_versioned_store.catalog import quotas
    from mlflow_versioned_store.catalog.usage import measure
    from mlflow_versioned_store.settings import read_settings

    store, inside = open_place(uri)
    place = store.place(inside)
    by = by or ("experiment" if not inside else "path" if place.root else "run")
    whole = measure(store, by=by)
    rows = [row for row in _rows(whole, by) if _is_related(row.name, inside)]
    rows.sort(key=lambda row: (-row.group.stored, row.name))
    settings = read_settings(store.settings_log)
    limited = [quota for quota in quotas.of_groups(whole, settings) if _is_related(quota.experiment, inside)]
    output.show(
        {
            "location": store.location,
            "by": by,
            "groups": [{"name": row.name} | _numbers(row.group) for row in rows],
            "store": _numbers(whole),
            "quotas": [quota._asdict() | {"share": quota.share} for quota in limited],
        },
        lambda: _print(rows if inside else [*rows, _Row("all of the store", whole)], by, limited),
    )
    for quota in quotas.near(limited):
        output.note(f"Warning: {quota}.")


def _rows(whole: Group, by: Level) -> Iterator[_Row]:
    for experiment in whole.groups.values():
        if by == "experiment":
            yield _Row(experiment.name, experiment)
        for root in experiment.groups.values():
            if by == "run":
                yield _Row(root.name, root)
            yield from (_Row(f"{root.name}/{path.name}".lstrip("/"), path) for path in root.groups.values())


def _is_related(name: str, inside: str) -> bool:
    """Tell whether a group lies at or below a path of the store, or around it."""
    return not inside or f"{name}/".startswith(f"{inside}/") or f"{inside}/".startswith(f"{name}/")


def _numbers(group: Group) -> dict[str, int]:
    return {name: getattr(group, name) for name in _COLUMNS}


def _print(rows: Sequence[_Row], by: Level, limited: Sequence[Quota]) -> None:
    elsewhere = any(row.group.elsewhere for row in rows)
    shares = {quota.experiment: f"{quota.share:.0%}" for quota in limited} if by == "experiment" else {}
    titles = ["VERSIONS", "LOGGED", "STORED", "EXCLUSIVE", "SHARED", *(["ELSEWHERE"] if elsewhere else [])]
    columns = [output.Column(title, align="right") for title in titles]
    columns += [output.Column("QUOTA", align="right")] if shares else []
    # MLflow's own part of the path begins in the store itself, as at the location of one experiment.
    nameless = "(the store's own root)" if by == "run" else "(directly in the store)"
    cells: list[list[str]] = []
    for name, group in rows:
        numbers = [sized(getattr(group, title.lower())) for title in titles[1:]]
        quota = [shares.get(name, "")] if shares else []
        cells.append([f"{group.versions:,}", *numbers, *quota, name or nameless])
    output.table([*columns, output.Column(by.upper())], cells)
