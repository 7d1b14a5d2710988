"""A role and the condition of its assignment, for Azure Blob Storage."""

from __future__ import annotations

from typing import Any

from mlflow_versioned_store.policies.roles import Action, Grant, Role, below

_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"
_READ = f"{_BLOBS}/read"
_PATH = f"@Resource[{_BLOBS}:path]"
_LISTED = f"@Request[{_BLOBS}:prefix]"
_ACTIONS: dict[Action, tuple[str, ...]] = {
    "list": (_READ,),
    "read": (_READ,),
    # Adds a blob where there is none; over one that is there, "write" would be needed.
    "create": (f"{_BLOBS}/add/action",),
    "write": (f"{_BLOBS}/add/action", f"{_BLOBS}/write"),
    "hide": (f"{_BLOBS}/delete",),
    "delete": (f"{_BLOBS}/delete", f"{_BLOBS}/deleteBlobVersion/action"),
}


def assignment(role: Role, granted: list[Grant], container: str, prefix: str) -> dict[str, Any]:
    """Return a custom role definition and the condition under which it is assigned.

    Args:
        role: Whose.
        granted: What it may do.
        container: The container.
        prefix: The store's place in it.
    """
    clauses = []
    for action in dict.fromkeys(action for grant in granted for action in _ACTIONS[grant.action]):
        grants_of = [grant for grant in granted if grant.action != "list" and action in _ACTIONS[grant.action]]
        clauses.append(_clause(action, _PATH, container, prefix, grants_of))
    clauses.append(_clause(_READ, _LISTED, container, prefix, [grant for grant in granted if grant.action == "list"]))
    return {
        "role_definition": {
            "Name": f"Versioned store {role} ({container}/{prefix})".replace("/)", ")"),
            "IsCustom": True,
            "Description": f"What a {role} of the versioned store in {container}/{prefix} needs.",
            "Actions": [f"{_CONTAINER}/read"],
            "NotActions": [],
            "DataActions": sorted({action for grant in granted for action in _ACTIONS[grant.action]}),
            "NotDataActions": [],
            "AssignableScopes": ["/subscriptions/SUBSCRIPTION/resourceGroups/GROUP"],
        },
        "condition_version": "2.0",
        "condition": "\nAND\n".join(clauses),
    }


def _clause(action: str, attribute: str, container: str, prefix: str, granted: list[Grant]) -> str:
    about = f"ActionMatches{{'{action}'}}"
    if action == _READ:
        about += f" AND {'' if attribute == _LISTED else 'NOT '}SubOperationMatches{{'Blob.List'}}"
    # Without the container's name, the same path in another one would do.
    place = f"@Resource[{_CONTAINER}:name] StringEquals {_quoted(container)}"
    paths = " OR ".join(_paths(attribute, prefix, grant) for grant in granted)
    return f"((!({about})) OR ({place} AND ({paths})))"


def _paths(attribute: str, prefix: str, grant: Grant) -> str:
    within = " OR ".join(f"{attribute} StringLike {_quoted(below(prefix, pattern))}" for pattern in grant.patterns)
    outside = " AND ".join(f"{attribute} StringNotLike {_quoted(below(prefix, pattern))}" for pattern in grant.but)
    return f"(({within}) AND {outside})" if outside else within


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
