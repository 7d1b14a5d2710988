"""Who may do what with which keys of a store, before any provider's language. Pure, no I/O.

A pattern is a key relative to the store, or ends with "*" for all keys that begin so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from mlflow_versioned_store import keys
from mlflow_versioned_store.errors import InvalidInput
from mlflow_versioned_store.roots import clean_path

Role: TypeAlias = Literal["reader", "writer", "collector", "auditor"]
Action: TypeAlias = Literal["list", "read", "create", "write", "hide", "delete"]

ROLES: tuple[Role, ...] = get_args(Role)
_OURS = f"{keys.RESERVED}/*"


class Grant(NamedTuple):
    """What may be done to which keys.

    Args:
        action: "list"; "read", also exact object versions; "create" what is not there yet; "write", also over what is
            there; "hide" (delete, where object versions are kept); "delete" for good.
        patterns: The keys.
        but: Not these: native objects lie beside the store's own.
    """

    action: Action
    patterns: tuple[str, ...]
    but: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of a store that a role is about.

    Args:
        logs: Where its logs are.
        data: Where its packs, indexes and hooks are.
        natives: Where its native objects are, and the places above them.
    """

    logs: tuple[str, ...] = (f"{keys.LOGS}/*",)
    data: tuple[str, ...] = (f"{keys.DATA}/*",)
    natives: tuple[str, ...] = ("*",)


def scope(*, dedup_scope: str, experiment: str | None = None, path: str | None = None) -> Scope:
    """Return the scope of a whole store, of one experiment, or of the native objects below a path.

    Args:
        dedup_scope: The store's setting: chunks are shared by the whole "store", or within one "experiment".
        experiment: The first component of its artifact roots.
        path: A path of the store below which data sets are kept natively.

    Raises:
        InvalidInput: The part cannot be told apart: its bytes lie among those of others.
    """
    if path is not None:
        return Scope(logs=(), data=(), natives=(f"{clean_path(path)}/*",))
    if experiment is None:
        return Scope()
    name = clean_path(experiment)
    if not name or "/" in name:
        raise InvalidInput(f"{experiment!r} is no experiment: name the first component of its artifact roots.")
    if dedup_scope != "experiment":
        raise InvalidInput(
            f"Chunks are shared by all of this store: whoever may read those of experiment {name} may read everyone's. "
            "`mvs rescope URI` gives every experiment chunks of its own; until then, give a policy for the whole "
            "store, or keep the experiment in a store of its own."
        )
    # Each encryption key that it uses has a domain of its own; "experiment-1*" would take in experiment 10.
    folder = keys.domain_folder(f"experiment-{name}")
    return Scope((f"{keys.log(name)}/*",), (f"{folder}/*", f"{folder}-key-*"), (f"{name}/*",))


def grants(role: Role, part: Scope, *, native: bool) -> list[Grant]:
    """Return what a role needs, and nothing else.

    A reader of a data set's path needs nothing of ours: it reads plain objects.

    Args:
        role: "reader"; "writer", who also reads, and may never delete; "collector", who expires, collects and erases;
            "auditor", who sees what happened and never the bytes.
        part: What of the store.
        native: Whether the store keeps anything natively.

    Raises:
        InvalidInput: The role makes no sense there.
    """
    if not part.logs:
        if role != "reader":
            raise InvalidInput(
                f"Below a path there is only something to read; a {role} needs the store or an experiment."
            )
        return [Grant("list", part.natives), Grant("read", part.natives)]
    common = (keys.MARKER, f"{keys.SETTINGS_LOG}/*")
    # Markers are looked for in every folder above a path, so those places are read also where nothing is native.
    places = (*common, *part.logs, *part.natives)
    marks = f"{keys.MARKS}/*"
    listed = (f"{keys.SETTINGS_LOG}/*", *part.logs)
    match role:
        case "auditor":
            return [Grant("list", listed), Grant("read", (*common, *part.logs, *_markers(part)))]
        case "reader":
            return [Grant("list", listed), Grant("read", (*places, *part.data))]
        case "writer":
            granted = [
                Grant("list", (*listed, *part.data, marks)),
                Grant("read", (*places, *part.data, marks)),
                Grant("create", (*part.logs, *part.data)),
            ]
            changed: tuple[Action, ...] = ("write", "hide")
        case "collector":
            granted = [
                Grant("list", (_OURS, *part.natives)),
                Grant("read", (_OURS, *part.natives)),
                Grant("create", (*part.logs, *part.data, marks)),
                Grant("delete", (*part.data, marks)),
            ]
            changed = ("delete",)
    return granted + [Grant(action, part.natives, but=(_OURS,)) for action in changed if native]


def below(prefix: str, pattern: str) -> str:
    """Return a pattern as it is in the bucket, where the store is at `prefix`."""
    return f"{prefix}/{pattern}" if prefix else pattern


def _markers(part: Scope) -> tuple[str, ...]:
    """Return where markers are looked for below the store's own, without the native objects beside them."""
    return tuple(f"{pattern}/{keys.MARKER}" for pattern in part.natives)
