"""What MLflow's plugin registry loads: plain functions that import nothing until they are called.

MLflow loads entry points while it is itself half imported; importing MLflow here would make the scheme vanish
with no more than a warning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_versioned_store.roots import mlflow_part

if TYPE_CHECKING:
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None, **_unknown: object
) -> VersionedArtifactRepository:
    """Return the artifact repository for a `versioned-…://` URI.

    No request, but where it lies above all runs, as a server's destination does: there the store's settings decide.

    Args:
        artifact_uri: Where the artifacts are: a run's location, any folder in it, or a server's destination.
        tracking_uri: Passed on to MLflow's base class where that takes it.
        registry_uri: Likewise.
        _unknown: What later releases of MLflow may pass; ignored, because new keywords broke plugins twice.

    Raises:
        MlflowException: The URI can never work, or the settings cannot be read.
    """
    if artifact_uri.lower().startswith("versioned-s3:") and mlflow_part(artifact_uri) > artifact_uri.count("/"):
        from mlflow_versioned_store.mlflow_plugin.presigned import repository_class

        return repository_class(artifact_uri)(artifact_uri, tracking_uri, registry_uri)
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

    return VersionedArtifactRepository(artifact_uri, tracking_uri, registry_uri)


def tracking_server() -> Any:
    """Return what `mlflow server --app-name versioned-store` runs."""
    from mlflow_versioned_store.mlflow_plugin.server import create_app

    return create_app()
