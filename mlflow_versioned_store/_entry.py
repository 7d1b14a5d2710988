"""What MLflow's plugin registry loads: a plain function that imports nothing until it is called.

MLflow loads entry points while it is itself half imported; importing MLflow here would make the scheme vanish
with no more than a warning.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None, **_unknown: object
) -> VersionedArtifactRepository:
    """Return the artifact repository for a `versioned-…://` URI. No request, but in a server, for its destination.

    Args:
        artifact_uri: Where the artifacts are: a run's location, any folder in it, or a server's destination.
        tracking_uri: Passed on to MLflow's base class where that takes it.
        registry_uri: Likewise.
        _unknown: What later releases of MLflow may pass; ignored, because new keywords broke plugins twice.

    Raises:
        MlflowException: The URI can never work, or a server's destination cannot be read.
    """
    if artifact_uri == os.environ.get("_MLFLOW_SERVER_ARTIFACT_DESTINATION"):
        from mlflow_versioned_store.mlflow_plugin.presigned import repository_class

        return repository_class(artifact_uri)(artifact_uri, tracking_uri, registry_uri)
    from mlflow_versioned_store.mlflow_plugin.repository import VersionedArtifactRepository

    return VersionedArtifactRepository(artifact_uri, tracking_uri, registry_uri)
