"""Permissions and IAM conditions for Google Cloud Storage."""

from __future__ import annotations

import json
from typing import Any

from mlflow_versioned_store.policies.roles import Action, Grant, Role, below

_PERMISSIONS: dict[Action, list[str]] = {
    "list": ["storage.objects.list"],
    "read": ["storage.objects.get"],
    # Without the permission to delete, an object that is there cannot be overwritten.
    "create": ["storage.objects.create"],
    "write": ["storage.objects.create", "storage.objects.delete"],
    "hide": ["storage.objects.delete"],
    "delete": ["storage.objects.delete"],
}


def bindings(role: Role, granted: list[Grant], bucket: str, prefix: str) -> dict[str, Any]:
    """Return custom roles, and the conditions under which they are bound to a member.

    Nobody may update objects, so native ones get no tags: on this provider those would be metadata.

    Args:
        role: Whose.
        granted: What it may do.
        bucket: The bucket.
        prefix: The store's place in it.
    """
    roles, bound = [], []
    for grant in granted:
        name = f"versionedStore{role.capitalize()}{grant.action.capitalize()}{'Natives' if grant.but else ''}"
        roles.append({"name": name, "includedPermissions": _PERMISSIONS[grant.action], "stage": "GA"})
        expression = _listing(grant, prefix) if grant.action == "list" else _objects(grant, bucket, prefix)
        bound.append(
            {
                "role": f"projects/PROJECT/roles/{name}",
                "members": ["MEMBER"],
                "condition": {"title": f"{role}-{grant.action}", "expression": expression},
            }
        )
    if any(grant.action == "write" for grant in granted):
        # Whether what is overwritten is kept is asked of the bucket, to which no condition on objects applies.
        name = f"versionedStore{role.capitalize()}Bucket"
        roles.append({"name": name, "includedPermissions": ["storage.buckets.get"], "stage": "GA"})
        bound.append({"role": f"projects/PROJECT/roles/{name}", "members": ["MEMBER"]})
    return {"roles": roles, "bindings": bound}


def _objects(grant: Grant, bucket: str, prefix: str) -> str:
    objects = below(prefix, "")
    return _expression("resource.name", f"projects/_/buckets/{bucket}/objects/{objects}", grant)


def _listing(grant: Grant, prefix: str) -> str:
    return _expression("api.getAttribute('storage.googleapis.com/objectListPrefix', '')", below(prefix, ""), grant)


def _expression(subject: str, place: str, grant: Grant) -> str:
    within = " || ".join(_matches(subject, place, pattern) for pattern in grant.patterns)
    outside = " && ".join(f"!{_matches(subject, place, pattern)}" for pattern in grant.but)
    return f"({within}) && {outside}" if outside else within


def _matches(subject: str, place: str, pattern: str) -> str:
    start, star, end = pattern.partition("*")
    # JSON's way of writing a text is also the expression language's.
    if not star:
        return f"{subject} == {json.dumps(place + pattern)}"
    begins = f"{subject}.startsWith({json.dumps(place + start)})"
    return f"({begins} && {subject}.endsWith({json.dumps(end)}))" if end else begins
