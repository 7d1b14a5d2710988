"""What an S3 bucket is set to do with objects by itself, read through boto3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from mlflow_versioned_store.backends import s3_config
from mlflow_versioned_store.backends.boto3_objects import answer_of, s3_client
from mlflow_versioned_store.backends.contract import Backend
from mlflow_versioned_store.errors import Unsupported
from mlflow_versioned_store.keys import RESERVED
from mlflow_versioned_store.roots import joined

_ARCHIVES = {"DEEP_ARCHIVE", "GLACIER"}


class Harm(NamedTuple):
    """What a lifecycle rule does to objects that are to stay.

    Args:
        rule: The rule's ID.
        deed: "deletes" or "archives".
        noncurrent: Whether it does so to older object versions; else to current ones.
    """

    rule: str
    deed: str
    noncurrent: bool


def find_harms(backend: Backend, folder: str, tags: Mapping[str, str] | None = None) -> list[Harm] | None:
    """Return what lifecycle rules do to objects below a folder of a store at `backend`. One request.

    None where nobody can tell: the rules may not be read, the server has no such call, or the store is not on S3.

    Args:
        backend: The store.
        folder: The folder; where it is not the store's own, what happens only in that one does not count.
        tags: What the objects are tagged with beside what every upload asks for.
    """
    scheme, _, place = backend.location.partition("://")
    if scheme != "s3":
        return None
    config = s3_config.resolve()
    bucket, _, store = place.partition("/")
    rules = _rules(bucket, config)
    if rules is None:
        return None
    own = f"{store}/{RESERVED}/" if store else f"{RESERVED}/"
    prefix = own.removesuffix(f"{RESERVED}/") + (f"{folder}/" if folder else "")
    apart = None if prefix == own else own
    return [
        Harm(rule.get("ID", "(without an ID)"), deed, noncurrent)
        for rule in rules
        for deed, noncurrent in _harms(rule)
        if _applies(rule, prefix, config.upload.tags | dict(tags or {}), apart)
    ]


def check_lifecycle(backend: Backend) -> bool | None:
    """Return True where no lifecycle rule touches a store at `backend`, None where nobody can tell. One request.

    Nobody can tell where the rules may not be read, the server has no such call, or the store is not on S3. Rules for
    older object versions do not count: a store needs those of its own objects only to undo what others do.

    Raises:
        Unsupported: A rule would delete or archive what a store keeps; the message names it.
    """
    harms = find_harms(backend, RESERVED)
    if harms is None:
        return None
    for harm in harms:
        if not harm.noncurrent:
            bucket, _, folder = backend.location.partition("://")[2].partition("/")
            raise Unsupported(
                f"The lifecycle rule {harm.rule!r} of the bucket {bucket} {harm.deed} objects below "
                f"{joined(folder, RESERVED)}/, where a store keeps its data. Exclude that prefix from the rule, or use "
                "another bucket."
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


def _harms(rule: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield what a rule does, and whether to older object versions."""
    if rule.get("Status") != "Enabled":
        return
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        yield "deletes", False
    elif _archives(rule.get("Transitions", [])):
        yield "archives", False
    if "NoncurrentVersionExpiration" in rule:
        yield "deletes", True
    elif _archives(rule.get("NoncurrentVersionTransitions", [])):
        yield "archives", True


def _archives(transitions: Iterable[Mapping[str, Any]]) -> bool:
    return any(transition.get("StorageClass") in _ARCHIVES for transition in transitions)


def _applies(rule: Mapping[str, Any], prefix: str, tags: Mapping[str, str], apart: str | None) -> bool:
    """Tell whether a rule touches objects below a prefix, those below `apart` not counted."""
    prefixes: list[str] = []
    wanted: dict[str, str] = {}
    for condition in _conditions(rule):
        prefixes.append(condition.get("Prefix", ""))
        found = [*condition.get("Tags", []), *([condition["Tag"]] if "Tag" in condition else [])]
        wanted |= {tag["Key"]: tag["Value"] for tag in found}
    touches = all(prefix.startswith(other) or other.startswith(prefix) for other in prefixes)
    only_apart = apart is not None and any(other.startswith(apart) for other in prefixes)
    return touches and not only_apart and wanted.items() <= tags.items()


def _conditions(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield rule if "Prefix" in rule else {}
    yield rule.get("Filter", {})
    yield rule.get("Filter", {}).get("And", {})
