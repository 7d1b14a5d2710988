"""Policies for Amazon S3 and MinIO, which speak the same language but for conditions."""

from __future__ import annotations

from typing import Any

from mlflow_versioned_store import keys
from mlflow_versioned_store.policies.roles import Action, Grant, Role, below

_ACTIONS: dict[Action, list[str]] = {
    "read": ["s3:GetObject", "s3:GetObjectVersion"],
    "create": ["s3:AbortMultipartUpload", "s3:PutObject"],
    # What is tagged is always a certain version.
    "write": ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging"],
    "hide": ["s3:DeleteObject"],
    "delete": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
}
_OURS = f"{keys.RESERVED}/*"
# What a pattern for native objects must not let be overwritten, or deleted.
_NEVER_WRITTEN = (keys.MARKER, f"{keys.SETTINGS_LOG}/*", f"{keys.GC}/*")
_NEVER_DELETED = (keys.MARKER, f"{keys.SETTINGS_LOG}/*", f"{keys.LOGS}/*")


def policy(role: Role, granted: list[Grant], bucket: str, prefix: str, *, minio: bool) -> dict[str, Any]:
    """Return an IAM policy.

    On Amazon S3 a writer can create objects below `_mvs/` and never overwrite one. MinIO has no such condition: there
    a bucket with versioning keeps what was overwritten, and no version may be deleted.

    Args:
        role: Whose.
        granted: What it may do.
        bucket: The bucket.
        prefix: The store's place in it; "" for all of it.
        minio: For MinIO.
    """
    arn = f"arn:aws:s3:::{bucket}"

    def resources(*patterns: str) -> list[str]:
        return [f"{arn}/{below(prefix, pattern)}" for pattern in patterns]

    statements: list[dict[str, Any]] = []
    for grant in granted:
        if grant.action == "list":
            statements.append(_listing(grant, arn, prefix, versions=role == "collector", minio=minio))
        else:
            statements.append(
                {
                    "Sid": grant.action.capitalize() + ("Natives" if grant.but else ""),
                    "Effect": "Allow",
                    "Action": _ACTIONS[grant.action],
                    "Resource": resources(*grant.patterns),
                }
            )
    if any(grant.action == "write" for grant in granted):
        # Before anything is written it is made sure that nothing is lost by it.
        statements.append(
            {"Sid": "SeeVersioning", "Effect": "Allow", "Action": ["s3:GetBucketVersioning"], "Resource": [arn]}
        )
    if role == "collector":
        statements.append(_deny("KeepHistory", _ACTIONS["delete"], resources(*_NEVER_DELETED)))
    else:
        statements += [
            _deny("KeepVersions", ["s3:BypassGovernanceRetention", "s3:DeleteObjectVersion"], resources("*")),
            _deny("KeepObjects", _ACTIONS["hide"], resources(_OURS)),
        ]
    if role == "writer":
        statements.append(_deny("LeaveToOperators", ["s3:PutObject"], resources(*_NEVER_WRITTEN)))
    if role == "writer" and not minio:
        # Parts of a multipart upload carry no condition; only what creates an object is held to it.
        only = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
        statements.append(_deny("CreateOnly", ["s3:PutObject"], resources(_OURS)) | {"Condition": only})
    return {"Version": "2012-10-17", "Statement": statements}


def _listing(grant: Grant, arn: str, prefix: str, *, versions: bool, minio: bool) -> dict[str, Any]:
    # Whether an object is missing or forbidden, Amazon S3 only tells those who may list; that question has no prefix.
    test = "StringLike" if minio else "StringLikeIfExists"
    statement: dict[str, Any] = {
        "Sid": "List",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", *(["s3:ListBucketVersions"] if versions else [])],
        "Resource": [arn],
    }
    patterns = [below(prefix, pattern) for pattern in grant.patterns]
    return statement if "*" in patterns else statement | {"Condition": {test: {"s3:prefix": patterns}}}


def _deny(sid: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Deny", "Action": actions, "Resource": resources}
