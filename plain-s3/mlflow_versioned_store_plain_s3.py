"""What MLflow's plugin registry loads for `s3`: light until it is called, since MLflow is then half imported itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

__all__ = ["artifact_repository"]


def artifact_repository(artifact_uri: str, *arguments: Any, **keywords: Any) -> ArtifactRepository:
    """Return the repository of an `s3://` URI: of the store that it lies in, or MLflow's own where there is none.

    One parallel round trip, unless the process knows the store.

    Args:
        artifact_uri: Where the artifacts are.
        arguments: What else MLflow passes to repositories.
        keywords: Likewise.

    Raises:
        MlflowException: Whether there is a store cannot be told.
    """
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    from mlflow_versioned_store._entry import artifact_repository as versioned
    from mlflow_versioned_store.errors import NoStore
    from mlflow_versioned_store.mlflow_plugin.failures import translated
    from mlflow_versioned_store.store import open_store

    versioned_uri = f"versioned-{artifact_uri}"
    with translated():
        try:
            open_store(versioned_uri)
        except NoStore:
            return S3ArtifactRepository(artifact_uri, *arguments, **keywords)
    return versioned(versioned_uri, *arguments, **keywords)
