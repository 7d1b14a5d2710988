"""What an S3 bucket is set to do with objects by itself, read through boto3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.boto3_objects import answer_of, s3_client
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import Unsupported
from mlflow_versioned_store.keys import RESERVED

_ARCHIVES = {"DEEP_ARCHIVE", "GLACIER"}


def check_lifecycle(backend: Backend) -> bool | None:
    """Return True where no lifecycle rule touches a store at `backend`, None where nobody can tell. One request.

    Nobody can tell where the rules may not be read, the server has no such call, or the store is not on S3.

    Raises:
        Unsupported: A rule would delete or archive what a store keeps; the message names it.
    """
    scheme, _, place = backend.location.partition("://")
    if scheme != "s3":
        return None
    config = s3_config.resolve()
    bucket, _, folder = place.partition("/")
    rules = _rules(bucket, config)
    if rules is None:
        return None
    prefix = f"{folder}/{RESERVED}/" if folder else f"{RESERVED}/"
    for rule in rules:
        harm = _harm(rule)
        if harm and _applies(rule, prefix, config.upload.tags):
            raise Unsupported(
                f"The lifecycle rule {rule.get('ID', '(without an ID)')!r} of the bucket {bucket} {harm} objects below "
                f"{prefix}, where a store keeps its data. Exclude that prefix from the rule, or use another bucket."
            )
    return True


def bucket_versioning(backend: Backend) -> str | None:
    """Return "Enabled", "Suspended" or "off": whether the bucket of `backend` keeps object versions. One request.

    None where nobody can tell: it may not be read, the server has no such call, or `backend` is not on S3.
    """
    scheme, _, place = backend.location.partition("://")
    if scheme != "s3":
        return None
    answer = _ask(place.partition("/")[0], s3_config.resolve(), "get_bucket_versioning", absent=None)
    return None if answer is None else answer.get("Status", "off")


def _rules(bucket: str, config: s3_config.S3Config) -> list[dict[str, Any]] | None:
    answer = _ask(bucket, config, "get_bucket_lifecycle_configuration", absent="NoSuchLifecycleConfiguration")
    return None if answer is None else answer.get("Rules", [])


def _ask(bucket: str, config: s3_config.S3Config, call: str, *, absent: str | None) -> dict[str, Any] | None:
    """Return a bucket's answer to a call, an empty one where its code is `absent`, None where nobody can tell."""
    from botocore.exceptions import BotoCoreError, ClientError

    if config.credentials is None:
        return None
    client: Any = s3_client(config)
    owner = {"ExpectedBucketOwner": config.expected_bucket_owner} if config.expected_bucket_owner else {}
    try:
        answer: dict[str, Any] = getattr(client, call)(Bucket=bucket, **owner)
    except (BotoCoreError, ClientError) as error:
        return {} if absent is not None and answer_of(error).code == absent else None
    finally:
        client.close()
    return answer


def _harm(rule: Mapping[str, Any]) -> str | None:
    if rule.get("Status") != "Enabled":
        return None
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        return "deletes"
    if any(transition.get("StorageClass") in _ARCHIVES for transition in rule.get("Transitions", [])):
        return "archives"
    return None


def _applies(rule: Mapping[str, Any], prefix: str, tags: Mapping[str, str]) -> bool:
    prefixes: list[str] = []
    wanted: dict[str, str] = {}
    for condition in _conditions(rule):
        prefixes.append(condition.get("Prefix", ""))
        found = [*condition.get("Tags", []), *([condition["Tag"]] if "Tag" in condition else [])]
        wanted |= {tag["Key"]: tag["Value"] for tag in found}
    touches = all(prefix.startswith(other) or other.startswith(prefix) for other in prefixes)
    return touches and wanted.items() <= tags.items()


def _conditions(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield rule if "Prefix" in rule else {}
    yield rule.get("Filter", {})
    yield rule.get("Filter", {}).get("And", {})
