"""`mvs policy`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mlflow_versioned_store.cli import output
from mlflow_versioned_store.cli.command import command as _command
from mlflow_versioned_store.errors import InvalidInput

if TYPE_CHECKING:
    from mlflow_versioned_store.policies.roles import Grant, Role

_PROVIDERS = {"s3": "aws", "az": "azure", "gs": "gcp"}
_NEXT_TO_IT = {
    "aws": "Attach it to a user, group or role; a bucket policy needs a Principal beside.",
    "minio": "mc admin policy create ALIAS NAME FILE, then mc admin policy attach ALIAS NAME --user USER. "
    "The bucket needs versioning: MinIO cannot hold a writer to creating, so what is overwritten must be kept.",
    "azure": "az role definition create, then az role assignment create --condition … --condition-version 2.0; put "
    "subscription, group and storage account in their places.",
    "gcp": "gcloud iam roles create, then gcloud storage buckets add-iam-policy-binding --condition …; put project and "
    "member in their places. Who may delete native objects may also delete their generations.",
}


@_command
@click.argument("uri")
@click.option("--role", type=click.Choice(["reader", "writer", "collector", "auditor"]), required=True)
@click.option(
    "--provider",
    type=click.Choice(["aws", "minio", "azure", "gcp"]),
    help="Whose language; by default that of URI, and for versioned-s3 Amazon's.",
)
@click.option("--experiment", metavar="ID", help="Only this experiment: the first component of its artifact roots.")
@click.option("--path", "below", metavar="PATH", help="Only native objects below this path of the store (readers).")
def command(uri: str, role: Role, provider: str | None, experiment: str | None, below: str | None) -> None:
    """Print the least that a role needs in the store at URI, as a policy of its provider.

    A reader lists and reads. A writer also logs, and may never delete or overwrite. A collector expires and collects.
    An auditor sees what happened, and no bytes. For a part of a store, chunks must not be shared beyond it: there must
    be a deduplication domain for each experiment.
    """
    import mlflow_versioned_store as mvs
    from mlflow_versioned_store.policies.roles import grants, scope
    from mlflow_versioned_store.settings import read_settings

    if experiment and below:
        raise InvalidInput("A policy is for an experiment or for a path, not for both.")
    store = mvs.open_store(uri)
    location = store.engine.location
    scheme, _, place = location.partition("://")
    provider = provider or _PROVIDERS.get(scheme)
    if provider is None:
        raise InvalidInput(f"{location} has no provider that knows policies; its file system's permissions hold.")
    container, _, prefix = place.partition("/")
    settings = read_settings(store.engine.settings_log)
    part = scope(dedup_scope=settings.dedup_scope, experiment=experiment, path=below)
    granted = grants(role, part, native=bool(settings.native))
    policy = _policy(provider, role, granted, container, prefix)
    output.show(policy, lambda: click.echo(json.dumps(policy, indent=2)))
    output.note(_NEXT_TO_IT[provider])


def _policy(provider: str, role: Role, granted: list[Grant], container: str, prefix: str) -> dict[str, Any]:
    from mlflow_versioned_store.policies import aws, azure, gcp

    match provider:
        case "azure":
            return azure.assignment(role, granted, container, prefix)
        case "gcp":
            return gcp.bindings(role, granted, container, prefix)
    return aws.policy(role, granted, container, prefix, minio=provider == "minio")
