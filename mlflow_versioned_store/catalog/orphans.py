"""A store against MLflow: artifact roots that nothing in MLflow owns any more, and owners that logged nothing here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from mlflow_versioned_store import roots
from mlflow_versioned_store.backends.opening import parse
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.store import open_store

Kind: TypeAlias = Literal["run", "model", "trace"]
Reason: TypeAlias = Literal["unknown", "deleted", "elsewhere"]

_PROXIED = "mlflow-artifacts:"


class Owner(NamedTuple):
    """A run, logged model or trace, as MLflow knows it.

    Args:
        kind: What it is.
        id: Its id.
        experiment: Its experiment's id.
        location: The URI of its artifacts; None where MLflow does not tell.
        deleted: It is in MLflow's trash.
    """

    kind: Kind
    id: str
    experiment: str
    location: str | None
    deleted: bool = False


class Orphan(NamedTuple):
    """An artifact root without an owner.

    Args:
        root: Its name.
        kind: What its name says that it belongs to.
        id: And to which.
        reason: MLflow does not know that id, has it in its trash, or says that its artifacts are elsewhere.
    """

    root: str
    kind: Kind
    id: str
    reason: Reason


@dataclass(slots=True)
class Comparison:
    """What a store and MLflow say of each other.

    Args:
        owned: How many artifact roots have their owner.
        orphans: Those that have none, sorted.
        empty: Runs and models whose artifacts shall be in the store, and which have no history there.
    """

    owned: int = 0
    orphans: list[Orphan] = field(default_factory=list)
    empty: list[Owner] = field(default_factory=list)


def compare(names: Iterable[str], owners: Iterable[Owner], place: Callable[[str], str | None]) -> Comparison:
    """Compare artifact roots with their owners. Keeps in memory what belongs to the roots, not all owners.

    Args:
        names: The artifact roots; the store's own, "", belongs to nobody and is left out.
        owners: All owners that MLflow knows, in the trash or not.
        place: Returns the artifact root that a location leads to, None for one outside of what is compared.
    """
    reasons: dict[tuple[Kind, str], Reason] = {}
    of_owner: dict[tuple[Kind, str], list[str]] = {}
    for name in names:
        if name:
            of_owner.setdefault(owner_of(name), []).append(name)
            reasons[owner_of(name)] = "unknown"
    found = Comparison()
    owned: set[str] = set()
    for owner in owners:
        placed = place(owner.location) if owner.location is not None else None
        rooted = of_owner.get(owner[:2], [])
        if rooted:
            reasons[owner[:2]] = "deleted" if owner.deleted else "elsewhere"
        if not owner.deleted:
            here = [name for name in rooted if owner.location is None or name == placed]
            owned.update(here)
            if placed is not None and not here and owner.kind != "trace":
                found.empty.append(owner)
    for key, rooted in of_owner.items():
        found.orphans += [Orphan(name, *key, reasons[key]) for name in rooted if name not in owned]
    found.orphans.sort()
    found.owned = len(owned)
    return found


def owner_of(root: str) -> tuple[Kind, str]:
    """Return what an artifact root belongs to, as its name says."""
    *_, group, owner, _ = ("", *root.split("/"))
    if group == "models" and owner.startswith("m-"):
        return "model", owner
    return "trace" if group == "traces" else "run", owner


def placing(uri: str) -> Callable[[str], str | None]:
    """Return a function from an artifact location to its artifact root in the store that covers `uri`.

    It returns None for what does not lie at or below `uri`. Where a tracking server keeps artifacts for its clients,
    locations begin with "mlflow-artifacts:" and mean a path below `uri`, which then is the server's destination.

    Raises:
        NoStore: There is no store.
    """
    _, inside = open_store(uri)
    kind, container, path = parse(uri)
    prefix = path.removesuffix(inside)

    def place(location: str) -> str | None:
        if location.startswith(_PROXIED):
            location = f"{uri.rstrip('/')}/{_proxied_path(location)}"
        try:
            at = parse(location)
        except InvalidInput:
            return None
        if at[:2] != (kind, container) or not f"{at[2]}/".startswith(f"{path}/" if path else ""):
            return None
        return roots.place(at[2][len(prefix) :].lstrip("/")).root

    return place


def _proxied_path(location: str) -> str:
    """Return the path of "mlflow-artifacts:/path" or "mlflow-artifacts://host/path"."""
    rest = location.removeprefix(_PROXIED)
    return rest[2:].partition("/")[2] if rest.startswith("//") else rest.lstrip("/")
