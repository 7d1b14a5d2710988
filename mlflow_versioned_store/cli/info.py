"""`mvs info`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.addresses import open_place
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.wording import counted, sized

if TYPE_CHECKING:
    from mlflow_versioned_store.catalog.inventory import Inventory
    from mlflow_versioned_store.catalog.ledger import Group
    from mlflow_versioned_store.settings import Settings
    from mlflow_versioned_store.store import Store


@_command
@click.argument("uri")
@click.option("--usage", is_flag=True, help="Say too what deleting what is at URI would free.")
def command(uri: str, usage: bool) -> None:
    """Say what the store at or above URI holds: settings, artifact roots, sizes and savings.

    One request a thousand objects, and two an artifact root. With --usage it says which bytes the file, artifact root
    or experiment at URI needs alone or shares, as `mvs stats` does: that reads every commit that made a version.
    """
    from mlflow_versioned_store.catalog.inventory import take_inventory
    from mlflow_versioned_store.catalog.usage import usage_at
    from mlflow_versioned_store.settings import read_settings

    store, inside = open_place(uri)
    settings = read_settings(store.settings_log)
    found = take_inventory(store)
    used = usage_at(store, inside) if usage else None
    output.show(
        _document(store, settings, found) | ({} if used is None else {"usage": _numbers(used)}),
        lambda: _print(store, settings, found, used),
    )


def _numbers(used: Group) -> dict[str, Any]:
    return {name: getattr(used, name) for name in ("name", "logged", "stored", "exclusive", "shared")}


def _document(store: Store, settings: Settings, found: Inventory) -> dict[str, Any]:
    marker = store.marker
    newest = {"time": found.newest, "root": found.newest_root} if found.newest is not None else None
    return {
        "location": store.location,
        "id": store.id,
        "format": marker.format,
        "digest": marker.digest,
        "created": marker.created,
        "settings": asdict(settings),
        "roots": len(found.roots),
        "files": found.files,
        "versions": found.versions,
        "logged": found.logged,
        "stored": found.stored,
        "savings": found.savings,
        "newest": newest,
        "objects": {name: asdict(kind) for name, kind in sorted(found.kinds.items())},
    }


def _compared(found: Inventory) -> str:
    if not found.logged or not found.stored:
        return ""
    if found.logged >= found.stored:
        return f", 1/{found.logged / found.stored:.1f} of what was logged"
    # A store of a few bytes is mostly commits.
    return f", {found.stored / found.logged:,.1f} times what was logged"


def _print(store: Store, settings: Settings, found: Inventory, used: Group | None) -> None:
    marker = store.marker
    defaults = asdict(type(settings)())
    changed = ", ".join(f"{name}={value}" for name, value in asdict(settings).items() if value != defaults[name])
    where = found.newest_root or "the store's own root"
    facts = {
        "location": store.location,
        "id": store.id,
        "format": f"{marker.format}, digest {marker.digest}, created {marker.created}",
        "settings": changed or "all as by default",
        "contents": f"{counted(found.versions, 'version')} of {counted(found.files, 'file')}"
        f" in {counted(len(found.roots), 'artifact root')}",
        "logged": sized(found.logged),
        "stored": f"{sized(found.stored)}{_compared(found)}",
        "last commit": f"{output.moment(found.newest)} in {where}" if found.newest is not None else "never",
    }
    if used is not None:
        facts["usage of"] = used.name or "all of the store"
        facts["needs"] = f"{sized(used.stored)} for {sized(used.logged)} logged"
        facts["exclusive"] = f"{sized(used.exclusive)}, which deleting it would free"
        facts["shared"] = sized(used.shared)
    output.table([output.Column("", dim=True), output.Column("")], facts.items(), header=False)
    output.line()
    output.table(
        [output.Column("KIND"), output.Column("OBJECTS", align="right"), output.Column("SIZE", align="right")],
        [(name, f"{kind.objects:,}", sized(kind.size)) for name, kind in sorted(found.kinds.items())],
    )
